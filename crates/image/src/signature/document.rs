//! What a registry has of an image's signatures: manifests with them, and indexes of what refers to an
//! image.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burstlet_model::Digest;
use burstlet_strict_json as strict_json;
use serde_json::Value;

use super::Rejection;
use crate::Descriptor;
use crate::document::{DOCKER_MANIFEST, OCI_MANIFEST};

/// The largest document with signatures.
pub(crate) const SIGNATURES_BYTES_MAX: u64 = 1 << 20;
/// The most that is signed of one image.
const PAYLOAD_BYTES_MAX: u64 = 64 << 10;
/// The longest signature, of any key that counts, as text.
const SIGNATURE_CHARS_MAX: usize = 256;
/// What is signed.
const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What a manifest with signatures calls itself among what refers to an image.
pub(crate) const SIGNATURES_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// Where the signature is.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// Something that may be a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// What is signed.
    pub(crate) payload: Descriptor,
    /// By whom, as bytes.
    pub(crate) signature: Vec<u8>,
}

/// The signatures of a manifest; what else it has is left out.
///
/// # Errors
/// It is no manifest.
pub(crate) fn candidates(document: &[u8]) -> Result<Vec<Result<Candidate, Rejection>>, Rejection> {
    let parsed = parse(document)?;
    let media_type = parsed.get("mediaType").map(|claimed| claimed.as_str());
    let known = [None, Some(Some(OCI_MANIFEST)), Some(Some(DOCKER_MANIFEST))];
    if !known.contains(&media_type) {
        return Err(Rejection::Field("mediaType"));
    }
    let layers = array(&parsed, "layers")?.iter();
    let signatures = layers.filter(|layer| text(layer, "/mediaType") == Some(PAYLOAD_TYPE));
    Ok(signatures.map(candidate).collect())
}

/// The manifests with signatures that an index of what refers to an image has.
///
/// # Errors
/// It is no index.
pub(crate) fn referrers(index: &[u8]) -> Result<Vec<Result<Descriptor, Rejection>>, Rejection> {
    let parsed = parse(index)?;
    let entries = array(&parsed, "manifests")?.iter();
    let ours = entries.filter(|entry| text(entry, "/artifactType") == Some(SIGNATURES_TYPE));
    let found = ours.map(|entry| descriptor(entry, OCI_MANIFEST, SIGNATURES_BYTES_MAX));
    Ok(found.collect())
}

fn candidate(layer: &Value) -> Result<Candidate, Rejection> {
    let payload = descriptor(layer, PAYLOAD_TYPE, PAYLOAD_BYTES_MAX)?;
    let annotations = layer.get("annotations");
    let signature = annotations.and_then(|all| all.get(SIGNATURE)?.as_str());
    let signature = signature.filter(|text| text.len() <= SIGNATURE_CHARS_MAX);
    let signature = signature.and_then(|text| STANDARD.decode(text).ok());
    let signature = signature.ok_or(Rejection::Field("signature"))?;
    Ok(Candidate { payload, signature })
}

fn descriptor(value: &Value, media_type: &str, max: u64) -> Result<Descriptor, Rejection> {
    let digest = text(value, "/digest").and_then(|digest| Digest::new(digest).ok());
    let digest = digest.ok_or(Rejection::Field("digest"))?;
    let size = value.get("size").and_then(Value::as_u64);
    let size = size.ok_or(Rejection::Field("size"))?;
    if size > max {
        return Err(Rejection::TooLarge { got: size, max });
    }
    Ok(Descriptor {
        digest,
        size,
        media_type: media_type.to_owned(),
    })
}

fn parse(document: &[u8]) -> Result<Value, Rejection> {
    strict_json::parse(document).map_err(|error| Rejection::Malformed(error.to_string()))
}

fn array<'v>(value: &'v Value, field: &'static str) -> Result<&'v [Value], Rejection> {
    let found = value.get(field).and_then(Value::as_array);
    found.map(Vec::as_slice).ok_or(Rejection::Field(field))
}

/// The text at a place in a document.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer)?.as_str()
}
