//! The whole surface: every call of the descriptor is there, and the wire's words are the matrix'.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use burstlet_manifest::matrix::rows;
use burstlet_manifest::{Support, to_wire};
use burstlet_proto::{FILE_DESCRIPTOR_SET, v1};
use common::{Edge, fields, reason};
use futures_util::{StreamExt, stream};
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Code;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap()
}

#[tokio::test]
async fn every_call_is_there() {
    let edge = Edge::start().await;
    let mut calls = 0;
    for file in descriptors()
        .file
        .iter()
        .filter(|f| f.package() == "burstlet.v1")
    {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/burstlet.v1.{}/{}", service.name(), method.name());
                let mut grpc = Grpc::new(edge.channel.clone());
                grpc.ready().await.unwrap();
                let codec = ProstCodec::<(), ()>::default();
                let path_and_query: PathAndQuery = path.parse().unwrap();
                let empty = tonic::Request::new(stream::iter([()]));
                let answer = grpc.streaming(empty, path_and_query, codec).await;
                if let Err(status) = answer {
                    assert_ne!(status.code(), Code::Unimplemented, "{path}");
                }
                calls += 1;
            }
        }
    }
    assert_eq!(calls, 19 + 6 + 4 + 7);
}

/// Every field below a message, as the matrix writes its path.
fn paths(
    message: &str,
    prefix: &str,
    messages: &BTreeMap<String, DescriptorProto>,
    found: &mut BTreeSet<String>,
) {
    for field in &messages[message].field {
        let path = format!("{prefix}{}", field.json_name());
        found.insert(path.clone());
        let inner = field.type_name();
        let is_map = messages
            .get(inner)
            .is_some_and(|m| m.options.as_ref().is_some_and(|o| o.map_entry()));
        if field.r#type() == Type::Message && inner.starts_with(".burstlet.v1.") && !is_map {
            let list = field.label() == Label::Repeated;
            let dot = if list { "[]." } else { "." };
            paths(inner, &format!("{path}{dot}"), messages, found);
        }
    }
}

fn messages() -> BTreeMap<String, DescriptorProto> {
    fn add(prefix: &str, message: &DescriptorProto, all: &mut BTreeMap<String, DescriptorProto>) {
        let name = format!("{prefix}.{}", message.name());
        for nested in &message.nested_type {
            add(&name, nested, all);
        }
        all.insert(name, message.clone());
    }
    let mut all = BTreeMap::new();
    for file in descriptors().file {
        for message in &file.message_type {
            add(&format!(".{}", file.package()), message, &mut all);
        }
    }
    all
}

#[test]
fn the_words_of_the_wire_are_those_of_the_matrix() {
    let mut wire = BTreeSet::new();
    paths(".burstlet.v1.ContainerGroup", "", &messages(), &mut wire);
    let matrix: BTreeMap<_, _> = rows()
        .into_iter()
        .map(|row| (row.path, row.field.support))
        .collect();
    let unknown: Vec<_> = wire
        .iter()
        .filter(|path| !path.starts_with("status."))
        .filter(|path| !matrix.contains_key(*path))
        .collect();
    assert_eq!(
        unknown,
        Vec::<&String>::new(),
        "on the wire, not in the matrix"
    );

    // The names of resources are keys of a map on the wire.
    let is_resource = |path: &str| path.contains(".requests.") || path.contains(".limits.");
    let missing: Vec<_> = matrix
        .iter()
        .filter(|(_, support)| matches!(support, Support::Done | Support::Policy))
        .map(|(path, _)| path)
        .filter(|path| !matches!(path.as_str(), "apiVersion" | "kind") && !is_resource(path))
        .filter(|path| !wire.contains(*path))
        .collect();
    assert_eq!(missing, Vec::<&String>::new(), "done, not on the wire");
}

#[test]
fn every_source_has_a_form_on_the_wire() {
    for text in [
        include_str!("../../manifest/tests/data/web.yaml"),
        include_str!("../../manifest/tests/data/host.yaml"),
    ] {
        let manifest: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let source = translated(&manifest);
        let group: v1::ContainerGroup = serde_json::from_value(to_wire(&source)).unwrap();
        // Back from the wire it means the same, where nothing is masked.
        let mut again = serde_json::to_value(&group).unwrap();
        again["apiVersion"] = "burstlet.dev/v1".into();
        again["kind"] = "ContainerGroup".into();
        let again = translated(&again);
        assert_eq!(to_wire(&again), to_wire(&source));
    }
}

