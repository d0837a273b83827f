//! Pods of files beside those of the API server: which there are, and what the API server has of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burstlet_model::GroupUid;

use crate::mirrors::{Key, Mirrored};
use crate::pod::of_file::is_hash;
use crate::pod::seen::Pod;

/// The pods of files, and their mirrors.
#[derive(Default)]
pub(super) struct Fixed {
    /// As the files have them; `None` until they have been looked at.
    pods: Option<BTreeMap<Key, Arc<Pod>>>,
    mirrors: BTreeMap<Key, Arc<Pod>>,
    /// What the list that is being read has named.
    listed: BTreeSet<Key>,
    /// Whether a list has been read to its end.
    complete: bool,
}

impl Fixed {
    /// Takes in the pods of the files.
    pub(super) fn learn(&mut self, pods: &[Arc<Pod>]) {
        let keyed = pods.iter().map(|pod| (pod.key(), Arc::clone(pod)));
        self.pods = Some(keyed.collect());
    }

    /// Whether a worker's pod is of a file that is there, or may be.
    pub(super) fn has(&self, uid: &GroupUid) -> bool {
        match &self.pods {
            Some(pods) => pods.values().any(|pod| pod.uid == *uid),
            None => is_hash(uid.as_str()),
        }
    }

    /// Whether a worker's pod was of a file that is there no more.
    pub(super) fn had(&self, uid: &GroupUid) -> bool {
        is_hash(uid.as_str()) && !self.has(uid)
    }

    /// The pods, each as its mirror says that the API server has it.
    pub(super) fn shown(&self) -> Vec<Arc<Pod>> {
        let pods = self.pods.iter().flatten();
        let shown = pods.map(|(key, pod)| match self.mirrors.get(key) {
            Some(mirror) => Arc::new(pod.shown_by(mirror)),
            None => Arc::clone(pod),
        });
        shown.collect()
    }

    /// A list begins.
    pub(super) fn begin_list(&mut self) {
        self.listed.clear();
    }

    /// A list has ended: what it lacks has gone.
    pub(super) fn end_list(&mut self) {
        let Self {
            mirrors, listed, ..
        } = self;
        mirrors.retain(|key, _| listed.contains(key));
        self.complete = true;
    }

    /// A mirror, as the API server has it.
    pub(super) fn hear(&mut self, mirror: Arc<Pod>) {
        self.listed.insert(mirror.key());
        self.mirrors.insert(mirror.key(), mirror);
    }

    /// A mirror has gone.
    pub(super) fn forget(&mut self, mirror: &Pod) {
        let known = self.mirrors.get(&mirror.key());
        if known.is_some_and(|known| known.uid == mirror.uid) {
            self.mirrors.remove(&mirror.key());
        }
    }

    /// Both sides, for who keeps the mirrors.
    pub(super) fn mirrored(&self) -> Mirrored {
        Mirrored {
            pods: self.pods.clone().unwrap_or_default(),
            mirrors: self.mirrors.clone(),
            complete: self.complete && self.pods.is_some(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::of_file::{mirror, read};
    use crate::pod::seen::tests::pod;

    fn of_file() -> Arc<Pod> {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: []}\n";
        Arc::new(read(text, "n").unwrap())
    }

    #[test]
    fn a_pod_is_shown_by_its_mirror() {
        let own = of_file();
        let mut object = mirror(&own, "n", "n-1");
        object["status"] = json!({"phase": "Running"});
        let shown = Arc::new(pod(object));
        let mut fixed = Fixed::default();
        assert!(fixed.has(&own.uid), "not known yet");
        fixed.learn(std::slice::from_ref(&own));
        assert!(!fixed.mirrored().complete);
        assert_eq!(fixed.shown()[0].told_as(), None);
        fixed.begin_list();
        fixed.hear(Arc::clone(&shown));
        fixed.end_list();
        assert!(fixed.mirrored().complete);
        let found = &fixed.shown()[0];
        assert_eq!(found.uid, own.uid);
        assert_eq!(found.told_as(), Some(&shown.uid));
        assert_eq!(found.phase(), "Running");
        fixed.begin_list();
        fixed.end_list();
        assert_eq!(fixed.shown()[0].told_as(), None, "the mirror has gone");
    }

    #[test]
    fn the_pods_of_other_doors_are_not_of_files() {
        let mut fixed = Fixed::default();
        let uid = |text: &str| GroupUid::new(text).unwrap();
        let other = uid("0b1f5e4e-0000-4000-8000-000000000001");
        assert!(!fixed.has(&other) && !fixed.had(&other));
        fixed.learn(&[]);
        assert!(fixed.had(&of_file().uid) && !fixed.had(&other));
    }
}
