//! Signatures of images in cosign's forms for key pairs, by keys that are the same on every machine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::image::Blob;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
/// What an Ed25519 key in DER begins with.
const ED25519: [u8; 12] = [48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0];

/// Somebody who signs.
#[derive(Debug)]
pub struct Signer {
    key: Ed25519KeyPair,
}

/// One signature of a document.
#[derive(Clone, Debug)]
pub struct Signature {
    /// What is signed.
    pub payload: Blob,
    /// As a manifest with signatures lists it.
    pub layer: Value,
}

impl Signer {
    /// The signer of a number: always the same.
    #[must_use]
    pub fn new(number: u8) -> Self {
        Self {
            key: Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap(),
        }
    }

    /// The public key in PEM.
    #[must_use]
    pub fn public_pem(&self) -> String {
        let der = [&ED25519, self.key.public_key().as_ref()].concat();
        let text = STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    /// Signs a document under a name.
    #[must_use]
    pub fn sign(&self, signed: &Blob, name: &str) -> Signature {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": signed.digest},
                "type": "cosign container image signature",
            },
            "optional": null,
        });
        let payload = Blob::new(PAYLOAD, payload.to_string().into_bytes());
        let mut layer = payload.descriptor();
        let signature = STANDARD.encode(self.key.sign(&payload.bytes));
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        Signature { payload, layer }
    }

    /// Signs a document without a name: a bundle of the signature and what is signed.
    #[must_use]
    pub fn bundle(&self, signed: &Blob) -> Blob {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": signed.hex()}}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
        });
        let statement = statement.to_string();
        let (kind_len, len) = (STATEMENT.len(), statement.len());
        let message = format!("DSSEv1 {kind_len} {STATEMENT} {len} {statement}");
        let bundle = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": ""}},
            "dsseEnvelope": {
                "payload": STANDARD.encode(&statement),
                "payloadType": STATEMENT,
                "signatures": [{"sig": STANDARD.encode(self.key.sign(message.as_bytes()))}],
            },
        });
        Blob::new(BUNDLE, bundle.to_string().into_bytes())
    }
}

/// A manifest with signatures.
#[must_use]
pub fn manifest(layers: &[Value]) -> Blob {
    let config = Blob::new(CONFIG, b"{}".to_vec());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": layers,
    });
    Blob::new(MANIFEST, manifest.to_string().into_bytes())
}

/// The tag at which the signatures of a document are.
#[must_use]
pub fn tag(signed: &Blob) -> String {
    format!("sha256-{}.sig", signed.hex())
}
