//! Container statuses in the API's form.

use burstlet_model::spec::{ContainerKind, GroupSpec};
use burstlet_model::status::{ContainerState, ContainerStatus, ExitStatus, GroupStatus};
use burstlet_model::{GroupUid, ImageRef, WallTime};
use serde_json::{Map, Value, json};

use super::conditions::cost::Said;
use super::ephemeral::{LIST as EPHEMERAL, Withheld};
use super::inline::Missing;
use super::needs::{items, text};
use super::resources::{Pending, written};
use crate::time;

/// Kubernetes' word for an end that nobody saw, and its exit code.
const UNKNOWN: (&str, i32) = ("ContainerStatusUnknown", 137);

/// A group of which something is told.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) uid: &'a GroupUid,
    pub(crate) spec: &'a GroupSpec,
    pub(crate) status: &'a GroupStatus,
    /// Nothing of it is left.
    pub(crate) gone: bool,
    /// How many changes of the pod it follows.
    pub(crate) generation: Option<i64>,
    /// Why it does not have the resources that its pod asks for by now.
    pub(crate) pending: Option<&'a Pending>,
    /// Why it does not have some of the ephemeral containers that its pod asks for.
    pub(crate) withheld: &'a Withheld,
    /// What is said of its cost.
    pub(crate) cost: Option<&'a Said>,
    pub(crate) now: WallTime,
}

impl Told<'_> {
    /// `initContainerStatuses`, in the order of the specification.
    pub(crate) fn init_containers(&self, spec: &Map<String, Value>) -> Vec<Value> {
        let asked = spec.get("initContainers");
        let kinds = self.spec.init_containers.iter().map(|c| c.init_kind());
        let statuses = self.status.init_containers.iter();
        statuses
            .zip(kinds)
            .map(|(status, kind)| self.sized(status, kind, asked))
            .collect()
    }

    /// `containerStatuses`, by name.
    pub(crate) fn containers(&self, spec: &Map<String, Value>) -> Vec<Value> {
        let asked = spec.get("containers");
        let mut statuses: Vec<&ContainerStatus> = self.status.containers.iter().collect();
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
        let statuses = statuses.into_iter();
        statuses
            .map(|status| self.sized(status, ContainerKind::Main, asked))
            .collect()
    }

    /// `resources` and `allocatedResources` of the whole, if anything is set aside for the whole.
    pub(crate) fn whole(&self, spec: &Map<String, Value>) -> Option<(Value, Value)> {
        let allocated = self.spec.resources?;
        let asked = spec.get("resources").unwrap_or(&Value::Null);
        let has = self.status.resources.unwrap_or(allocated);
        let requests = written(asked, &allocated)["requests"].take();
        Some((written(asked, &has), requests))
    }

    /// A container with what it has and what was set aside for it.
    fn sized(&self, status: &ContainerStatus, kind: ContainerKind, asked: Option<&Value>) -> Value {
        let mut told = self.container(status, kind);
        let own = |c: &&Value| c["name"] == status.name.as_str();
        let asked = items(asked)
            .find(own)
            .map_or(&Value::Null, |c| &c["resources"]);
        let mut all = self.spec.all_containers();
        let allocated = all.find(|(_, c)| c.name == status.name);
        let allocated = allocated.map(|(_, c)| c.resources).unwrap_or_default();
        let has = status.resources.unwrap_or(allocated);
        told["resources"] = written(asked, &has);
        told["allocatedResources"] = written(asked, &allocated)["requests"].take();
        told
    }

    /// `ephemeralContainerStatuses` of those that the pod's specification asks for, by name.
    pub(crate) fn ephemeral_containers(&self, spec: &Map<String, Value>) -> Vec<Value> {
        let mut known = not_started(spec, EPHEMERAL, None);
        for status in &mut known {
            let name = status["name"].as_str().unwrap_or_default();
            let mut statuses = self.status.ephemeral_containers.iter();
            if let Some(found) = statuses.find(|found| found.name.as_str() == name) {
                *status = self.container(found, ContainerKind::Ephemeral);
            } else if let Some(why) = self.withheld.get(name) {
                status["state"] = waiting(why.reason, &why.message);
            }
        }
        known
    }

    fn container(&self, status: &ContainerStatus, kind: ContainerKind) -> Value {
        let id = |attempt: u32| format!("burstlet://{}_{}_{attempt}", self.uid, status.name);
        let ran =
            status.last_exit.is_some() || !matches!(status.state, ContainerState::Waiting { .. });
        let waiting_again =
            matches!(status.state, ContainerState::Waiting { .. }) && status.last_exit.is_some();
        let previous = id(status.restart_count.saturating_sub(1));
        let current = if waiting_again {
            &previous
        } else {
            &id(status.restart_count)
        };
        let mut written = json!({
            "name": status.name.as_str(),
            "image": status.image,
            "imageID": image_id(status),
            "ready": is_ready(status, kind),
            "started": status.started && status.state.is_running(),
            "restartCount": status.restart_count,
            "state": self.state(status, current),
        });
        if kind == ContainerKind::Ephemeral {
            // Nobody asks an ephemeral container whether it is.
            written["started"] = Value::Null;
        }
        if ran {
            written["containerID"] = current.clone().into();
        }
        if let Some(exit) = &status.last_exit {
            written["lastState"] = json!({"terminated": terminated(exit, &previous)});
        }
        if let Some((uid, gid, groups)) = &status.user {
            written["user"] =
                json!({"linux": {"uid": uid, "gid": gid, "supplementalGroups": groups}});
        }
        written
    }

    fn state(&self, status: &ContainerStatus, id: &str) -> Value {
        match &status.state {
            ContainerState::Terminated(exit) => json!({"terminated": terminated(exit, id)}),
            // Of a group that is gone nothing runs, whatever was last seen of it.
            _ if self.gone => json!({"terminated": {
                "exitCode": UNKNOWN.1,
                "reason": UNKNOWN.0,
                "message": "The container could not be located when the pod was terminated",
                "startedAt": null,
                "finishedAt": null,
            }}),
            ContainerState::Running { started_at, .. } => {
                json!({"running": {"startedAt": time::seconds(started_at.wall)}})
            }
            ContainerState::Waiting { reason, message } => waiting(reason, message),
        }
    }
}

