//! Update: labels, annotations and tags.

use std::collections::BTreeMap;
use std::sync::Arc;

use burstlet_manifest::{Level, Policy};
use burstlet_model::spec::GroupSpec;
use burstlet_proto::v1;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::Definition;
use burstlet_supervisor::{Refusal, Snapshot};
use serde_json::{Map, Value};
use tonic::Status;

use super::resolve;
use crate::access::Asked;
use crate::machine::Machine;
use crate::{convert, status};

/// How often a change is tried again because the group changed in between.
const TRIES_MAX: usize = 8;

/// Changes labels, annotations and tags; with a version, only those of that version.
pub(crate) async fn update<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::UpdateRequest,
) -> Result<v1::ContainerGroup, Status> {
    let handle = resolve::changeable(api, request.group.as_ref())?;
    let wanted = resolve::version(&request.resource_version)?;
    let mut tries = 0;
    loop {
        tries += 1;
        let snapshot = handle.snapshot();
        let definition = changed(api, &snapshot, &request)?;
        let expected = wanted.unwrap_or(snapshot.resource_version);
        match handle.update(definition, Some(expected)).await {
            Ok(snapshot) => return api.show(&snapshot),
            // Somebody else was faster: what was just read may be old.
            Err(Refusal::Changed { .. }) if wanted.is_none() && tries < TRIES_MAX => {}
            Err(refusal) => return Err(status::refusal(&refusal)),
        }
    }
}

/// The definition with the request's changes. Only labels, annotations and tags of the new
/// translation count: what was made from an annotation (a variable, a file) stays as it was at creation.
fn changed<H: Host, M: Machine>(
    api: &Asked<H, M>,
    snapshot: &Snapshot,
    request: &v1::UpdateRequest,
) -> Result<Definition, Status> {
    let mut source = convert::parse_source(&snapshot.definition.source)?;
    if let Some(metadata) = source.get_mut("metadata").and_then(Value::as_object_mut) {
        edit(metadata, "labels", &request.labels, &request.remove_labels);
        edit(metadata, "tags", &request.tags, &request.remove_tags);
        edit(
            metadata,
            "annotations",
            &request.annotations,
            &request.remove_annotations,
        );
    }
    // What was accepted stays accepted; a tag that is required stays what it must be.
    let retagged = !request.tags.is_empty() || !request.remove_tags.is_empty();
    let required = &api.settings().policy.required_tags;
    let policy = Policy {
        required_tags: required.clone().into_iter().filter(|_| retagged).collect(),
        lacking_tags: Level::Refused,
        ..Policy::unrestricted()
    };
    let translation = api
        .translate_by(&policy, &source, &snapshot.uid, "")
        .map_err(|refused| status::refused(&refused))?;
    let spec = GroupSpec {
        labels: translation.spec.labels,
        annotations: translation.spec.annotations,
        tags: translation.spec.tags,
        ..GroupSpec::clone(&snapshot.definition.spec)
    };
    Ok(Definition {
        spec: Arc::new(spec),
        source: translation.source.to_string().into(),
        origin: snapshot.definition.origin,
    })
}

fn edit(
    metadata: &mut Map<String, Value>,
    name: &str,
    set: &BTreeMap<String, String>,
    remove: &[String],
) {
    if set.is_empty() && remove.is_empty() {
        return;
    }
    let map = metadata
        .entry(name)
        .or_insert_with(|| Value::Object(Map::new()));
    let Some(map) = map.as_object_mut() else {
        return;
    };
    for key in remove {
        map.remove(key);
    }
    for (key, value) in set {
        map.insert(key.clone(), value.as_str().into());
    }
}
