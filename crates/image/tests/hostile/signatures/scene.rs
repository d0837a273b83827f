//! A registry with images and signatures, and a store that asks it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burstlet_image::store::{PullRequest, Pulled, StoreConfig};
use burstlet_image::unpack::{Unpacker, UnpackerConfig};
use burstlet_image::{PublicKey, SignaturePolicy};
use burstlet_model::Namespace;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::Value;
use tempfile::TempDir;

use super::*;

const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What an Ed25519 key in DER begins with.
const ED25519: [u8; 12] = [48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0];
/// Who has to sign.
pub(super) const OWNER: u8 = 1;
pub(super) const STRANGER: u8 = 2;

/// A key pair; always the same for the same number.
fn signer(number: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap()
}

fn public(number: u8) -> PublicKey {
    let der = [&ED25519, signer(number).public_key().as_ref()].concat();
    let text = STANDARD.encode(der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
    PublicKey::from_pem(pem.as_bytes()).unwrap()
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
        let mut signatures = SignaturePolicy::default();
        let keys = vec![public(key)];
        signatures.insert(&self.registry.host(), keys).unwrap();
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
        self.serve_manifest(&tag(signed), &signatures(layers));
    }

    /// One signature of a document under a name, with what it signs served.
    pub(super) fn signature(&self, by: u8, signed: &Blob, name: &str) -> Value {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": signed.digest},
                "type": "cosign container image signature",
            },
            "optional": null,
        });
        let payload = Blob::new(PAYLOAD_TYPE, payload.to_string().into_bytes());
        self.serve_blob(&payload);
        let mut layer = payload.descriptor();
        let signature = STANDARD.encode(signer(by).sign(&payload.bytes));
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        layer
    }

    /// What was asked for of signatures so far.
    pub(super) fn asked(&self) -> usize {
        let seen = self.registry.seen().into_iter();
        seen.filter(|request| request.path.contains(".sig")).count()
    }
}

pub(super) fn reply(blob: &Blob) -> Reply {
    Reply::new(200)
        .header("Content-Type", blob.media_type.clone())
        .body(blob.bytes.clone())
}

pub(super) fn tag(signed: &Blob) -> String {
    format!("sha256-{}.sig", signed.hex())
}

/// A manifest with signatures.
pub(super) fn signatures(layers: &[Value]) -> Blob {
    let config = Blob::new("application/vnd.oci.image.config.v1+json", b"{}".to_vec());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor(),
        "layers": layers,
    });
    Blob::new(MANIFEST_TYPE, manifest.to_string().into_bytes())
}

/// An image that differs from others in its command.
pub(super) fn built(command: &str) -> BuiltImage {
    ImageBuilder::default().cmd(&[command]).build().unwrap()
}
