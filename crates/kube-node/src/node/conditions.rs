//! The node's conditions, in a kubelet's words, for scripts look at them. Pure.

use burstlet_model::WallTime;
use serde_json::{Value, json};

use super::{Finding, NodeCondition};
use crate::time;

/// Conditions of this domain are ours.
const OURS: &str = "burstlet.dev/";
/// Whether the network is unavailable, why not, and in a sentence.
const NETWORK_IS_WELL: (bool, &str, &str) =
    (false, "RouteCreated", "the node connects its pods itself");

/// A pressure: its name, whether it is there, and the words for yes and no.
type Pressure = (&'static str, bool, [&'static str; 2], [&'static str; 2]);

/// All conditions over those of before, as a strategic patch's list; `Ready` comes last.
pub(super) fn conditions(now_is: &NodeCondition, previous: &Value, now: WallTime) -> Vec<Value> {
    let mut conditions: Vec<Value> = pressures(now_is)
        .iter()
        .map(|(kind, is_so, reasons, messages)| {
            let at = usize::from(!is_so);
            condition(kind, *is_so, reasons[at], messages[at], previous, now)
        })
        .collect();
    conditions.extend(now_is.findings.iter().map(|found| {
        let Finding { kind, reason, .. } = found;
        condition(kind, found.is_so, reason, &found.message, previous, now)
    }));
    conditions.extend(outdated(now_is, previous));
    let ((is_so, reason, message), hindrance) = match &now_is.network {
        None => (NETWORK_IS_WELL, None),
        Some(trouble) => (
            (true, trouble.reason, trouble.message.as_str()),
            trouble.is_fatal.then_some(trouble.message.as_str()),
        ),
    };
    let kind = "NetworkUnavailable";
    conditions.push(condition(kind, is_so, reason, message, previous, now));
    let (reason, message) = match hindrance {
        None => ("KubeletReady", "kubelet is posting ready status"),
        Some(trouble) => ("KubeletNotReady", trouble),
    };
    let is_ready = hindrance.is_none();
    conditions.push(condition("Ready", is_ready, reason, message, previous, now));
    conditions
}

const fn pressures(now_is: &NodeCondition) -> [Pressure; 3] {
    [
        (
            "MemoryPressure",
            now_is.memory_pressure,
            ["KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"],
            [
                "kubelet has insufficient memory available",
                "kubelet has sufficient memory available",
            ],
        ),
        (
            "DiskPressure",
            now_is.disk_pressure,
            ["KubeletHasDiskPressure", "KubeletHasNoDiskPressure"],
            ["kubelet has disk pressure", "kubelet has no disk pressure"],
        ),
        (
            "PIDPressure",
            now_is.pid_pressure,
            ["KubeletHasInsufficientPID", "KubeletHasSufficientPID"],
            [
                "kubelet has insufficient PID available",
                "kubelet has sufficient PID available",
            ],
        ),
    ]
}

/// Takes away conditions of ours that nobody looks after any more.
fn outdated(now_is: &NodeCondition, previous: &Value) -> Vec<Value> {
    let is_kept = |kind: &str| now_is.findings.iter().any(|found| found.kind == kind);
    let before = previous.as_array().into_iter().flatten();
    before
        .filter_map(|condition| condition["type"].as_str())
        .filter(|kind| kind.starts_with(OURS) && !is_kept(kind))
        .map(|kind| json!({"$patch": "delete", "type": kind}))
        .collect()
}

fn condition(
    kind: &str,
    is_so: bool,
    reason: &str,
    message: &str,
    previous: &Value,
    now: WallTime,
) -> Value {
    let status = if is_so { "True" } else { "False" };
    let before = previous.as_array().into_iter().flatten();
    let mut before = before.filter(|c| c["type"] == kind && c["status"] == status);
    let since = before
        .next()
        .and_then(|c| c["lastTransitionTime"].as_str())
        .map_or_else(|| time::seconds(now), str::to_owned);
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": time::seconds(now),
        "lastTransitionTime": since,
    })
}
