//! A pod's conditions: those that a kubelet owns, in its words and order, and our own.

pub(crate) mod cost;
mod launched;
mod together;
mod users;

use burstlet_model::spec::ContainerKind;
use burstlet_model::status::{ContainerState, ContainerStatus, Phase, Resize};
use burstlet_model::{ContainerName, WallTime};
use serde_json::{Map, Value, json};

use self::cost::Said;
use self::launched::launched;
use self::together::together;
use self::users::users;
use super::containers::{Told, is_ready};
use super::needs::{items, text};
use super::patch::without;
use crate::time;

/// Ours: the pod waits for room on the machine.
pub(crate) const QUEUED: &str = "burstlet.dev/Queued";

/// A kubelet's: the pod was resized, and there is no room for that, or not yet.
const PENDING: &str = "PodResizePending";
/// A kubelet's: the pod is being given what it was resized to.
const IN_PROGRESS: &str = "PodResizeInProgress";

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    kind: &'static str,
    is_so: bool,
    reason: String,
    message: String,
}

impl Condition {
    fn new(kind: &'static str, why: Result<&str, (&str, String)>) -> Self {
        let (is_so, reason, message) = match why {
            Ok(reason) => (true, reason, String::new()),
            Err((reason, message)) => (false, reason, message),
        };
        Self {
            kind,
            is_so,
            reason: reason.to_owned(),
            message,
        }
    }
}

/// Of a pod whose group stands, or stood.
pub(crate) fn of_group(
    told: &Told<'_>,
    phase: &str,
    gates: &[String],
    previous: &Value,
) -> Vec<Condition> {
    let status = told.status;
    let at_rest = told.gone || status.phase.is_at_rest();
    let has_sandbox = status.timeline.network_ready.is_some() && !at_rest;
    let containers = containers_ready(told, phase);
    let mut conditions = vec![
        Condition::new(
            "PodReadyToStartContainers",
            has_sandbox.then_some("").ok_or_else(Default::default),
        ),
        Condition::new("Initialized", initialized(told, phase)),
        Condition::new("Ready", gated(borrowed(&containers), gates, previous)),
        Condition::new("ContainersReady", borrowed(&containers)),
        Condition::new("PodScheduled", Ok("")),
    ];
    conditions.extend(together(told, phase));
    conditions.extend(queued(told, previous));
    conditions.extend(launched(&status.timeline, previous));
    conditions.extend(users(told, previous));
    conditions.extend(told.cost.map(Said::condition));
    conditions.extend(pending(told));
    conditions.extend(in_progress(told));
    conditions
}

/// Of a pod whose group cannot be made yet.
pub(crate) fn of_none(spec: &Map<String, Value>) -> Vec<Condition> {
    let names = |list| {
        let names = items(spec.get(list)).filter_map(|c| text(c, "name"));
        names.collect::<Vec<_>>().join(" ")
    };
    let (init, main) = (names("initContainers"), names("containers"));
    let not_ready = || {
        Err((
            "ContainersNotReady",
            format!("containers with unready status: [{main}]"),
        ))
    };
    let initialized = match init.is_empty() {
        true => Ok(""),
        false => Err((
            "ContainersNotInitialized",
            format!("containers with incomplete status: [{init}]"),
        )),
    };
    vec![
        Condition::new("PodReadyToStartContainers", Err(Default::default())),
        Condition::new("Initialized", initialized),
        Condition::new("Ready", not_ready()),
        Condition::new("ContainersReady", not_ready()),
        Condition::new("PodScheduled", Ok("")),
    ]
}

/// The conditions to write: a transition keeps its time while the status stays.
pub(crate) fn written(
    conditions: &[Condition],
    previous: &Value,
    generation: Option<i64>,
    now: WallTime,
) -> Vec<Value> {
    let before = |kind: &str, status: &str| {
        let mut known =
            items(Some(previous)).filter(|c| c["type"] == kind && c["status"] == status);
        known
            .next()
            .and_then(|c| c["lastTransitionTime"].as_str().map(str::to_owned))
    };
    let written = conditions.iter().map(|condition| {
        let status = if condition.is_so { "True" } else { "False" };
        let since = before(condition.kind, status).unwrap_or_else(|| time::seconds(now));
        // What is empty is written as nothing, so that an old text goes away.
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "type": condition.kind,
            "status": status,
            "reason": text(&condition.reason),
            "message": text(&condition.message),
            "observedGeneration": generation,
            "lastTransitionTime": since,
        })
    });
    // Those of a resize are there while they hold.
    let gone = [PENDING, IN_PROGRESS]
        .into_iter()
        .filter(|kind| conditions.iter().all(|condition| condition.kind != *kind));
    let gone = gone.filter(|kind| items(Some(previous)).any(|c| c["type"] == **kind));
    written.chain(gone.map(without)).collect()
}

