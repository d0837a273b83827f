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
/// The place of a pod that waits for room: all that wait are told of others who come and go.
const PLACE: Duration = Duration::from_secs(20);
/// What becomes of a deleted pod that has never run. Its end is written at once.
const LEAVING: Duration = Duration::from_secs(60);
/// What containers wait for that are simply being started.
const BEING_STARTED: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// How long the step from what the API server `has` to `wanted` may wait, of a pod that may be deleted.
pub(crate) fn patience(has: &Value, wanted: &Status, is_deleted: bool) -> Duration {
    let same_phase = has["phase"].as_str().unwrap_or("Pending") == wanted["phase"];
    if !same_phase || is_ready(has.get("conditions")) != is_ready(wanted.get("conditions")) {
        return Duration::ZERO;
    }
    match wanted["phase"] == "Pending" {
        true if is_deleted && !has_begun(wanted) => LEAVING,
        true if is_queued(has.get("conditions")) && is_queued(wanted.get("conditions")) => PLACE,
        true if is_beginning(wanted) => BEGINNING,
        _ => CALM,
    }
}

fn is_queued(conditions: Option<&Value>) -> bool {
    let mut conditions = items(conditions);
    conditions.any(|c| c["type"] == QUEUED && c["status"] == "True")
}

fn is_ready(conditions: Option<&Value>) -> bool {
    let mut conditions = items(conditions);
    conditions.any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// What each container waits for: null of one that runs, or has run.
fn waiting(wanted: &Status) -> impl Iterator<Item = &Value> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let containers = lists.into_iter().flat_map(|list| items(wanted.get(list)));
    containers.map(|container| &container["state"]["waiting"])
}

fn has_begun(wanted: &Status) -> bool {
    waiting(wanted).any(Value::is_null)
}

/// Whether the pod is being started, and nothing hinders.
fn is_beginning(wanted: &Status) -> bool {
    !is_queued(wanted.get("conditions"))
        && waiting(wanted).all(|waiting| {
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
        let found = patience(has, wanted.as_object().unwrap(), false);
        assert_eq!(found, expected, "{has} to {wanted}");
    }

    fn awaiting(reason: &str) -> Value {
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
    fn only_the_end_is_written_of_a_deleted_pod_that_has_never_run() {
        let patience =
            |has: &Value, wanted: &Value| patience(has, wanted.as_object().unwrap(), true);
        let waits = awaiting("ContainerCreating");
        assert_eq!(patience(&waits, &waits), LEAVING);
        let mut begun = waits.clone();
        begun["initContainerStatuses"] = json!([{"state": {"running": {}}}]);
        assert_eq!(patience(&waits, &begun), CALM);
        assert_eq!(
            patience(&waits, &json!({"phase": "Failed"})),
            Duration::ZERO
        );
        let running = ready("Running", "True");
        assert_eq!(patience(&running, &running), CALM);
        assert_eq!(
            patience(&running, &ready("Running", "False")),
            Duration::ZERO
        );
    }

    #[test]
    fn a_start_is_written_when_it_takes_long() {
        let bound = json!({"phase": "Pending"});
        check(&bound, &awaiting("ContainerCreating"), BEGINNING);
        check(&bound, &awaiting("PodInitializing"), BEGINNING);
    }

    #[test]
    fn what_hinders_a_start_is_written_soon() {
        let bound = json!({"phase": "Pending"});
        check(&bound, &awaiting("ErrImagePull"), CALM);
        let mut said = awaiting("ContainerCreating");
        said["containerStatuses"][0]["state"]["waiting"]["message"] = "it is missing".into();
        check(&bound, &said, CALM);
        let mut queued = awaiting("ContainerCreating");
        queued["conditions"] = json!([{"type": QUEUED, "status": "True"}]);
        check(&bound, &queued, CALM);
        check(&queued, &queued, PLACE);
        let mut begun = awaiting("PodInitializing");
        begun["initContainerStatuses"] = json!([{"state": {"running": {}}}]);
        check(&bound, &begun, CALM);
    }
}
