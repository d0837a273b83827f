//! A pod as the API server has it, without what nobody here reads.
//!
//! Of thousands of pods that a node may have, hardly any is looked into often: what is large is kept as
//! text, which takes a sixth of the memory of a tree of values, and is read when it is asked for.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use burstlet_model::GroupUid;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::needs::text;

/// The annotation of a pod that only mirrors one that a kubelet runs by itself.
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";

/// A pod at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) uid: GroupUid,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Counts changes of the specification.
    pub(crate) generation: Option<i64>,
    /// Set once somebody deleted it: the seconds that it has.
    pub(crate) deletion_grace_s: Option<u32>,
    pub(crate) mirror: bool,
    /// It is of a file of this machine; the API server shows it by a mirror.
    pub(crate) from_file: bool,
    /// The uid that the API server has it under, if it has it.
    told_as: Option<GroupUid>,
    /// Labels, annotations and owners.
    metadata: Arc<str>,
    spec: Arc<str>,
    status: Arc<str>,
    phase: String,
    /// See [`Pod::mark`].
    mark: u64,
}

impl Pod {
    /// Reads what the API server sent; `None` if it is no pod, which it always is.
    pub(crate) fn read(object: DynamicObject) -> Option<Self> {
        let meta = object.metadata;
        let data = object.data;
        let annotations = meta.annotations.unwrap_or_default();
        let deleted = meta.deletion_timestamp.is_some();
        let grace = meta.deletion_grace_period_seconds.unwrap_or(0);
        let metadata = json!({
            "labels": meta.labels.unwrap_or_default(),
            "ownerReferences": meta.owner_references.unwrap_or_default(),
            "annotations": &annotations,
        });
        let uid = GroupUid::new(meta.uid?).ok()?;
        let spec: Arc<str> = data.get("spec")?.to_string().into();
        let status = data.get("status").unwrap_or(&Value::Null);
        Some(Self {
            told_as: Some(uid.clone()),
            uid,
            namespace: meta.namespace?,
            name: meta.name?,
            generation: meta.generation,
            deletion_grace_s: deleted.then(|| u32::try_from(grace).unwrap_or(0)),
            mirror: annotations.contains_key(MIRROR),
            from_file: false,
            mark: mark(&spec, &metadata),
            metadata: metadata.to_string().into(),
            spec,
            phase: text(status, "phase").unwrap_or("Pending").to_owned(),
            status: status.to_string().into(),
        })
    }

    /// The same, of a file: no API server has it yet.
    pub(crate) fn of_file(object: DynamicObject) -> Option<Self> {
        Some(Self {
            from_file: true,
            told_as: None,
            ..Self::read(object)?
        })
    }

    /// The pod of a file, as its mirror shows it. One that is being deleted shows nothing any more.
    pub(crate) fn shown_by(&self, mirror: &Self) -> Self {
        let told_as = Some(&mirror.uid).filter(|_| mirror.mirrors(self));
        Self {
            told_as: told_as.cloned(),
            status: Arc::clone(&mirror.status),
            phase: mirror.phase.clone(),
            ..self.clone()
        }
    }

    /// Whether it mirrors this pod of a file, as that is, and is to stay.
    pub(crate) fn mirrors(&self, pod: &Self) -> bool {
        self.deletion_grace_s.is_none()
            && self.metadata()["annotations"][MIRROR] == pod.uid.as_str()
    }

    /// The uid that the API server has it under; `None` if it has nothing of it.
    pub(crate) const fn told_as(&self) -> Option<&GroupUid> {
        self.told_as.as_ref()
    }

    /// Its namespace and name.
    pub(crate) fn key(&self) -> (String, String) {
        (self.namespace.clone(), self.name.clone())
    }

    /// The pod as an object, with what is known of it.
    pub(crate) fn object(&self) -> Value {
        let mut metadata = self.metadata();
        metadata["name"] = self.name.clone().into();
        metadata["namespace"] = self.namespace.clone().into();
        metadata["uid"] = self.uid.to_string().into();
        json!({"metadata": metadata, "spec": self.spec(), "status": self.status()})
    }

