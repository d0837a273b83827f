//! PersistentVolumeClaims: what a pod's claims are bound to, as volumes of its group. Volumes of the
//! kinds `local` and `hostPath` are paths of this machine; which of them a cluster may use is the
//! operator's to say, and the translator's to check.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::affinity::matches;
use super::needs::{Fetched, items, text};
use super::seen::Pod;

/// Fields of a PersistentVolume that say something else than of which kind it is.
const NOT_KINDS: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];
/// The words of a pod's volume that is a claim, and of one whose claim is made for the pod.
const WORDS: [&str; 2] = ["persistentVolumeClaim", "ephemeral"];
/// The word of a group's volume that outlives it.
const PERSISTENT: &str = "persistent";

/// A claim, and the volume that it is bound to if that is there.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) claim: Value,
    pub(crate) volume: Option<Value>,
}

/// Volumes of a group, by their names in the pod.
pub(crate) type Volumes = BTreeMap<String, Value>;

/// Why a claim cannot be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It may be, later.
    Yet(String),
    /// It never will be, here.
    Ever(String),
}

/// What a claim comes to: its volume, or what is the matter with it.
type Found<'c> = Result<&'c Value, String>;

/// Whether a volume is one by a claim.
pub(crate) fn is_claim(volume: &Map<String, Value>) -> bool {
    WORDS.iter().any(|word| volume.contains_key(*word))
}

/// The claims that a pod refers to.
pub(crate) fn names(pod: &str, spec: &Map<String, Value>) -> BTreeSet<String> {
    let claims = items(spec.get("volumes")).filter_map(|volume| name(pod, volume));
    claims.collect()
}

/// The name of the volume that a claim is bound to.
pub(crate) fn bound_to(claim: &Value) -> Option<&str> {
    text(&claim["spec"], "volumeName").filter(|_| claim["status"]["phase"] == "Bound")
}

/// What the claims of a pod are bound to.
pub(crate) fn resolve(
    pod: &Pod,
    spec: &Map<String, Value>,
    fetched: &Fetched,
) -> Result<Volumes, Unusable> {
    let mut volumes = Volumes::new();
    for (index, volume) in items(spec.get("volumes")).enumerate() {
        let (Some(own), Some(claim)) = (text(volume, "name"), name(&pod.name, volume)) else {
            continue;
        };
        let waits = |problem: String| {
            Unusable::Yet(format!(
                "Unable to attach or mount volumes: unmounted volumes=[{own}]: error processing \
                 PVC {}/{claim}: {problem}",
                pod.namespace
            ))
        };
        let found = look(pod, volume, &claim, fetched.claims.get(&claim)).map_err(waits)?;
        allowed_here(found, &fetched.node)?;
        let read_only = volume["persistentVolumeClaim"]["readOnly"] == true;
        let path = format!("spec.volumes[{index}]");
        let source = source(&found["spec"], read_only).map_err(|problem| {
            let text = format!("Pod was rejected: {path}: the claim {claim:?} is {problem}");
            Unusable::Ever(text)
        })?;
        volumes.insert(own.to_owned(), source);
    }
    Ok(volumes)
}

/// What the claims of a pod were bound to when its group was made: a claim that is changed or deleted
/// stays as long as the pod runs.
pub(crate) fn kept(group: &Value) -> Volumes {
    let volumes = items(group["spec"].get("volumes"));
    let kept = volumes.filter_map(|volume| {
        let source = volume.get(PERSISTENT)?;
        let source = json!({PERSISTENT: source});
        Some((text(volume, "name")?.to_owned(), source))
    });
    kept.collect()
}

/// The name of the claim that a pod's volume is of.
fn name(pod: &str, volume: &Value) -> Option<String> {
    if volume.get("ephemeral").is_some() {
        return Some(format!("{pod}-{}", text(volume, "name")?));
    }
    text(&volume["persistentVolumeClaim"], "claimName").map(str::to_owned)
}

