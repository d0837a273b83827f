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
/// The most that is signed of one image, alone or in a bundle.
const PAYLOAD_BYTES_MAX: u64 = 64 << 10;
/// The longest signature, of any key that counts, as text.
const SIGNATURE_CHARS_MAX: usize = 256;
/// What is signed.
const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What a manifest with signatures calls itself among what refers to an image.
const SIGNATURES_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// A signature together with what is signed, and what a manifest with one calls itself.
const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// What a bundle states, in an annotation of its manifest.
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// That somebody has signed a document, and nothing more.
pub(super) const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
/// Where the signature is.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// Something that may be a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// What is to be fetched for it.
    pub(crate) blob: Descriptor,
    /// How it is signed.
    pub(crate) form: Form,
}

/// Where a signature is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Beside what is signed.
    Beside(Vec<u8>),
    /// In one document with it.
    Bundle,
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
    let signatures = layers.filter_map(|layer| match text(layer, "/mediaType")? {
        PAYLOAD_TYPE => Some(beside(layer)),
        BUNDLE_TYPE => Some(bundle(layer)),
        _ => None,
    });
    Ok(signatures.collect())
}

/// The manifests with signatures that an index of what refers to an image has.
///
/// # Errors
/// It is no index.
pub(crate) fn referrers(index: &[u8]) -> Result<Vec<Result<Descriptor, Rejection>>, Rejection> {
    let parsed = parse(index)?;
    let entries = array(&parsed, "manifests")?.iter();
    let ours = entries.filter(|entry| match text(entry, "/artifactType") {
        Some(SIGNATURES_TYPE) => true,
        Some(BUNDLE_TYPE) => is_signature(entry),
        _ => false,
    });
    let found = ours.map(|entry| descriptor(entry, OCI_MANIFEST, SIGNATURES_BYTES_MAX));
    Ok(found.collect())
}

/// Whether a manifest says that its bundle is a signature, or nothing of that. Images have bundles with
/// much else that is said of them.
fn is_signature(entry: &Value) -> bool {
    annotation(entry, PREDICATE).is_none_or(|predicate| predicate == SIGN)
}

fn beside(layer: &Value) -> Result<Candidate, Rejection> {
    let blob = descriptor(layer, PAYLOAD_TYPE, PAYLOAD_BYTES_MAX)?;
    let signature = decoded_signature(annotation(layer, SIGNATURE))?;
    let form = Form::Beside(signature);
    Ok(Candidate { blob, form })
}

fn bundle(layer: &Value) -> Result<Candidate, Rejection> {
    let blob = descriptor(layer, BUNDLE_TYPE, PAYLOAD_BYTES_MAX)?;
    let form = Form::Bundle;
    Ok(Candidate { blob, form })
}

fn annotation<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get("annotations")?.get(name)?.as_str()
}

/// A signature from its text.
pub(super) fn decoded_signature(text: Option<&str>) -> Result<Vec<u8>, Rejection> {
    let text = text.filter(|text| text.len() <= SIGNATURE_CHARS_MAX);
    let signature = text.and_then(|text| STANDARD.decode(text).ok());
    signature.ok_or(Rejection::Field("signature"))
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