/// The statuses of containers of which none has run: why not, of the container that it is about.
pub(crate) fn not_started(
    spec: &Map<String, Value>,
    list: &str,
    why: Option<&Missing>,
) -> Vec<Value> {
    let has_init = items(spec.get("initContainers")).next().is_some();
    let usual = if has_init {
        "PodInitializing"
    } else {
        "ContainerCreating"
    };
    let of = |container: &Value| {
        let name = text(container, "name").unwrap_or_default();
        let of_it = why.filter(|why| why.container.as_deref() == Some(name));
        let state = match of_it {
            Some(why) => waiting(why.reason, &why.message),
            None => waiting(usual, ""),
        };
        json!({
            "name": name,
            "image": text(container, "image").unwrap_or_default(),
            "imageID": "",
            "ready": false,
            "started": (list != EPHEMERAL).then_some(false),
            "restartCount": 0,
            "state": state,
        })
    };
    let mut statuses: Vec<Value> = items(spec.get(list)).map(of).collect();
    if list != "initContainers" {
        statuses.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    }
    statuses
}

/// An init container is ready when it has done its work; a sidecar and a main one while they are.
pub(crate) fn is_ready(status: &ContainerStatus, kind: ContainerKind) -> bool {
    match (kind, &status.state) {
        (ContainerKind::Init, ContainerState::Terminated(exit)) => exit.success(),
        (ContainerKind::Init | ContainerKind::Ephemeral, _) => false,
        (ContainerKind::Sidecar | ContainerKind::Main, _) => status.ready,
    }
}

fn waiting(reason: &str, message: &str) -> Value {
    let mut state = json!({"waiting": {"reason": reason}});
    if !message.is_empty() {
        state["waiting"]["message"] = message.into();
    }
    state
}

fn terminated(exit: &ExitStatus, id: &str) -> Value {
    let started = exit.started_at.unwrap_or(exit.finished_at);
    let mut state = json!({
        "exitCode": exit.code,
        "reason": exit.reason,
        "startedAt": time::seconds(started.wall),
        "finishedAt": time::seconds(exit.finished_at.wall),
        "containerID": id,
    });
    if !exit.message.is_empty() {
        state["message"] = exit.message.clone().into();
    }
    state
}

/// The repository with the digest that runs; empty while it is not known.
fn image_id(status: &ContainerStatus) -> String {
    let image = status.image.parse::<ImageRef>();
    match (&status.image_digest, image) {
        (Some(digest), Ok(image)) => image.at_digest(digest.clone()).to_string(),
        (Some(digest), Err(_)) => digest.to_string(),
        (None, _) => String::new(),
    }
}
