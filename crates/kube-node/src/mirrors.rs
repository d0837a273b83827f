//! Mirrors: pods on the API server that show those of files. They are made again when somebody deletes
//! them or the file changes, and go when the file goes; the pods themselves do not notice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use burstlet_supervisor::host::Host;
use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::Api;
use kube::api::{ApiResource, PostParams};
use kube::core::DynamicObject;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::deletion::delete;
use crate::error::is_code;
use crate::pod::of_file::mirror;
use crate::pod::seen::Pod;
use crate::run::Shared;

/// How long the watch may take to show what was done; doubled, up to the second, while nothing helps.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A pod's namespace and name.
pub(crate) type Key = (String, String);

/// The pods of files, and the mirrors that the API server has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mirrored {
    pub(crate) pods: BTreeMap<Key, Arc<Pod>>,
    pub(crate) mirrors: BTreeMap<Key, Arc<Pod>>,
    /// Both are known.
    pub(crate) complete: bool,
}

/// What to do about one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Rest,
    Create,
    Remove,
}

/// Judges. A mirror that is being deleted waits for its node to let it go.
fn next(pod: Option<&Pod>, mirror: Option<&Pod>) -> Step {
    match (pod, mirror) {
        (Some(_), None) => Step::Create,
        (Some(pod), Some(mirror)) if mirror.mirrors(pod) => Step::Rest,
        (_, Some(_)) => Step::Remove,
        (None, None) => Step::Rest,
    }
}

/// Keeps the mirrors until the shutdown.
pub(crate) async fn keep<H: Host>(
    shared: Arc<Shared<H>>,
    mut state: watch::Receiver<Mirrored>,
    node_uid: watch::Receiver<String>,
) {
    let mut pause = PAUSE_MIN;
    loop {
        let now = state.borrow_and_update().clone();
        let mut done = true;
        let keys: BTreeSet<&Key> = now.pods.keys().chain(now.mirrors.keys()).collect();
        for key in keys.into_iter().filter(|_| now.complete) {
            let (pod, mirror) = (now.pods.get(key), now.mirrors.get(key));
            let step = match next(pod.map(|p| &**p), mirror.map(|m| &**m)) {
                Step::Rest => continue,
                Step::Create => create(&shared, pod, &node_uid).await,
                Step::Remove => remove(&shared, mirror).await,
            };
            // The watch shows what was done; what was not is tried again.
            done = false;
            if let Err(error) = step {
                tracing::warn!(%error, pod = key.1, "cannot mirror a pod; trying again");
            }
        }
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            changed = state.changed() => if changed.is_err() { return },
            () = sleep(pause), if !done => {}
        }
        pause = match done {
            true => PAUSE_MIN,
            false => (pause * 2).min(PAUSE_MAX),
        };
    }
}

async fn create<H: Host>(
    shared: &Shared<H>,
    pod: Option<&Arc<Pod>>,
    node_uid: &watch::Receiver<String>,
) -> kube::Result<()> {
    let Some(pod) = pod else { return Ok(()) };
    let uid = node_uid.borrow().clone();
    let object = mirror(pod, &shared.config.node.name, &uid);
    let object: DynamicObject = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    let resource = ApiResource::erase::<ApiPod>(&());
    let pods: Api<DynamicObject> =
        Api::namespaced_with(shared.client.clone(), &pod.namespace, &resource);
    match pods.create(&PostParams::default(), &object).await {
        Err(error) if !is_code(&error, 409) => Err(error),
        _ => Ok(()),
    }
}

async fn remove<H: Host>(shared: &Shared<H>, mirror: Option<&Arc<Pod>>) -> kube::Result<()> {
    match mirror {
        Some(mirror) => delete(&shared.client, mirror).await,
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::of_file::read;
    use crate::pod::seen::tests::pod;

    fn of_file(image: &str) -> Pod {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\n\
             spec: {{containers: [{{name: main, image: {image}}}]}}\n"
        );
        read(&text, "n").unwrap()
    }

    /// The mirror of a pod as the API server has it, with more in its metadata.
    fn shown(of: &Pod, more: &Value) -> Pod {
        let mut object = mirror(of, "n", "n-1");
        for (name, value) in more.as_object().unwrap() {
            object["metadata"][name] = value.clone();
        }
        assert!(serde_json::from_value::<DynamicObject>(object.clone()).is_ok());
        pod(object)
    }

    #[test]
    fn a_mirror_shows_its_pod_as_it_is_now() {
        let (one, two) = (of_file("one"), of_file("two"));
        let good = shown(&one, &json!({}));
        assert_eq!(next(Some(&one), None), Step::Create);
        assert_eq!(next(Some(&one), Some(&good)), Step::Rest);
        assert_eq!(next(Some(&two), Some(&good)), Step::Remove);
        assert_eq!(next(None, Some(&good)), Step::Remove);
        assert_eq!(next(None, None), Step::Rest);
        let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(next(Some(&one), Some(&shown(&one, &deleted))), Step::Remove);
    }
}
