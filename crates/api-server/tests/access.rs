//! Who may call what: every call of the descriptors, by every role, about an own and a foreign
//! namespace. The requests are made from the descriptors, so that no call can be forgotten.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::LazyLock;

use burstlet_api_server::RatesByNamespace;
use burstlet_proto::v1::{Reach, Role};
use burstlet_proto::{CALLS, Call, FILE_DESCRIPTOR_SET, v1};
use burstlet_supervisor::Quotas;
use common::reason;
use common::tls::{TlsEdge, definition};
use futures_util::stream;
use prost::Message;
use prost::bytes::{Buf, BufMut};
use prost_reflect::{
    DescriptorPool, DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, ReflectMessage,
    Value,
};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Status};

const ROLES: [(Role, &str); 4] = [
    (Role::Viewer, "viewer"),
    (Role::Operator, "operator"),
    (Role::Meter, "meter"),
    (Role::Admin, "admin"),
];

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// A group.
    Object,
    /// A namespace, whatever is in it.
    Namespace,
    Node,
}

/// How a call was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    /// It came as far as a verb.
    LetThrough,
    /// The role may not, or the call is about the whole node.
    Denied,
    /// The namespace is not the caller's.
    Foreign,
    /// There is no such group.
    Absent,
}

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

/// Makes a call; an answer's head is enough.
async fn call(channel: &Channel, method: &str, request: Vec<u8>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let request = tonic::Request::new(stream::iter([request]));
    let path = format!("/{method}").parse().unwrap();
    grpc.streaming(request, path, Raw).await.map(drop)
}

fn met(result: Result<(), Status>) -> Met {
    let Err(status) = result else {
        return Met::LetThrough;
    };
    assert_ne!(status.message(), "nobody has made this call");
    match (status.code(), reason(&status).as_str()) {
        (Code::PermissionDenied, "NotAllowed") => Met::Denied,
        (Code::PermissionDenied, "ForeignNamespace") => Met::Foreign,
        (Code::NotFound, "GroupNotFound") => Met::Absent,
        (Code::Unauthenticated | Code::PermissionDenied, _) => {
            panic!("{status:?}")
        }
        _ => Met::LetThrough,
    }
}

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap());

fn method(call: &Call) -> MethodDescriptor {
    let (service, name) = call.method.split_once('/').unwrap();
    let service = POOL.get_service_by_name(service).unwrap();
    let found = service.methods().find(|method| method.name() == name);
    found.unwrap()
}

/// The requests that a call can be asked with about a namespace and the group in it.
fn requests(call: &Call, namespace: &str, name: &str) -> Vec<(About, Vec<u8>)> {
    let input = method(call).input();
    let mut requests = Vec::new();
    let mut about_object = DynamicMessage::new(input.clone());
    if fill(&mut about_object, namespace, name, true) == About::Object {
        requests.push((About::Object, about_object.encode_to_vec()));
    }
    let mut about_namespace = DynamicMessage::new(input);
    let about = fill(&mut about_namespace, namespace, name, false);
    if about != About::Node || requests.is_empty() {
        requests.push((about, about_namespace.encode_to_vec()));
    }
    requests
}

/// Fills in what every call needs, and a group or only its namespace.
fn fill(message: &mut DynamicMessage, namespace: &str, name: &str, object: bool) -> About {
    let mut about = About::Node;
    for field in message.descriptor().fields().collect::<Vec<_>>() {
        let text = |text: &str| Value::String(text.to_owned());
        match (field.name(), field.kind()) {
            ("group", Kind::Message(kind)) if object && kind.name() == "GroupRef" => {
                message.set_field(&field, group_ref(kind, namespace, name));
                about = About::Object;
            }
            ("definition", Kind::Message(kind)) => {
                let mut inner = DynamicMessage::new(kind);
                inner.set_field_by_name("manifest", text(&definition(namespace, name)));
                message.set_field(&field, Value::Message(inner));
                about = About::Namespace;
            }
            ("start", Kind::Message(kind)) => {
                let mut inner = DynamicMessage::new(kind);
                about = fill(&mut inner, namespace, name, object);
                message.set_field(&field, Value::Message(inner));
            }
            ("namespace", Kind::String) if !object => {
                message.set_field(&field, text(namespace));
                about = About::Namespace;
            }
            ("image", Kind::String) => message.set_field(&field, text("busybox")),
            ("command", Kind::String) => message.set_field(&field, Value::List(vec![text("sh")])),
            ("port", Kind::Uint32) => message.set_field(&field, Value::U32(80)),
            ("condition", Kind::Enum(_)) => message.set_field(&field, Value::EnumNumber(1)),
            _ => {}
        }
    }
    about
}

