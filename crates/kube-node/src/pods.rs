//! The pods of this node, for whoever wants to look at them: as the API server was last heard to
//! have them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use burstlet_model::GroupUid;
use serde_json::{Value, json};

use crate::pod::needs::items;
use crate::pod::seen::Pod;

/// All of them. Clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Pods(Arc<RwLock<Known>>);

/// By namespace and name: of two pods of one name, the one that was heard of last.
type Known = BTreeMap<(String, String), Arc<Pod>>;

/// One of them.
#[derive(Clone, Debug)]
pub struct HeardPod(Arc<Pod>);

impl Pods {
    /// A list of them, as the API server would show it.
    #[must_use]
    pub fn list(&self) -> Value {
        let known: Vec<Arc<Pod>> = self.read(|known| known.values().cloned().collect());
        let items: Vec<Value> = known.iter().map(|pod| pod.object()).collect();
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
    }

    /// The pod of this name.
    #[must_use]
    pub fn find(&self, namespace: &str, name: &str) -> Option<HeardPod> {
        let key = (namespace.to_owned(), name.to_owned());
        self.read(|known| known.get(&key).cloned()).map(HeardPod)
    }

    pub(crate) fn hear(&self, pod: &Arc<Pod>) {
        self.write().insert(pod.key(), Arc::clone(pod));
    }

    /// The pod is gone; one of its name that came after it stays.
    pub(crate) fn forget(&self, pod: &Pod) {
        let mut known = self.write();
        let key = pod.key();
        if known.get(&key).is_some_and(|other| other.uid == pod.uid) {
            known.remove(&key);
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeardPod {
    /// Its uid.
    #[must_use]
    pub fn uid(&self) -> &GroupUid {
        &self.0.uid
    }

    /// Whether its specification has such a container, whatever part that plays.
    #[must_use]
    pub fn has_container(&self, name: &str) -> bool {
        let spec = self.0.spec();
        let lists = ["containers", "initContainers", "ephemeralContainers"];
        let mut all = lists.iter().flat_map(|list| items(spec.get(*list)));
        all.any(|container| container["name"] == name)
    }

    /// What the API server was told that a container waits for.
    #[must_use]
    pub fn waits_for(&self, container: &str) -> Option<String> {
        let status = self.0.status();
        let lists = [
            "containerStatuses",
            "initContainerStatuses",
            "ephemeralContainerStatuses",
        ];
        let mut all = lists.iter().flat_map(|list| items(status.get(*list)));
        let found = all.find(|status| status["name"] == container)?;
        let reason = found["state"]["waiting"]["reason"].as_str()?;
        Some(reason.to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::pod::seen::tests::pod;

    fn web(uid: &str) -> Arc<Pod> {
        let waiting = json!({"name": "main", "state": {"waiting": {"reason": "ErrImagePull"}}});
        Arc::new(pod(json!({
            "metadata": {"name": "web", "uid": uid, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main"}], "initContainers": [{"name": "first"}]},
            "status": {"phase": "Pending", "containerStatuses": [waiting]},
        })))
    }

    #[test]
    fn a_pod_is_found_with_what_it_has() {
        let pods = Pods::default();
        pods.hear(&web("1"));
        let found = pods.find("shop", "web").unwrap();
        assert_eq!(found.uid().as_str(), "1");
        assert!(found.has_container("main") && found.has_container("first"));
        assert!(!found.has_container("other"));
        assert_eq!(found.waits_for("main").as_deref(), Some("ErrImagePull"));
        assert_eq!(found.waits_for("first"), None);
        assert!(pods.find("other", "web").is_none());
        let list = pods.list();
        assert_eq!(list["items"][0]["metadata"]["labels"]["app"], "web");
        assert_eq!(list["items"][0]["spec"]["containers"][0]["name"], "main");
        assert_eq!(list["items"][0]["status"]["phase"], "Pending");
    }

    #[test]
    fn one_that_came_after_is_not_forgotten_with_the_one_before() {
        let pods = Pods::default();
        let (before, after) = (web("1"), web("2"));
        pods.hear(&before);
        pods.hear(&after);
        pods.forget(&before);
        assert_eq!(pods.find("shop", "web").unwrap().uid().as_str(), "2");
        pods.forget(&after);
        assert!(pods.find("shop", "web").is_none());
    }
}
