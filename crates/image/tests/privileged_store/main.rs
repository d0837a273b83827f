//! The store, from a registry to unpacked layers. Needs root: layers are unpacked with their
//! real owners.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod imports;
mod keep;
mod pull;
mod tenants;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use burstlet_image::import::Import;
use burstlet_image::registry::{
    Credentials, RegistriesSettings, RegistryClient, RegistryCredentials, RegistrySettings,
};
use burstlet_image::store::{
    Image, ImageStore, ImportRequest, LayerStep, OpenReport, PrunePolicy, PullPolicy, PullProgress,
    PullRequest, Pulled, StoreConfig, StoreError,
};
use burstlet_image::unpack::{Unpacker, UnpackerConfig};
use burstlet_image::{Platform, SignaturePolicy};
use burstlet_model::{ErrorKind, GroupUid, Namespace, Secret, WallTime};
use burstlet_testkit::image::{BuiltImage, Entry, ImageBuilder, Packing};
use burstlet_testkit::registry::{Auth, Options, PASSWORD, Registry, USERNAME};
use tempfile::TempDir;
use tokio::sync::watch;

const SECOND_NS: i64 = 1_000_000_000;

struct Fixture {
    registry: Registry,
    dir: TempDir,
}

impl Fixture {
    fn new(auth: Auth) -> Self {
        let registry = Registry::start(Options { auth, tls: false }).unwrap();
        Self {
            registry,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    async fn open(&self) -> (ImageStore, OpenReport) {
        let plain = RegistrySettings {
            plain_http: true,
            ..RegistrySettings::default()
        };
        let registries = [(self.registry.host().parse().unwrap(), plain)].into();
        let settings = RegistriesSettings {
            registries,
            docker_config: None,
        };
        let program = PathBuf::from(env!("CARGO_BIN_EXE_burstlet-unpack"));
        let config = StoreConfig {
            dir: self.dir.path().join("state"),
            registries: RegistryClient::new(settings).unwrap(),
            unpacker: Unpacker::new(UnpackerConfig::new(program)),
            platform: Platform::host(),
            signatures: SignaturePolicy::default(),
        };
        ImageStore::open(config, WallTime(SECOND_NS)).await.unwrap()
    }

    async fn store(&self) -> ImageStore {
        let (store, report) = self.open().await;
        assert_eq!(report.events, []);
        store
    }

    fn request(&self, repository: &str, namespace: &str) -> PullRequest {
        PullRequest {
            reference: self.registry.reference(repository, "v1").parse().unwrap(),
            policy: PullPolicy::IfNotPresent,
            credentials: Vec::new(),
            namespace: Namespace::new(namespace).unwrap(),
            lease: None,
            progress: None,
            now: WallTime(2 * SECOND_NS),
        }
    }

    fn credentials(&self) -> Vec<RegistryCredentials> {
        let password = Secret::new(PASSWORD.to_owned());
        let credentials = Credentials::Basic {
            username: USERNAME.to_owned(),
            password,
        };
        vec![RegistryCredentials {
            registry: self.registry.host().parse().unwrap(),
            credentials,
        }]
    }

    /// The names in a directory of the store.
    fn names(&self, dir: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.dir.path().join("state").join(dir)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn built(tops: &[&str]) -> BuiltImage {
    let base = vec![Entry::dir("etc"), Entry::file("etc/base", vec![1; 1 << 20])];
    let mut builder = ImageBuilder::default().layer(base).cmd(&["/run"]);
    for top in tops {
        let entry = Entry::file(&format!("etc/{top}"), *top)
            .mode(0o640)
            .owner(33, 65_000);
        builder = builder.layer(vec![entry]);
    }
    builder.build().unwrap()
}

fn group(uid: &str) -> GroupUid {
    GroupUid::new(uid).unwrap()
}

fn check_layers(image: &Image, built: &BuiltImage) {
    let diff_ids: Vec<_> = image
        .layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect();
    assert_eq!(diff_ids, built.diff_ids);
    for layer in &image.layers {
        assert!(layer.path.is_dir(), "{}", layer.path.display());
    }
}

/// Trees are removed in the background.
async fn wait_until_empty(fixture: &Fixture, dir: &str) {
    for _ in 0..500 {
        if fixture.names(dir).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{dir} still has {:?}", fixture.names(dir));
}

/// Compile-time: what is shared between tasks can be.
#[test]
fn the_store_is_shared_between_tasks() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<ImageStore>();
    shared::<Arc<Image>>();
}
