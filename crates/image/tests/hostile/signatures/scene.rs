//! A registry with images and signatures, and a store that asks it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use burstlet_image::store::{PullRequest, Pulled, StoreConfig};
use burstlet_image::unpack::{Unpacker, UnpackerConfig};
use burstlet_image::{PublicKey, SignaturePolicy};
use burstlet_model::Namespace;
use burstlet_testkit::signature::Signer;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

/// Who has to sign.
pub(super) const OWNER: u8 = 1;
pub(super) const STRANGER: u8 = 2;

fn public(number: u8) -> PublicKey {
    PublicKey::from_pem(Signer::new(number).public_pem().as_bytes()).unwrap()
}

/// What is served, by what paths end with.
type Served = Arc<Mutex<BTreeMap<String, Reply>>>;

/// A registry whose images have to be signed, and a store that asks it.
pub(super) struct Scene {
    pub(super) registry: Fake,
    served: Served,
    pub(super) dir: TempDir,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let served = Served::default();
        let told = served.clone();
        let registry = Fake::start(move |request| {
            let served = told.lock().unwrap();
            let path = request.path.split('?').next().unwrap_or_default();
            let place = path.strip_prefix("/v2/team/app/").unwrap_or_default();
            served.get(place).cloned().unwrap_or(Reply::new(404))
        });
        Self {
            registry: registry.await,
            served,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A store that knows this key for the registry's images.
    pub(super) async fn store(&self, key: u8) -> ImageStore {
        self.open(self.policy(key)).await
    }

    /// The same, which takes signatures without a name.
    pub(super) async fn store_of_nameless(&self, key: u8) -> ImageStore {
        let mut policy = self.policy(key);
        policy.take_nameless();
        self.open(policy).await
    }

    fn policy(&self, key: u8) -> SignaturePolicy {
        let mut policy = SignaturePolicy::default();
        let keys = vec![public(key)];
        policy.insert(&self.registry.host(), keys).unwrap();
        policy
    }

    async fn open(&self, signatures: SignaturePolicy) -> ImageStore {
        let unpacker = UnpackerConfig::new(PathBuf::from(env!("CARGO_BIN_EXE_burstlet-unpack")));
        let config = StoreConfig {
            dir: self.dir.path().join("state"),
            registries: client(&[&self.registry]),
            unpacker: Unpacker::new(unpacker),
            platform: Platform::host(),
            signatures,
        };
        let (store, report) = ImageStore::open(config, WallTime(0)).await.unwrap();
        assert_eq!(report.events, []);
        store
    }

    /// The same registry with a store that never saw it.
    pub(super) fn forgotten(self) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            ..self
        }
    }

    pub(super) fn name(&self) -> String {
        format!("{}/team/app", self.registry.host())
    }

    pub(super) async fn pull(
        &self,
        store: &ImageStore,
        policy: PullPolicy,
    ) -> Result<Pulled, StoreError> {
        let request = PullRequest {
            reference: format!("{}:v1", self.name()).parse().unwrap(),
            policy,
            credentials: Vec::new(),
            namespace: Namespace::new("shop").unwrap(),
            lease: None,
            progress: None,
            now: WallTime(1),
        };
        store.pull(request).await
    }

    /// Why the image is not had, by a store that never saw it.
    pub(super) async fn refusal(&self) -> SignatureError {
        let store = self.store(OWNER).await;
        let pulled = self.pull(&store, PullPolicy::Always).await;
        assert_eq!(store.list().len(), 0);
        match pulled.unwrap_err() {
            StoreError::Signature(error) => error,
            other => panic!("{other}"),
        }
    }

    pub(super) async fn why(&self) -> Rejection {
        match self.refusal().await {
            SignatureError::Rejected { why, .. } => why,
            other => panic!("{other}"),
        }
    }

    pub(super) fn serve(&self, place: String, reply: Reply) {
        self.served.lock().unwrap().insert(place, reply);
    }

    pub(super) fn serve_manifest(&self, name: &str, manifest: &Blob) {
        let reply = reply(manifest);
        self.serve(format!("manifests/{name}"), reply.clone());
        self.serve(format!("manifests/{}", manifest.digest), reply);
    }

    fn serve_blob(&self, blob: &Blob) {
        self.serve(format!("blobs/{}", blob.digest), reply(blob));
    }

    /// Serves an image as `v1`.
    pub(super) fn push(&self, image: &BuiltImage) {
        self.serve_blob(&image.config);
        self.serve_manifest("v1", &image.manifest);
    }

    /// Serves these signatures of a document by its tag.
    pub(super) fn sign(&self, signed: &Blob, layers: &[Value]) {
        self.serve_manifest(&tag(signed), &manifest(layers));
    }

    /// One signature of a document under a name, with what it signs served.
    pub(super) fn signature(&self, by: u8, signed: &Blob, name: &str) -> Value {
        let signature = Signer::new(by).sign(signed, name);
        self.serve_blob(&signature.payload);
        signature.layer
    }

    /// Serves a manifest as what refers to a document.
    pub(super) fn refer(&self, signed: &Blob, kind: &str, manifest: &Blob) -> Blob {
        let mut entry = manifest.descriptor();
        entry["artifactType"] = json!(kind);
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]});
        let index = Blob::new(INDEX_TYPE, index.to_string().into_bytes());
        self.serve(format!("referrers/{}", signed.digest), reply(&index));
        index
    }

    /// A manifest with a bundle of somebody's signature of a document, which is served.
    pub(super) fn bundle(&self, by: u8, signed: &Blob) -> Blob {
        let bundle = Signer::new(by).bundle(signed);
        self.serve_blob(&bundle);
        manifest(&[bundle.descriptor()])
    }

    /// What was asked for of signatures so far.
    pub(super) fn asked(&self) -> usize {
        let seen = self.registry.seen().into_iter();
        let about = |path: &str| path.contains(".sig") || path.contains("referrers");
        seen.filter(|request| about(&request.path)).count()
    }
}

pub(super) fn reply(blob: &Blob) -> Reply {
    Reply::new(200)
        .header("Content-Type", blob.media_type.clone())
        .body(blob.bytes.clone())
}

/// An image that differs from others in its command.
pub(super) fn built(command: &str) -> BuiltImage {
    ImageBuilder::default().cmd(&[command]).build().unwrap()
}