fn translated(manifest: &serde_json::Value) -> serde_json::Value {
    let uid = burstlet_model::GroupUid::new("u").unwrap();
    let policy = burstlet_manifest::Policy::unrestricted();
    let context = burstlet_manifest::Context {
        policy: &policy,
        uid: &uid,
        name_suffix: "x",
        allocatable: common::MACHINE,
        domain: "burstlet.local",
    };
    burstlet_manifest::translate(manifest, &context)
        .unwrap()
        .source
}

#[tokio::test]
async fn images() {
    let mut edge = Edge::start().await;
    let pull = |image: &str| v1::PullImageRequest {
        image: image.to_owned(),
        ..v1::PullImageRequest::default()
    };
    let answers = edge
        .images
        .pull(pull("busybox"))
        .await
        .unwrap()
        .into_inner();
    let answers: Vec<_> = answers
        .map(|m| m.unwrap().progress.unwrap())
        .collect()
        .await;
    use v1::pull_image_response::Progress::{Image, Layers};
    assert!(
        matches!(answers.as_slice(), [Layers(_), Image(_)]),
        "{answers:?}"
    );
    let mut answers = edge
        .images
        .pull(pull("missing"))
        .await
        .unwrap()
        .into_inner();
    let error = answers.message().await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::NotFound, "ImageNotFound")
    );
    let error = edge.images.pull(pull("Bad Name")).await.unwrap_err();
    assert_eq!(fields(&error), ["image"]);

    use v1::import_images_request::Request::{Data, Start};
    let request = |request| v1::ImportImagesRequest {
        request: Some(request),
    };
    let start = v1::ImportStart {
        name: "sample:1".to_owned(),
    };
    let requests = vec![
        request(Start(start)),
        request(Data(vec![0; 1000])),
        request(Data(vec![0; 24])),
    ];
    let imported = edge
        .images
        .import(stream::iter(requests))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(imported.images[0].size_bytes, 1024);
    assert_eq!(imported.images[0].names, ["docker.io/library/sample:1"]);
    let error = edge
        .images
        .import(stream::iter([request(Data(vec![]))]))
        .await
        .unwrap_err();
    assert_eq!(fields(&error), ["start"]);

    let list = |contains: &str| v1::ListImagesRequest {
        name_contains: contains.to_owned(),
    };
    let all = edge
        .images
        .list(list(""))
        .await
        .unwrap()
        .into_inner()
        .images;
    assert!(all[0].names < all[1].names);
    let some = edge
        .images
        .list(list("/b:"))
        .await
        .unwrap()
        .into_inner()
        .images;
    assert_eq!(some.len(), 1);
    let get = |image: &str| v1::GetImageRequest {
        image: image.to_owned(),
    };
    edge.images.get(get("a")).await.unwrap();
    assert_eq!(
        edge.images.get(get("x")).await.unwrap_err().code(),
        Code::NotFound
    );
    let remove = |image: &str| v1::RemoveImageRequest {
        image: image.to_owned(),
    };
    edge.images.remove(remove("b")).await.unwrap();
    let error = edge.images.remove(remove("a")).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::FailedPrecondition, "ImageInUse")
    );
    let pruned = edge
        .images
        .prune(v1::PruneImagesRequest { all: true })
        .await
        .unwrap();
    assert_eq!(pruned.into_inner().freed_bytes, 1);
}

#[tokio::test]
async fn node() {
    let mut edge = Edge::start().await;
    let info = edge
        .node
        .info(v1::NodeInfoRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(info.name, "node");
    let doctor = edge.node.doctor(v1::DoctorRequest {}).await.unwrap();
    assert_eq!(doctor.into_inner().findings[0].what, "kernel");
    let answer = edge
        .node
        .capabilities(v1::CapabilitiesRequest {})
        .await
        .unwrap();
    let capabilities = answer.into_inner();
    assert_eq!(capabilities.fields.len(), rows().len());
    assert!(
        capabilities
            .policy
            .contains(&"privileged containers are refused".to_owned())
    );
}