fn group_ref(kind: MessageDescriptor, namespace: &str, name: &str) -> Value {
    let mut group = DynamicMessage::new(kind);
    group.set_field_by_name("namespace", Value::String(namespace.to_owned()));
    group.set_field_by_name("name", Value::String(name.to_owned()));
    Value::Message(group)
}

/// What is to be met, by what the `.proto` says.
fn expected(call: &Call, role: Role, tenant: bool, about: About, foreign: bool) -> Met {
    if !call.roles.contains(&role) || (tenant && call.reach == Reach::Node) {
        return Met::Denied;
    }
    match about {
        About::Object if tenant && foreign => Met::Absent,
        About::Namespace if tenant && foreign => Met::Foreign,
        _ => Met::LetThrough,
    }
}

/// Asks for every call, in two namespaces, and gives how many requests that were.
async fn ask_everything(edge: &TlsEdge, role: (Role, &str), tenant: bool) -> usize {
    let (role, word) = role;
    let whose = match tenant {
        true => format!("spiffe://burstlet/tenant/shop/role/{word}"),
        false => format!("spiffe://burstlet/role/{word}"),
    };
    let channel = edge.channel(&whose).await;
    let mut asked = 0;
    for one in CALLS {
        for namespace in ["shop", "other"] {
            // What makes groups needs new names, and what removes them needs groups.
            let name = match one.method.rsplit('/').next().unwrap() {
                "Create" => format!("new-{word}-{tenant}"),
                "Delete" => format!("doomed-{word}-{tenant}"),
                _ => "web".to_owned(),
            };
            if one.method.ends_with("/Delete") {
                edge.create(namespace, &name).await;
            }
            for (about, request) in requests(one, namespace, &name) {
                let expected = expected(one, role, tenant, about, namespace == "other");
                let met = met(call(&channel, one.method, request).await);
                assert_eq!(met, expected, "{} of {namespace} by {whose}", one.method);
                asked += 1;
            }
        }
    }
    asked
}

#[tokio::test]
async fn every_call_by_every_role_in_an_own_and_a_foreign_namespace() {
    let edge = TlsEdge::start(Quotas::default(), RatesByNamespace::default()).await;
    edge.create("shop", "web").await;
    let theirs = edge.create("other", "web").await;
    let mut asked = 0;
    for role in ROLES {
        asked += ask_everything(&edge, role, true).await;
    }
    // Nobody of the one namespace has done anything to the other's group.
    let get = v1::GetRequest {
        group: Some(v1::GroupRef {
            uid: theirs.metadata.as_ref().unwrap().uid.clone(),
            ..v1::GroupRef::default()
        }),
    };
    let mut admin = edge.groups("role/admin").await;
    let now = admin.get(get).await.unwrap().into_inner();
    let now = now.status.unwrap();
    assert_eq!(now.desired, theirs.status.unwrap().desired);
    let restarts = now.container_statuses.iter().map(|c| c.restart_count);
    assert_eq!(restarts.sum::<u32>(), 0);
    for role in ROLES {
        asked += ask_everything(&edge, role, false).await;
    }
    assert!(asked >= CALLS.len() * ROLES.len() * 2 * 2, "{asked}");
}

