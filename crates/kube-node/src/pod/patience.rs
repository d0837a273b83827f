//! How long a change of a pod's status may wait for the next, so that both are one write: a pod is
//! written as few times as those who wait for it allow.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::conditions::QUEUED;
use super::needs::items;
use super::status::Status;

/// A pod that is being started says nothing that anybody waits for until it runs; but who looks at one
/// that takes longer should see that it is.
const BEGINNING: Duration = Duration::from_secs(3);
/// A change that nobody waits for.
const CALM: Duration = Duration::from_millis(200);
/// The place of a pod that waits for room, by the digits of its position: all that wait are told of
/// others who come and go, and who is far behind will wait for long anyway.
const PLACES: [Duration; 3] = [
    Duration::from_secs(20),
    Duration::from_secs(60),
    Duration::from_secs(300),
];
/// How much is free for a pod whose place stays what it is: that concerns everybody who waits, whenever
/// somebody comes or goes.
const FREE: Duration = Duration::from_secs(300);
/// What becomes of a deleted pod that has never run. Its end is written at once.
const LEAVING: Duration = Duration::from_secs(60);
/// What containers wait for that are simply being started.
const BEING_STARTED: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// How long the `change` from what the API server `has` to `wanted` may wait, of a pod that may be deleted.
pub(crate) fn patience(has: &Value, wanted: &Status, change: &Value, is_deleted: bool) -> Duration {
    let same_phase = has["phase"].as_str().unwrap_or("Pending") == wanted["phase"];
    let (before, now) = (has.get("conditions"), wanted.get("conditions"));
    if !same_phase || is_ready(before) != is_ready(now) {
        return Duration::ZERO;
    }
    match wanted["phase"] == "Pending" {
        true if is_deleted && !has_begun(wanted) => LEAVING,
        true if is_queued(before) && is_queued(now) => {
            match is_of_room(before, &change["status"]) {
                true => FREE,
                false => of_place(now),
            }
        }
        true if is_beginning(wanted) => BEGINNING,
        _ => CALM,
    }
}

/// A difference between what the API server has and what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    patience: Duration,
    due: Instant,
}

impl Difference {
    /// A difference that may wait for so long. What waited `before` it is told no later than it was to be,
    /// unless this may wait for longer and so is another matter: what a deleted pod has not said yet of
    /// its place need not be said any more.
    pub(crate) fn next(before: Option<Self>, patience: Duration, now: Instant) -> Self {
        let before = before.filter(|before| before.patience >= patience);
        let due = now + patience;
        Self {
            patience,
            due: before.map_or(due, |before| due.min(before.due)),
        }
    }

    /// When it is told at the latest.
    pub(crate) const fn due(self) -> Instant {
        self.due
    }
}

fn queued(conditions: Option<&Value>) -> Option<&Value> {
    let mut conditions = items(conditions);
    conditions.find(|c| c["type"] == QUEUED && c["status"] == "True")
}

fn is_queued(conditions: Option<&Value>) -> bool {
    queued(conditions).is_some()
}

/// Whether a change says nothing new but how much there is for a pod that waits.
fn is_of_room(before: Option<&Value>, change: &Value) -> bool {
    let fields = change.as_object().map(Map::len);
    let conditions = change.get("conditions");
    fields == Some(1) && items(conditions).count() == 1 && place(before) == place(conditions)
}

/// Why a pod waits and how far in front, without the amounts.
fn place(conditions: Option<&Value>) -> Option<(&Value, &str, &Value)> {
    let queued = queued(conditions)?;
    Some((
        &queued["reason"],
        position(queued),
        &queued["observedGeneration"],
    ))
}

/// The first part of the message.
fn position(queued: &Value) -> &str {
    let message = queued["message"].as_str().unwrap_or_default();
    message.split(": ").next().unwrap_or_default()
}

fn of_place(conditions: Option<&Value>) -> Duration {
    let position = queued(conditions).map(position).unwrap_or_default();
    let digits = position.bytes().filter(u8::is_ascii_digit).count();
    PLACES[digits.clamp(1, PLACES.len()) - 1]
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
    use crate::pod::patch::patch;

    fn found(has: &Value, wanted: &Value, is_deleted: bool) -> Duration {
        let uid = "u-1".parse().unwrap();
        let wanted = wanted.as_object().unwrap();
        let change = patch(&uid, has, wanted).unwrap_or_default();
        patience(has, wanted, &change, is_deleted)
    }

    fn check(has: &Value, wanted: &Value, expected: Duration) {
        assert_eq!(found(has, wanted, false), expected, "{has} to {wanted}");
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
        let patience = |has: &Value, wanted: &Value| found(has, wanted, true);
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
    fn a_place_is_written_sooner_than_what_is_free() {
        let waits = |reason: &str, message: &str| {
            let mut queued = awaiting("ContainerCreating");
            queued["conditions"] = json!([
                {"type": QUEUED, "status": "True", "reason": reason, "message": message},
            ]);
            queued
        };
        let has = waits(
            "OutOfcpu",
            "position 3: waits for cpu: 1 requested, 200m free",
        );
        for (reason, message, expected) in [
            (
                "OutOfcpu",
                "position 3: waits for cpu: 1 requested, 300m free",
                FREE,
            ),
            (
                "OutOfcpu",
                "position 2: waits for cpu: 1 requested, 200m free",
                PLACES[0],
            ),
            (
                "OutOfmemory",
                "position 3: waits for memory: 1Gi requested, 0 free",
                PLACES[0],
            ),
            (
                "BehindOthers",
                "position 3: waits for groups that came first",
                PLACES[0],
            ),
            ("BehindOthers", "position 20 or later: waits", PLACES[1]),
            ("BehindOthers", "position 200 or later: waits", PLACES[2]),
            ("BehindOthers", "position 4000 or later: waits", PLACES[2]),
        ] {
            check(&has, &waits(reason, message), expected);
        }
        let mut more = waits(
            "OutOfcpu",
            "position 3: waits for cpu: 1 requested, 300m free",
        );
        more["containerStatuses"][0]["state"]["waiting"]["message"] = "changed".into();
        check(&has, &more, PLACES[0]);
        more = waits(
            "OutOfcpu",
            "position 3: waits for cpu: 1 requested, 300m free",
        );
        more["conditions"][0]["observedGeneration"] = 2.into();
        check(&has, &more, PLACES[0]);
    }

    /// A pod that waits for room and is deleted before its turn, and what is wanted of it from second
    /// to second: it is written once, when it has ended.
    #[test]
    fn a_deleted_pod_is_given_its_time_whatever_waited_before() {
        let began = Instant::now();
        let at = |second: u64| began + Duration::from_secs(second);
        let mut difference = None;
        for (second, patience, due) in [
            (0, FREE, 300),
            (200, FREE, 300),
            (210, PLACES[0], 230),
            (215, PLACES[0], 230),
            // It is deleted: its end is about to be written.
            (229, LEAVING, 289),
            (250, LEAVING, 289),
            (280, Duration::ZERO, 280),
        ] {
            let next = Difference::next(difference, patience, at(second));
            assert_eq!(next.due(), at(due), "{second} s");
            difference = Some(next);
        }
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
        let mut begun = awaiting("PodInitializing");
        begun["initContainerStatuses"] = json!([{"state": {"running": {}}}]);
        check(&bound, &begun, CALM);
    }
}