fn borrowed<'w>(
    why: &'w Result<&'static str, (&'static str, String)>,
) -> Result<&'w str, (&'w str, String)> {
    why.as_ref()
        .map(|reason| *reason)
        .map_err(|(reason, message)| (*reason, message.clone()))
}

fn initialized(told: &Told<'_>, phase: &str) -> Result<&'static str, (&'static str, String)> {
    if phase == "Succeeded" {
        return Ok("PodCompleted");
    }
    if told.status.initialized {
        return Ok("");
    }
    let kinds = told.spec.init_containers.iter().map(|c| c.init_kind());
    let pending = told.status.init_containers.iter().zip(kinds);
    let pending = pending.filter(|(status, kind)| match kind {
        ContainerKind::Sidecar => !status.started,
        _ => !is_ready(status, *kind),
    });
    let names = joined(pending.map(|(status, _)| &status.name));
    Err((
        "ContainersNotInitialized",
        format!("containers with incomplete status: [{names}]"),
    ))
}

fn containers_ready(told: &Told<'_>, phase: &str) -> Result<&'static str, (&'static str, String)> {
    match phase {
        "Succeeded" => return Err(("PodCompleted", String::new())),
        "Failed" => return Err(("PodFailed", String::new())),
        _ => {}
    }
    let sidecars = told
        .status
        .init_containers
        .iter()
        .zip(&told.spec.init_containers);
    let sidecars = sidecars
        .filter(|(_, spec)| spec.restart_always)
        .map(|(status, _)| status);
    let unready = sidecars
        .chain(&told.status.containers)
        .filter(|c| told.gone || !runs_ready(c));
    let names = joined(unready.map(|c| &c.name));
    if names.is_empty() && told.status.phase != Phase::Terminating {
        return Ok("");
    }
    Err((
        "ContainersNotReady",
        format!("containers with unready status: [{names}]"),
    ))
}

fn runs_ready(container: &ContainerStatus) -> bool {
    container.ready && matches!(container.state, ContainerState::Running { .. })
}

/// Ready only when the conditions of others say so too.
fn gated<'w>(
    containers: Result<&'w str, (&'w str, String)>,
    gates: &[String],
    previous: &Value,
) -> Result<&'w str, (&'w str, String)> {
    containers?;
    let problems = gates.iter().filter_map(|gate| {
        let found = items(Some(previous)).find(|condition| condition["type"] == **gate);
        match found.map(|condition| condition["status"].as_str().unwrap_or_default()) {
            Some("True") => None,
            Some(status) => Some(format!(
                "the status of pod readiness gate \"{gate}\" is not \"True\", but {status}"
            )),
            None => Some(format!(
                "corresponding condition of pod readiness gate \"{gate}\" does not exist."
            )),
        }
    });
    let problems: Vec<String> = problems.collect();
    match problems.is_empty() {
        true => Ok(""),
        false => Err(("ReadinessGatesNotReady", problems.join(", "))),
    }
}

/// Said while the pod waits, and taken back when it has been said.
fn queued(told: &Told<'_>, previous: &Value) -> Option<Condition> {
    let status = told.status;
    if status.phase == Phase::Queued && !told.gone {
        let position = status.queue_position.map(position).unwrap_or_default();
        return Some(Condition {
            kind: QUEUED,
            is_so: true,
            reason: status.reason.clone(),
            message: format!("{position}{}", status.message),
        });
    }
    let was_said = items(Some(previous)).any(|condition| condition["type"] == QUEUED);
    // Not everybody who is deleted has had his turn.
    let is_leaving = told.gone || status.phase == Phase::Terminating;
    let reason = match is_leaving && status.timeline.admitted.is_none() {
        true => "Ended",
        false => "Admitted",
    };
    was_said.then(|| Condition::new(QUEUED, Err((reason, String::new()))))
}

/// Positions that are told are exact if they have one digit.
fn position(told: u32) -> String {
    match told {
        ..10 => format!("position {told}: "),
        10.. => format!("position {told} or later: "),
    }
}

/// Said while the pod asks for other resources than were given to it.
fn pending(told: &Told<'_>) -> Option<Condition> {
    let why = told.pending?;
    Some(Condition {
        kind: PENDING,
        is_so: true,
        reason: why.reason().to_owned(),
        message: why.message.clone(),
    })
}

/// Said until its containers have what was given to it.
fn in_progress(told: &Told<'_>) -> Option<Condition> {
    let (reason, message) = match told.status.resize.as_ref().filter(|_| !told.gone)? {
        Resize::InProgress => ("", String::new()),
        Resize::Failed(why) => ("Error", why.clone()),
    };
    Some(Condition {
        kind: IN_PROGRESS,
        is_so: true,
        reason: reason.to_owned(),
        message,
    })
}

fn joined<'n>(names: impl Iterator<Item = &'n ContainerName>) -> String {
    names
        .map(ContainerName::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}
