//! A signature and what is signed in one document: a Sigstore bundle, as cosign 3 makes it unless it is
//! told otherwise. An envelope (DSSE) is signed with a statement (in-toto) in it, which has the digest of
//! an image and, other than the older form, no name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burstlet_model::Digest;
use burstlet_strict_json as strict_json;
use serde_json::Value;

use super::Rejection;
use super::claim::{Signed, shown, signer};
use super::document::{SIGN, decoded_signature, text};
use super::policy::Wanted;

/// What the envelope holds.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// What that is.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// What of a bundle counts: no key, certificate or log entry that it brings along.
struct Envelope {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Judges a bundle: it counts if it is by one of the keys, and says that the document with this digest is
/// signed, where signatures without a name are taken.
///
/// # Errors
/// It does not count.
pub(super) fn judge(
    bundle: &[u8],
    wanted: Wanted<'_>,
    digest: &Digest,
) -> Result<Signed, Rejection> {
    let envelope = Envelope::read(bundle)?;
    // The statement is not read before it is known who has written it.
    let by = signer(wanted.keys, &envelope.message(), &envelope.signature)?;
    check_statement(&envelope.payload, digest)?;
    if !wanted.takes_nameless {
        return Err(Rejection::Nameless);
    }
    Ok(Signed {
        digest: digest.clone(),
        identity: None,
        key: by.id().clone(),
    })
}

impl Envelope {
    fn read(bundle: &[u8]) -> Result<Self, Rejection> {
        let bundle = parse(bundle)?;
        let envelope = bundle.get("dsseEnvelope");
        let envelope = envelope.ok_or(Rejection::Field("dsseEnvelope"))?;
        if text(envelope, "/payloadType") != Some(PAYLOAD_TYPE) {
            return Err(Rejection::Field("payloadType"));
        }
        let payload = text(envelope, "/payload").and_then(|text| STANDARD.decode(text).ok());
        let signatures = envelope.get("signatures").and_then(Value::as_array);
        let Some([one]) = signatures.map(Vec::as_slice) else {
            return Err(Rejection::Field("signature"));
        };
        Ok(Self {
            payload: payload.ok_or(Rejection::Field("payload"))?,
            signature: decoded_signature(text(one, "/sig"))?,
        })
    }

    /// What is signed: type and payload, each with its length before it.
    fn message(&self) -> Vec<u8> {
        let (type_len, len) = (PAYLOAD_TYPE.len(), self.payload.len());
        let head = format!("DSSEv1 {type_len} {PAYLOAD_TYPE} {len} ");
        [head.as_bytes(), &self.payload].concat()
    }
}

/// Makes sure that a statement is the signature of a document, and of this one.
fn check_statement(statement: &[u8], digest: &Digest) -> Result<(), Rejection> {
    let statement = parse(statement)?;
    let is_signature = text(&statement, "/_type") == Some(STATEMENT)
        && text(&statement, "/predicateType") == Some(SIGN);
    if !is_signature {
        return Err(Rejection::Kind);
    }
    let subjects = statement.get("subject").and_then(Value::as_array);
    let subjects = subjects.ok_or(Rejection::Field("subject"))?;
    let (algorithm, hex) = digest.as_str().split_once(':').unwrap_or_default();
    let place = format!("/digest/{algorithm}");
    let mut signed = subjects.iter().filter_map(|subject| text(subject, &place));
    let first = signed.clone().next().unwrap_or_default();
    match signed.any(|signed| signed == hex) {
        true => Ok(()),
        false => Err(Rejection::Digest(shown(first), digest.clone())),
    }
}

fn parse(text: &[u8]) -> Result<Value, Rejection> {
    strict_json::parse(text).map_err(|error| Rejection::Claim(error.to_string()))
}
