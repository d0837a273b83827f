//! Events of pods, as a kubelet writes them. They are told by the way: a queue with a bound feeds one
//! writer, and what does not fit is dropped and counted.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use burstlet_model::WallTime;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::is_code;
use crate::pod::needs::items;
use crate::pod::seen::Pod;
use crate::time;

/// How long an event waits before it is written: what it tells of is part of something that somebody
/// waits for, whose status should not have to stand behind it.
const REST: Duration = Duration::from_millis(100);
/// Events that wait to be written.
const WAITING_MAX: usize = 1000;
/// The most bytes of an event's message, which the API server bounds.
const MESSAGE_BYTES_MAX: usize = 1000;
/// The most bytes of an event's name that come from its pod's.
const POD_NAME_BYTES_MAX: usize = 230;
/// Who tells: what reads events looks for these words.
const COMPONENT: &str = "kubelet";

/// Something to tell of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Telling {
    pub(crate) warning: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) container: Option<String>,
    /// How often it has happened.
    pub(crate) count: u32,
    pub(crate) at: WallTime,
}

/// An event as text, which takes a fifth of a tree of values, and when it was told.
type Waiting = (Instant, Box<str>);

/// Where events are told.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    node: String,
    queue: mpsc::Sender<Waiting>,
}

/// Starts the writer, which ends at the shutdown.
pub(crate) fn start(client: Client, node: &str, shutdown: CancellationToken) -> Events {
    let (queue, waiting) = mpsc::channel(WAITING_MAX);
    tokio::spawn(write_all(client, waiting, shutdown));
    Events {
        node: node.to_owned(),
        queue,
    }
}

impl Events {
    /// Tells it, if there is room.
    pub(crate) fn tell(&self, pod: &Pod, telling: &Telling) {
        let event = event(&self.node, pod, telling).to_string();
        if self.queue.try_send((Instant::now(), event.into())).is_err() {
            tracing::debug!(
                reason = telling.reason,
                "an event was dropped: too many wait"
            );
        }
    }
}

async fn write_all(
    client: Client,
    mut waiting: mpsc::Receiver<Waiting>,
    shutdown: CancellationToken,
) {
    loop {
        // Whichever is left half way at the shutdown is lost with those that wait.
        let event = tokio::select! {
            () = shutdown.cancelled() => return,
            event = rested(&mut waiting) => event,
        };
        let Some(event) = event else { return };
        if let Err(error) = write(&client, &event).await {
            tracing::debug!(%error, "an event was not written");
        }
    }
}

/// The next event, when it has waited as long as it should.
async fn rested(waiting: &mut mpsc::Receiver<Waiting>) -> Option<Box<str>> {
    let (told, event) = waiting.recv().await?;
    sleep_until(told + REST).await;
    Some(event)
}

/// What is told again counts on in the event that is there.
async fn write(client: &Client, event: &str) -> kube::Result<()> {
    let event: Event = serde_json::from_str(event).map_err(kube::Error::SerdeError)?;
    let metadata = &event.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let again = json!({"count": event.count, "lastTimestamp": event.last_timestamp});
    match events.create(&PostParams::default(), &event).await {
        Err(error) if is_code(&error, 409) => {
            let params = PatchParams::default();
            events.patch(name, &params, &Patch::Merge(again)).await?;
        }
        created => drop(created?),
    }
    Ok(())
}

fn event(node: &str, pod: &Pod, telling: &Telling) -> Value {
    let mut about = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": pod.namespace,
        "name": pod.name,
        "uid": pod.uid.as_str(),
    });
    if let Some(container) = &telling.container {
        about["fieldPath"] = field_path(&pod.spec(), container).into();
    }
    let at = time::seconds(telling.at);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": pod.namespace, "name": name(pod, telling)},
        "involvedObject": about,
        "type": if telling.warning { "Warning" } else { "Normal" },
        "reason": telling.reason,
        "message": cut(&telling.message, MESSAGE_BYTES_MAX),
        "count": telling.count,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "source": {"component": COMPONENT, "host": node},
        "reportingComponent": COMPONENT,
        "reportingInstance": node,
    })
}

/// Where a container stands in its pod.
fn field_path(spec: &Map<String, Value>, container: &str) -> String {
    let others = ["initContainers", "ephemeralContainers"].into_iter();
    let mut found = others.filter(|list| items(spec.get(*list)).any(|c| c["name"] == *container));
    let list = found.next().unwrap_or("containers");
    format!("spec.{list}{{{container}}}")
}

/// The same for what is the same, so that it is counted and not told twice.
fn name(pod: &Pod, telling: &Telling) -> String {
    let mut hasher = DefaultHasher::new();
    (
        pod.uid.as_str(),
        &telling.reason,
        &telling.message,
        &telling.container,
    )
        .hash(&mut hasher);
    let name = cut(&pod.name, POD_NAME_BYTES_MAX).trim_end_matches(['.', '-']);
    format!("{name}.{:016x}", hasher.finish())
}

fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use insta::assert_json_snapshot;

    use super::*;
    use crate::pod::seen::tests::pod;

    fn telling(message: &str) -> Telling {
        Telling {
            warning: true,
            reason: "BackOff".to_owned(),
            message: message.to_owned(),
            container: Some("main".to_owned()),
            count: 3,
            at: WallTime(1_700_000_000_000_000_000),
        }
    }

    #[test]
    fn an_event_of_a_container() {
        let pod = pod(json!({"metadata": {"name": "web-1"}, "spec": {}}));
        assert_json_snapshot!(event("edge-1", &pod, &telling("Back-off restarting")));
    }

    #[test]
    fn a_container_is_named_by_its_list() {
        let pod = pod(json!({"metadata": {"name": "web-1"}, "spec": {
            "initContainers": [{"name": "first"}],
            "containers": [{"name": "main"}],
            "ephemeralContainers": [{"name": "look"}],
        }}));
        for (name, path) in [
            ("first", "spec.initContainers{first}"),
            ("main", "spec.containers{main}"),
            ("look", "spec.ephemeralContainers{look}"),
        ] {
            assert_eq!(field_path(&pod.spec(), name), path);
        }
    }

    #[test]
    fn what_is_the_same_has_one_name() {
        let pod = pod(json!({"metadata": {"name": "a".repeat(253)}, "spec": {}}));
        let one = name(&pod, &telling("one"));
        assert_eq!(one, name(&pod, &telling("one")));
        assert_ne!(one, name(&pod, &telling("two")));
        assert!(one.len() <= 253, "{one}");
    }
}
