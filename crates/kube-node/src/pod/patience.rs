//! How long a change of a pod's status may wait for the next, so that both are one write: a pod is
//! written as few times as those who wait for it allow.

use std::time::Duration;

use serde_json::Value;

use super::conditions::QUEUED;
use super::needs::items;
use super::status::Status;

/// A pod that is being started says nothing that anybody waits for until it runs; but who looks at one
/// that takes longer should see that it is.
const BEGINNING: Duration = Duration::from_secs(3);
/// A change that nobody waits for.
const CALM: Duration = Duration::from_millis(200);
/// What containers wait for that are simply being started.
const BEING_STARTED: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// How long the step from what the API server `has` to `wanted` may wait.
pub(crate) fn patience(has: &Value, wanted: &Status) -> Duration {
    let same_phase = has["phase"].as_str().unwrap_or("Pending") == wanted["phase"];
    if !same_phase || is_ready(has.get("conditions")) != is_ready(wanted.get("conditions")) {
        return Duration::ZERO;
    }
    match is_beginning(wanted) {
        true => BEGINNING,
        false => CALM,
    }
}

fn is_ready(conditions: Option<&Value>) -> bool {
    let mut conditions = items(conditions);
    conditions.any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Whether the pod is being started, and nothing hinders.
fn is_beginning(wanted: &Status) -> bool {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let mut containers = lists.iter().flat_map(|list| items(wanted.get(*list)));
    let mut conditions = items(wanted.get("conditions"));
    wanted["phase"] == "Pending"
        && !conditions.any(|c| c["type"] == QUEUED && c["status"] == "True")
        && containers.all(|container| {
            let waiting = &container["state"]["waiting"];
            let reason = waiting["reason"].as_str();
            reason.is_some_and(|reason| BEING_STARTED.contains(&reason))
                && waiting["message"].is_null()
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(has: &Value, wanted: &Value, expected: Duration) {
        let found = patience(has, wanted.as_object().unwrap());
        assert_eq!(found, expected, "{has} to {wanted}");
    }

    fn waiting(reason: &str) -> Value {
        json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": reason}}}]})
    }

    fn ready(phase: &str, status: &str) -> Value {
        json!({"phase": phase, "conditions": [{"type": "Ready", "status": status}]})
    }

    #[test]
    fn what_somebody_waits_for_is_written_at_once() {
        check(&json!({}), &ready("Running", "True"), Duration::ZERO);
        let running = ready("Running", "False");
        check(&running, &ready("Running", "True"), Duration::ZERO);
        check(&running, &ready("Failed", "False"), Duration::ZERO);
        check(&running, &running, CALM);
    }

    #[test]
    fn a_start_is_written_when_it_takes_long() {
        let bound = json!({"phase": "Pending"});
        check(&bound, &waiting("ContainerCreating"), BEGINNING);
        check(&bound, &waiting("PodInitializing"), BEGINNING);
    }

    #[test]
    fn what_hinders_a_start_is_written_soon() {
        let bound = json!({"phase": "Pending"});
        check(&bound, &waiting("ErrImagePull"), CALM);
        let mut said = waiting("ContainerCreating");
        said["containerStatuses"][0]["state"]["waiting"]["message"] = "it is missing".into();
        check(&bound, &said, CALM);
        let mut queued = waiting("ContainerCreating");
        queued["conditions"] = json!([{"type": QUEUED, "status": "True"}]);
        check(&bound, &queued, CALM);
        let mut begun = waiting("PodInitializing");
        begun["initContainerStatuses"] = json!([{"state": {"running": {}}}]);
        check(&bound, &begun, CALM);
    }
}
