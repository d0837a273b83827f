//! Create and Validate: the one way in for definitions.

use std::collections::HashSet;
use std::sync::Arc;

use burstlet_manifest::{Translation, parse};
use burstlet_model::GroupUid;
use burstlet_model::spec::{GroupSpec, PullPolicy};
use burstlet_proto::v1;
use burstlet_proto::v1::definition::Form;
use burstlet_supervisor::CreateRequest;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::{Definition, Origin};
use serde_json::{Value, json};
use tonic::Status;
use uuid::Uuid;

use crate::access::Asked;
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
    api: &Asked<H, M>,
    request: v1::CreateRequest,
) -> Result<v1::CreateResponse, Status> {
    let request_id = request_id(request.request_id)?;
    let manifest = manifest(api, request.definition)?;
    let uid = new_uid()?;
    // The same request makes the same name, so that a repeat is recognized.
    let suffix = suffix(request_id.as_deref().unwrap_or(uid.as_str()));
    let translation = api
        .translate(&manifest, &uid, &suffix)
        .map_err(|refused| status::refused(&refused))?;
    admit(api, &translation.spec)?;
    let Translation {
        spec,
        source,
        findings,
        audited,
    } = translation;
    let violations = audited.iter().map(ToString::to_string);
    api.caller()
        .note(|about| about.violations = violations.collect());
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
    api.caller()
        .note(|about| about.uid = Some(snapshot.uid.to_string()));
    Ok(v1::CreateResponse {
        group: Some(api.show(&snapshot)?),
        findings: findings.iter().map(convert::finding).collect(),
        already_existed: snapshot.uid != uid,
    })
}

/// Says what [`create`] would say of the definition.
pub(crate) fn validate<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::ValidateRequest,
) -> Result<v1::ValidateResponse, Status> {
    let uid = new_uid()?;
    let manifest = manifest(api, request.definition)?;
    let translated = api.translate(&manifest, &uid, &suffix(uid.as_str()));
    let (valid, findings) = match translated {
        Ok(translation) => {
            api.may_be_in(&translation.spec.name.namespace)?;
            (true, translation.findings)
        }
        Err(refused) => (false, refused.findings),
    };
    Ok(v1::ValidateResponse {
        valid,
        findings: findings.iter().map(convert::finding).collect(),
    })
}

/// The group that a definition would make.
pub(crate) fn definition<H: Host, M: Machine>(
    api: &Asked<H, M>,
    definition: Option<v1::Definition>,
) -> Result<GroupSpec, Status> {
    let uid = new_uid()?;
    let manifest = manifest(api, definition)?;
    let translated = api.translate(&manifest, &uid, &suffix(uid.as_str()));
    let translation = translated.map_err(|refused| status::refused(&refused))?;
    api.may_be_in(&translation.spec.name.namespace)?;
    Ok(translation.spec)
}

/// Whether the caller may create this group now, as far as the edge can tell.
fn admit<H: Host, M: Machine>(api: &Asked<H, M>, spec: &GroupSpec) -> Result<(), Status> {
    let name = &spec.name;
    api.caller()
        .note(|about| about.group = Some(name.to_string()));
    api.may_be_in(&name.namespace)?;
    let containers = spec.all_containers().map(|(_, container)| container);
    let images = containers
        .filter(|c| c.pull_policy != PullPolicy::Never)
        .map(|c| &c.image);
    let images = images.collect::<HashSet<_>>().len();
    api.pulls(&name.namespace, u32::try_from(images).unwrap_or(u32::MAX))
}

/// The definition as JSON, in the namespace of who is bound to one if it names none. A message has no
/// more in it than the manifest's words.
fn manifest<H: Host, M: Machine>(
    api: &Asked<H, M>,
    definition: Option<v1::Definition>,
) -> Result<Value, Status> {
    let mut manifest = match definition.and_then(|definition| definition.form) {
        None => return Err(no_definition()),
        Some(Form::Manifest(text)) => parse(&text).map_err(|refused| status::refused(&refused))?,
        Some(Form::Group(group)) => of_message(&group)?,
    };
    let metadata = manifest.get_mut("metadata").and_then(Value::as_object_mut);
    if let (Some(own), Some(metadata)) = (api.tenant(), metadata) {
        let names_none = |named: &Value| named.is_null() || named.as_str() == Some("");
        if metadata.get("namespace").is_none_or(names_none) {
            metadata.insert("namespace".to_owned(), own.as_str().into());
        }
    }
    Ok(manifest)
}

fn of_message(group: &v1::ContainerGroup) -> Result<Value, Status> {
    let group = serde_json::to_value(group)
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
