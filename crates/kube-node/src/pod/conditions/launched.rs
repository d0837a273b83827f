//! How long each step of a pod's launch took, for who wonders why it was slow. Said once, with the write
//! that says that the pod is ready.

use burstlet_model::Stamp;
use burstlet_model::status::LaunchTimeline;
use serde_json::Value;

use super::Condition;
use crate::pod::needs::items;

/// Ours: the pod was launched, and what that took.
const LAUNCHED: &str = "burstlet.dev/Launched";

/// Once it is ready; nothing where it has been said, for it does not change.
pub(super) fn launched(timeline: &LaunchTimeline, previous: &Value) -> Option<Condition> {
    let was_said = items(Some(previous)).any(|condition| condition["type"] == LAUNCHED);
    if was_said || timeline.ready.is_none() {
        return None;
    }
    Some(Condition {
        kind: LAUNCHED,
        is_so: true,
        reason: "Launched".to_owned(),
        message: told(timeline)?,
    })
}

/// The steps that are known, each with the time that it was done at, counted from the first.
fn told(timeline: &LaunchTimeline) -> Option<String> {
    let accepted = timeline.accepted?;
    let steps: [(&str, Option<Stamp>); 7] = [
        ("admitted", timeline.admitted),
        ("pulled", timeline.pulled),
        ("sandbox", timeline.sandbox_created),
        ("network", timeline.network_ready),
        ("created", timeline.container_created),
        ("started", timeline.started),
        ("ready", timeline.ready),
    ];
    let steps = steps.into_iter().filter_map(|(step, at)| {
        let after = at?.boot.since(accepted.boot);
        Some(format!("{step} {} ms", after.as_millis()))
    });
    Some(steps.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_model::{BootTime, WallTime};
    use serde_json::json;

    use super::*;

    fn at(ms: u64) -> Option<Stamp> {
        Some(Stamp {
            boot: BootTime((100 + ms) * 1_000_000),
            wall: WallTime(0),
        })
    }

    #[test]
    fn it_is_said_once_and_when_all_is_done() {
        let mut timeline = LaunchTimeline {
            accepted: at(0),
            pulled: at(2),
            started: at(9),
            ..LaunchTimeline::default()
        };
        assert_eq!(launched(&timeline, &Value::Null), None);
        timeline.ready = at(12);
        let said = launched(&timeline, &Value::Null).unwrap();
        assert_eq!(said.message, "pulled 2 ms, started 9 ms, ready 12 ms");
        assert_eq!(launched(&timeline, &json!([{"type": LAUNCHED}])), None);
    }
}
