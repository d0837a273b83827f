//! The registry client against registries that lie, lead astray, break off or never end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bodies;
mod documents;
mod fake;
mod lead;
mod mirrors;
mod patience;
mod signatures;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use burstlet_image::content::{ContentError, ContentStore};
use burstlet_image::registry::{
    BlobTarget, Credentials, MirrorOrder, Problem, RegistriesSettings, RegistryClient,
    RegistryCredentials, RegistryError, RegistrySettings, Repository, Resolved,
};
use burstlet_image::{Descriptor, DocumentError, INDEX_DEPTH_MAX, Platform, digest_of};
use burstlet_model::{ErrorKind, Secret};
use burstlet_testkit::image::{Blob, BuiltImage, Entry, ImageBuilder, Packing};
use fake::{Fake, Reply, Request, Then};
use serde_json::json;
use tokio::time::Instant;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const PASSWORD: &str = "hunter2";

fn plain() -> RegistrySettings {
    RegistrySettings {
        plain_http: true,
        ..RegistrySettings::default()
    }
}

/// A client that may speak plainly to `hosts`.
fn client(hosts: &[&Fake]) -> RegistryClient {
    let listed = hosts
        .iter()
        .map(|fake| (fake.host().parse().unwrap(), plain()));
    let settings = RegistriesSettings {
        registries: listed.collect(),
        docker_config: None,
    };
    RegistryClient::new(settings).unwrap()
}

fn repository(client: &RegistryClient, fake: &Fake) -> Repository {
    let password = Secret::new(PASSWORD.to_owned());
    let credentials = Credentials::Basic {
        username: "me".to_owned(),
        password,
    };
    let registry = fake.host().parse().unwrap();
    let reference = format!("{}/team/app:v1", fake.host()).parse().unwrap();
    client.repository(
        &reference,
        vec![RegistryCredentials {
            registry,
            credentials,
        }],
    )
}

async fn resolve(fake: &Fake) -> Result<Resolved, RegistryError> {
    repository(&client(&[fake]), fake)
        .resolve("v1", &Platform::host())
        .await
}

fn image() -> BuiltImage {
    // Numbers that no packing makes smaller.
    let mut state = 1_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    let content: Vec<u8> = std::iter::repeat_with(next).take(1_500_000).collect();
    ImageBuilder::default()
        .packing(Packing::None)
        .layer(vec![Entry::file("data", content)])
        .build()
        .unwrap()
}

fn manifest_reply(image: &BuiltImage) -> Reply {
    Reply::new(200)
        .header("Content-Type", MANIFEST_TYPE)
        .body(image.manifest.bytes.clone())
}

fn descriptor(blob: &Blob) -> Descriptor {
    let digest = blob.digest.parse().unwrap();
    Descriptor {
        digest,
        size: blob.bytes.len() as u64,
        media_type: blob.media_type.clone(),
    }
}

/// Receives the layer `blob` from `repository`; its bytes.
async fn receive(repository: &Repository, blob: &Descriptor) -> Result<Vec<u8>, RegistryError> {
    let dir = tempfile::tempdir().unwrap();
    let store = ContentStore::open(dir.path(), SystemTime::UNIX_EPOCH).unwrap();
    let target = BlobTarget {
        store: &store,
        report: &|_| {},
    };
    let received = repository.blob(blob, target).await?;
    let mut bytes = Vec::new();
    std::io::copy(&mut received.file().unwrap(), &mut bytes).unwrap();
    Ok(bytes)
}

fn saw_credentials(fake: &Fake) -> bool {
    fake.seen()
        .iter()
        .any(|request| request.header("authorization").is_some())
}

fn challenge(text: String) -> Reply {
    Reply::new(401).header("WWW-Authenticate", text)
}

/// Serves `bytes` from where the request wants them, and breaks off after `piece`.
fn piecewise(bytes: &[u8], piece: usize, request: &Request) -> Reply {
    let from = request.from();
    let end = (from + piece).min(bytes.len());
    let reply = if from == 0 {
        Reply::new(200)
    } else {
        Reply::new(206)
    };
    reply
        .header(
            "Content-Range",
            format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()),
        )
        .length(bytes.len() - from)
        .body(bytes[from..end].to_vec())
}

/// A client for which `mirrors` stand before `origin`.
fn mirrored(origin: &Fake, mirrors: &[&Fake], mirror_order: MirrorOrder) -> RegistryClient {
    let hosts = mirrors
        .iter()
        .map(|mirror| mirror.host().parse().unwrap())
        .collect();
    let own = RegistrySettings {
        mirrors: hosts,
        mirror_order,
        ..plain()
    };
    let mut registries: std::collections::BTreeMap<_, _> = mirrors
        .iter()
        .map(|mirror| (mirror.host().parse().unwrap(), plain()))
        .collect();
    registries.insert(origin.host().parse().unwrap(), own);
    RegistryClient::new(RegistriesSettings {
        registries,
        docker_config: None,
    })
    .unwrap()
}

#[test]
fn requests_have_what_the_tests_look_at() {
    let request = Request {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        headers: [("range".to_owned(), "bytes=17-".to_owned())].into(),
    };
    assert_eq!((request.method.as_str(), request.from()), ("GET", 17));
}