/// The volume that a claim is bound to. In a kubelet's words, what is the matter if there is none.
fn look<'c>(pod: &Pod, volume: &Value, name: &str, claim: Option<&'c Claim>) -> Found<'c> {
    let Some(Claim { claim, volume: to }) = claim else {
        return Err(format!("persistentvolumeclaim \"{name}\" not found"));
    };
    if volume.get("ephemeral").is_some() && !is_made_for(pod, claim) {
        return Err(format!(
            "PVC {}/{name} was not created for pod {}/{} (pod is not owner)",
            pod.namespace, pod.namespace, pod.name
        ));
    }
    if claim["metadata"]["deletionTimestamp"].is_string() {
        return Err("PVC is being deleted".to_owned());
    }
    let Some(bound) = bound_to(claim) else {
        return Err("PVC is not bound".to_owned());
    };
    let Some(to) = to else {
        return Err(format!("persistentvolume \"{bound}\" not found"));
    };
    let uid = &to["spec"]["claimRef"]["uid"];
    if uid.is_null() || *uid != claim["metadata"]["uid"] {
        return Err(format!(
            "PersistentVolume \"{bound}\" is not bound to the claim"
        ));
    }
    Ok(to)
}

fn is_made_for(pod: &Pod, claim: &Value) -> bool {
    let mut owners = items(claim["metadata"].get("ownerReferences"));
    owners.any(|owner| owner["controller"] == true && owner["uid"] == pod.uid.as_str())
}

/// The scheduler has seen to it, unless somebody passed it by.
fn allowed_here(volume: &Value, node: &Value) -> Result<(), Unusable> {
    match volume["spec"]["nodeAffinity"].get("required") {
        Some(required) if !matches(required, node) => Err(Unusable::Yet(format!(
            "MountVolume.NodeAffinity check failed for volume {} : no matching NodeSelectorTerms",
            volume["metadata"]["name"]
        ))),
        _ => Ok(()),
    }
}

/// A volume of a group, of a PersistentVolume's specification; what it is that has none.
fn source(spec: &Value, read_only: bool) -> Result<Value, String> {
    if spec["volumeMode"] == "Block" {
        return Err("a block device (volumeMode Block): this node mounts file systems".to_owned());
    }
    if let Some(nfs) = spec.get("nfs") {
        let read_only = read_only || nfs["readOnly"] == true;
        return Ok(json!({"nfs": {
            "server": nfs["server"], "path": nfs["path"], "readOnly": read_only,
        }}));
    }
    let mut persistent = if let Some(local) = spec.get("local") {
        json!({
            "path": local["path"], "type": "Directory", "readOnly": read_only,
            "followsFsGroup": true,
        })
    } else if let Some(host) = spec.get("hostPath") {
        let kind = host["type"].as_str().unwrap_or_default();
        json!({"path": host["path"], "type": kind, "readOnly": read_only})
    } else {
        return Err(format!(
            "bound to a volume of the kind {}, which this node does not mount: it does those of the \
             kinds local and hostPath",
            kind(spec)
        ));
    };
    if items(spec.get("mountOptions")).next().is_some() {
        return Err("bound to a volume with mountOptions, which a path has not".to_owned());
    }
    // What it is paid for by: all that the volume has, whatever the claim has asked for.
    if let Some(capacity) = text(&spec["capacity"], "storage") {
        persistent["capacity"] = capacity.into();
    }
    Ok(json!({PERSISTENT: persistent}))
}

/// What a volume is that is none of ours, with its driver if it has one.
fn kind(spec: &Value) -> String {
    let fields = spec.as_object().into_iter().flatten();
    let mut kinds = fields.filter(|(name, _)| !NOT_KINDS.contains(&name.as_str()));
    match kinds.next() {
        Some((name, source)) => match text(source, "driver") {
            Some(driver) => format!("{name} ({driver})"),
            None => name.clone(),
        },
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