#[tokio::test]
async fn nobody_is_nobody_in_every_call() {
    let edge = TlsEdge::start(Quotas::default(), RatesByNamespace::default()).await;
    for uri in [
        "",
        "spiffe://elsewhere/role/admin",
        "spiffe://burstlet/role/root",
    ] {
        let channel = edge.channel(uri).await;
        let of_others = [
            "grpc.health.v1.Health/Check",
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "burstlet.v1.ContainerGroups/Invented",
        ];
        let methods = CALLS.iter().map(|call| call.method).chain(of_others);
        for method in methods {
            let status = call(&channel, method, Vec::new()).await.unwrap_err();
            assert_eq!(
                status.code(),
                Code::Unauthenticated,
                "{method} with {uri:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_foreign_group_looks_like_none() {
    let edge = TlsEdge::start(Quotas::default(), RatesByNamespace::default()).await;
    let theirs = edge.create("other", "web").await;
    let uid = theirs.metadata.unwrap().uid;
    let mut groups = edge.groups("tenant/shop/role/admin").await;
    let mut refusal = async |namespace: &str, name: &str, uid: &str| {
        let group = v1::GroupRef {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
        };
        let group = Some(group);
        let status = groups.get(v1::GetRequest { group }).await.unwrap_err();
        let details = String::from_utf8_lossy(status.details()).into_owned();
        (status.code(), status.message().to_owned(), details)
    };
    let alike =
        |there: (Code, String, String), absent: (Code, String, String), a: &str, b: &str| {
            let renamed = (there.0, there.1.replace(a, b), there.2.replace(a, b));
            assert_eq!(renamed, absent);
        };
    let there = refusal("other", "web", "").await;
    alike(there, refusal("other", "wob", "").await, "web", "wob");
    let absent_uid = uid.replace(|c: char| c.is_ascii_hexdigit(), "0");
    let there = refusal("", "", &uid).await;
    alike(there, refusal("", "", &absent_uid).await, &uid, &absent_uid);
    let there = refusal("shop", "web", &uid).await;
    alike(
        there,
        refusal("shop", "web", &absent_uid).await,
        &uid,
        &absent_uid,
    );
}

#[tokio::test]
async fn who_has_a_namespace_sees_and_makes_what_is_in_it() {
    let edge = TlsEdge::start(Quotas::default(), RatesByNamespace::default()).await;
    edge.create("other", "before").await;
    let mut groups = edge.groups("tenant/shop/role/operator").await;
    let watch = groups.watch(v1::WatchRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.r#type(), v1::watch_response::Type::Synced);
    edge.create("other", "after").await;
    // Without a namespace it is the caller's.
    let create = common::create(&definition("", "mine"), "");
    let made = groups
        .create(create)
        .await
        .unwrap()
        .into_inner()
        .group
        .unwrap();
    assert_eq!(made.metadata.unwrap().namespace, "shop");
    let next = watch.message().await.unwrap().unwrap();
    assert_eq!(next.group.unwrap().metadata.unwrap().name, "mine");
    let all = groups
        .list(v1::ListRequest::default())
        .await
        .unwrap()
        .into_inner();
    let names: Vec<_> = all
        .groups
        .into_iter()
        .map(|g| g.metadata.unwrap().name)
        .collect();
    assert_eq!(names, ["mine"]);
    let get = v1::GetRequest {
        group: common::group("mine"),
    };
    groups.get(get).await.unwrap();
}

/// The table of `docs/access.md` says what the `.proto` files say.
#[test]
fn the_documented_table_is_that_of_the_calls() {
    let document = include_str!("../../../docs/access.md");
    let mut rows = String::new();
    for one in CALLS {
        let name = one.method.strip_prefix("burstlet.v1.").unwrap();
        let may = |role| match one.roles.contains(&role) {
            true => "yes",
            false => "",
        };
        let of = match one.reach {
            Reach::Namespace => "own namespace",
            Reach::Any => "anybody",
            Reach::Node | Reach::Unspecified => "whole node",
        };
        let trail = if one.audited { "each" } else { "refusals" };
        rows.push_str(&format!(
            "| `{name}` | {} | {} | {} | {} | {of} | {trail} |\n",
            may(Role::Viewer),
            may(Role::Operator),
            may(Role::Meter),
            may(Role::Admin),
        ));
    }
    assert!(
        document.contains(&rows),
        "docs/access.md should have:\n{rows}"
    );
}
