//! The whole status of a pod, in a kubelet's words.

use std::net::IpAddr;

use burstlet_model::WallTime;
use burstlet_model::status::{ContainerState, Phase};
use serde_json::{Map, Value, json};

use super::conditions;
use super::containers::{Told, not_started};
use super::ephemeral::LIST as EPHEMERAL;
use super::inline::Missing;
use super::needs::{items, text};
use super::seen::Pod;
use crate::time;

/// The fields of a status that are this node's to say.
pub(crate) type Status = Map<String, Value>;

/// A pod, and the status that the API server has of it.
pub(crate) type Had<'a> = (&'a Pod, &'a Value);

/// A pod and its group.
pub(crate) fn of_group((pod, has): Had<'_>, told: &Told<'_>, addresses: &[IpAddr]) -> Status {
    let spec = pod.spec();
    let gates: Vec<String> = items(spec.get("readinessGates"))
        .filter_map(|gate| text(gate, "conditionType").map(str::to_owned))
        .collect();
    let previous = &has["conditions"];
    let phase = phase(pod, told);
    let conditions = conditions::of_group(told, phase, &gates, previous);
    let generation = told.generation;
    let mut status = begun((has, generation), phase, told.status.created_at, addresses);
    let conditions = conditions::written(&conditions, previous, generation, told.now);
    status.insert("conditions".to_owned(), conditions.into());
    let (reason, message) = why((pod, has), told, phase);
    status.insert("reason".to_owned(), reason);
    status.insert("message".to_owned(), message);
    status.insert(
        "initContainerStatuses".to_owned(),
        told.init_containers(&spec).into(),
    );
    status.insert(
        "containerStatuses".to_owned(),
        told.containers(&spec).into(),
    );
    if let Some((resources, allocated)) = told.whole(&spec) {
        status.insert("resources".to_owned(), resources);
        status.insert("allocatedResources".to_owned(), allocated);
    }
    status.insert(
        "ephemeralContainerStatuses".to_owned(),
        told.ephemeral_containers(&spec).into(),
    );
    let own = match told.spec.network.host_network {
        true => addresses.to_vec(),
        false => told.status.ip.into_iter().collect(),
    };
    if let Some(first) = own.first() {
        status.insert("podIP".to_owned(), first.to_string().into());
        status.insert("podIPs".to_owned(), ips(&own));
    }
    status
}

/// A pod that cannot be made into a group yet.
pub(crate) fn of_waiting(
    (pod, has): Had<'_>,
    why: &Missing,
    addresses: &[IpAddr],
    now: WallTime,
) -> Status {
    let spec = pod.spec();
    let previous = &has["conditions"];
    let mut status = begun((has, pod.generation), "Pending", now, addresses);
    let conditions = conditions::of_none(&spec);
    let conditions = conditions::written(&conditions, previous, pod.generation, now);
    status.insert("conditions".to_owned(), conditions.into());
    for (name, list) in [
        ("initContainerStatuses", "initContainers"),
        ("containerStatuses", "containers"),
        ("ephemeralContainerStatuses", EPHEMERAL),
    ] {
        status.insert(name.to_owned(), not_started(&spec, list, Some(why)).into());
    }
    status
}

/// A pod that this node will not run, or can say nothing more of.
pub(crate) fn of_failed((pod, has): Had<'_>, reason: &str, message: &str, now: WallTime) -> Status {
    let mut status = begun((has, pod.generation), "Failed", now, &[]);
    status.insert("reason".to_owned(), reason.into());
    status.insert("message".to_owned(), message.into());
    status
}

/// A pod that has come to its end never leaves it, and none comes to it while a process may run.
pub(crate) fn phase(pod: &Pod, told: &Told<'_>) -> &'static str {
    match pod.phase() {
        _ if pod.from_file => {}
        "Succeeded" => return "Succeeded",
        "Failed" => return "Failed",
        _ => {}
    }
    let status = told.status;
    let ended_well = |state: &ContainerState| matches!(state, ContainerState::Terminated(exit) if exit.success());
    match status.phase {
        _ if told.gone => match status.containers.iter().all(|c| ended_well(&c.state)) {
            true => "Succeeded",
            false => "Failed",
        },
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
        Phase::Queued | Phase::Pending => "Pending",
        Phase::Running => "Running",
        // On its way out: as it was.
        Phase::Stopping | Phase::Stopped | Phase::Terminating => {
            let ran = |c: &burstlet_model::status::ContainerStatus| {
                c.last_exit.is_some() || !matches!(c.state, ContainerState::Waiting { .. })
            };
            if pod.phase() == "Running" || status.containers.iter().all(ran) {
                "Running"
            } else {
                "Pending"
            }
        }
    }
}

fn begun(
    (has, generation): (&Value, Option<i64>),
    phase: &str,
    now: WallTime,
    addresses: &[IpAddr],
) -> Status {
    let start = text(has, "startTime").map_or_else(|| time::seconds(now), str::to_owned);
    let mut status = Map::new();
    status.insert("phase".to_owned(), phase.into());
    status.insert("startTime".to_owned(), start.into());
    if let Some(generation) = generation {
        status.insert("observedGeneration".to_owned(), generation.into());
    }
    if let Some(first) = addresses.first() {
        status.insert("hostIP".to_owned(), first.to_string().into());
        status.insert("hostIPs".to_owned(), ips(addresses));
    }
    status
}

fn ips(addresses: &[IpAddr]) -> Value {
    addresses
        .iter()
        .map(|ip| json!({"ip": ip.to_string()}))
        .collect()
}

/// Why it failed. What keeps it waiting is said by its conditions and containers.
fn why((pod, has): Had<'_>, told: &Told<'_>, phase: &str) -> (Value, Value) {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if phase != "Failed" {
        return (Value::Null, Value::Null);
    }
    if pod.is_terminal() {
        // Who ended it may have said why, and that stays.
        return (has["reason"].clone(), has["message"].clone());
    }
    let status = told.status;
    match status.phase {
        Phase::Failed => (text(&status.reason).into(), text(&status.message).into()),
        _ => (Value::Null, Value::Null),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