    /// Its specification.
    pub(crate) fn spec(&self) -> Map<String, Value> {
        match value(&self.spec) {
            Value::Object(spec) => spec,
            // The API server has no pod without one.
            _ => Map::new(),
        }
    }

    /// Its status as the API server has it; null if it has none.
    pub(crate) fn status(&self) -> Value {
        value(&self.status)
    }

    /// Another one when the specification, labels or annotations are others.
    pub(crate) const fn mark(&self) -> u64 {
        self.mark
    }

    /// `labels` or `annotations`.
    pub(crate) fn texts(&self, name: &str) -> Value {
        self.metadata()[name].take()
    }

    /// Who controls it, as `KIND/NAME`.
    pub(crate) fn owner(&self) -> Option<String> {
        let metadata = self.metadata();
        let owners = metadata["ownerReferences"].as_array()?;
        let owner = owners.iter().find(|owner| owner["controller"] == true)?;
        let text = |name: &str| owner[name].as_str();
        Some(format!("{}/{}", text("kind")?, text("name")?))
    }

    /// The phase that the API server has.
    pub(crate) fn phase(&self) -> &str {
        &self.phase
    }

    /// Whether it has come to its end for good. One of a file never has: it is there as long as that.
    pub(crate) fn is_terminal(&self) -> bool {
        !self.from_file && matches!(self.phase(), "Succeeded" | "Failed")
    }

    fn metadata(&self) -> Value {
        value(&self.metadata)
    }
}

/// What a text that was written from a value says.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn mark(spec: &str, metadata: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    spec.hash(&mut hasher);
    for texts in ["labels", "annotations"] {
        metadata[texts].to_string().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(crate) mod tests {
    use super::*;

    /// A pod from its JSON.
    pub(crate) fn pod(mut value: Value) -> Pod {
        if value["metadata"]["uid"].is_null() {
            value["metadata"]["uid"] = "0b1f5e4e-0000-4000-8000-000000000001".into();
        }
        if value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = "shop".into();
        }
        Pod::read(serde_json::from_value(value).unwrap()).unwrap()
    }

    #[test]
    fn what_is_read_of_a_pod() {
        let read = pod(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "web-1", "generation": 3, "labels": {"app": "web"},
                "deletionTimestamp": "2023-11-14T22:13:20Z", "deletionGracePeriodSeconds": 30,
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Other", "name": "x", "uid": "1"},
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "2", "controller": true},
                ],
            },
            "spec": {"containers": [{"name": "a"}]},
            "status": {"phase": "Running"},
        }));
        assert_eq!(read.deletion_grace_s, Some(30));
        assert_eq!(read.owner().as_deref(), Some("ReplicaSet/web"));
        assert_eq!(read.texts("labels"), json!({"app": "web"}));
        assert_eq!(read.spec()["containers"][0]["name"], "a");
        assert!(!read.is_terminal() && !read.mirror);
        assert_eq!(read.phase(), "Running");
        assert_eq!(read.status(), json!({"phase": "Running"}));
        assert_eq!(
            read.object()["metadata"]["ownerReferences"][1]["name"],
            "web"
        );
    }

    #[test]
    fn a_pod_without_a_status_is_pending() {
        let read = pod(json!({"metadata": {"name": "web-1"}, "spec": {}}));
        assert_eq!(read.phase(), "Pending");
        assert_eq!(read.status(), Value::Null);
    }

    #[test]
    fn a_mark_tells_definitions_apart_and_not_statuses() {
        let with = |label: &str, image: &str, phase: &str| {
            pod(json!({
                "metadata": {"name": "web-1", "labels": {"app": label}},
                "spec": {"containers": [{"name": "a", "image": image}]},
                "status": {"phase": phase},
            }))
            .mark()
        };
        let mark = with("web", "one", "Pending");
        assert_eq!(mark, with("web", "one", "Running"));
        assert_ne!(mark, with("other", "one", "Pending"));
        assert_ne!(mark, with("web", "two", "Pending"));
    }
}
