//! Create and Validate: the one way in for definitions.

use std::sync::Arc;

use burstlet_manifest::{Translation, parse};
use burstlet_model::GroupUid;
use burstlet_model::spec::GroupSpec;
use burstlet_proto::v1;
use burstlet_proto::v1::definition::Form;
use burstlet_supervisor::CreateRequest;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::{Definition, Origin};
use serde_json::{Value, json};
use tonic::Status;
use uuid::Uuid;

use crate::api::Api;
use crate::machine::Machine;
use crate::{convert, status};

/// The most bytes of a request id.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Letters and digits that cannot be mistaken for one another.
const SUFFIX_ALPHABET: [u8; 32] = *b"23456789abcdefghijkmnpqrstuvwxyz";
/// How many of them complete a generated name.
const SUFFIX_LENGTH: usize = 5;

/// Accepts a group.
pub(crate) async fn create<H: Host, M: Machine>(
    api: &Api<H, M>,
    request: v1::CreateRequest,
) -> Result<v1::CreateResponse, Status> {
    let request_id = request_id(request.request_id)?;
    let manifest = manifest(request.definition)?;
    let uid = new_uid()?;
    // The same request makes the same name, so that a repeat is recognized.
    let suffix = suffix(request_id.as_deref().unwrap_or(uid.as_str()));
    let translation = api
        .translate(&manifest, &uid, &suffix)
        .map_err(|refused| status::refused(&refused))?;
    let Translation {
        spec,
        source,
        findings,
    } = translation;
    let create = CreateRequest {
        uid: uid.clone(),
        definition: Definition {
            spec: Arc::new(spec),
            source: source.to_string().into(),
            origin: Origin::Direct,
        },
        request_id,
    };
    let snapshot = api
        .groups()
        .create(create)
        .await
        .map_err(|refusal| status::refusal(&refusal))?;
    Ok(v1::CreateResponse {
        group: Some(api.show(&snapshot)?),
        findings: findings.iter().map(convert::finding).collect(),
        already_existed: snapshot.uid != uid,
    })
}

/// Says what [`create`] would say of the definition.
pub(crate) fn validate<H: Host, M: Machine>(
    api: &Api<H, M>,
    request: v1::ValidateRequest,
) -> Result<v1::ValidateResponse, Status> {
    let uid = new_uid()?;
    let manifest = manifest(request.definition)?;
    let translated = api.translate(&manifest, &uid, &suffix(uid.as_str()));
    let (valid, findings) = match translated {
        Ok(translation) => (true, translation.findings),
        Err(refused) => (false, refused.findings),
    };
    Ok(v1::ValidateResponse {
        valid,
        findings: findings.iter().map(convert::finding).collect(),
    })
}

/// The group that a definition would make.
pub(crate) fn definition<H: Host, M: Machine>(
    api: &Api<H, M>,
    definition: Option<v1::Definition>,
) -> Result<GroupSpec, Status> {
    let uid = new_uid()?;
    let manifest = manifest(definition)?;
    let translated = api.translate(&manifest, &uid, &suffix(uid.as_str()));
    let translation = translated.map_err(|refused| status::refused(&refused))?;
    Ok(translation.spec)
}

/// The definition as JSON. A message has no more in it than the manifest's words.
fn manifest(definition: Option<v1::Definition>) -> Result<Value, Status> {
    match definition.and_then(|definition| definition.form) {
        None => Err(no_definition()),
        Some(Form::Manifest(text)) => parse(&text).map_err(|refused| status::refused(&refused)),
        Some(Form::Group(group)) => {
            let group = serde_json::to_value(&group)
                .map_err(|error| status::internal("a message has no JSON form", &error))?;
            let part = |name| group.get(name).cloned().unwrap_or(Value::Null);
            Ok(json!({
                "apiVersion": "burstlet.dev/v1",
                "kind": "ContainerGroup",
                "metadata": part("metadata"),
                "spec": part("spec"),
                "status": part("status"),
            }))
        }
    }
}

fn no_definition() -> Status {
    status::invalid("definition", "a group or a manifest is needed")
}

fn request_id(text: String) -> Result<Option<String>, Status> {
    let printable = text.bytes().all(|b| b.is_ascii_graphic());
    if text.len() > REQUEST_ID_BYTES_MAX || !printable {
        let message =
            format!("at most {REQUEST_ID_BYTES_MAX} printable ASCII characters are taken");
        return Err(status::invalid("request_id", message));
    }
    Ok((!text.is_empty()).then_some(text))
}

fn new_uid() -> Result<GroupUid, Status> {
    let uid = Uuid::now_v7().to_string();
    GroupUid::new(uid).map_err(|error| status::internal("a new uid is not a uid", &error))
}

/// Five characters that follow from `seed` (FNV-1a, for spread and not for secrecy).
fn suffix(seed: &str) -> String {
    let mut hash = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut suffix = String::with_capacity(SUFFIX_LENGTH);
    for _ in 0..SUFFIX_LENGTH {
        let index = (hash >> 59) as usize;
        suffix.extend(SUFFIX_ALPHABET.get(index).copied().map(char::from));
        hash = hash.rotate_left(5);
    }
    suffix
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn suffixes_follow_from_their_seed() {
        assert_eq!(suffix("request-1"), suffix("request-1"));
        assert_ne!(suffix("request-1"), suffix("request-2"));
        assert_eq!(suffix("").len(), SUFFIX_LENGTH);
    }

    #[test]
    fn request_ids() {
        assert_eq!(request_id(String::new()).unwrap(), None);
        assert_eq!(
            request_id("a-1".to_owned()).unwrap().as_deref(),
            Some("a-1")
        );
        for bad in ["a b", "a\n", "ä", &"a".repeat(129)] {
            assert!(request_id(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
