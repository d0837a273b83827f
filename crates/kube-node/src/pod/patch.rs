//! What of a status has to be written: a strategic patch with the differences only. Conditions are
//! merged by the API server, so that those of others stay.

use burstlet_model::GroupUid;
use serde_json::{Map, Value, json};

use super::needs::items;
use super::status::Status;

/// The patch from what the API server has to `wanted`; `None` if there is nothing to write. It holds
/// for the pod of this uid only.
pub(crate) fn patch(uid: &GroupUid, has: &Value, wanted: &Status) -> Option<Value> {
    let mut changed = Map::new();
    for (name, value) in wanted {
        let before = &has[name.as_str()];
        let now = match name.as_str() {
            "conditions" => conditions(before, value),
            _ => differs(&pruned(before), &pruned(value)).then(|| value.clone()),
        };
        changed.extend(now.map(|now| (name.clone(), now)));
    }
    (!changed.is_empty()).then(|| json!({"metadata": {"uid": uid.as_str()}, "status": changed}))
}

/// Nothing is as good as an empty list.
fn differs(before: &Value, now: &Value) -> bool {
    before != now && !(says_nothing(before) && says_nothing(now))
}

/// Where a condition is to be no more: the strategic patch's own word.
const DIRECTIVE: &str = "$patch";

/// A condition of this kind is to be no more.
pub(crate) fn without(kind: &str) -> Value {
    json!({DIRECTIVE: "delete", "type": kind})
}

/// Only those that say something new, and of those that are to go the ones that are there.
fn conditions(before: &Value, wanted: &Value) -> Option<Value> {
    let is_there = |known: &&Value| known.get(DIRECTIVE).is_none();
    let is_new = |condition: &&Value| {
        let mut known = items(Some(before)).filter(is_there);
        let known = known.find(|known| known["type"] == condition["type"]);
        if condition.get(DIRECTIVE).is_some() {
            return known.is_some();
        }
        let said = ["status", "reason", "message", "observedGeneration"];
        known.is_none_or(|known| {
            said.iter()
                .any(|name| empty_as_null(&known[*name]) != empty_as_null(&condition[*name]))
        })
    };
    let new: Vec<Value> = items(Some(wanted)).filter(is_new).cloned().collect();
    (!new.is_empty()).then_some(Value::Array(new))
}

fn empty_as_null(value: &Value) -> &Value {
    match value {
        Value::String(text) if text.is_empty() => &Value::Null,
        value => value,
    }
}

/// Without what says nothing: the API server writes some of it out, and leaves some away.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object
                .iter()
                .map(|(name, value)| (name.clone(), pruned(value)));
            Value::Object(kept.filter(|(_, value)| !says_nothing(value)).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(pruned).collect()),
        other => other.clone(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn check(has: &Value, wanted: &Value, expected: Option<Value>) {
        let uid = GroupUid::new("u-1").unwrap();
        let patched = patch(&uid, has, wanted.as_object().unwrap());
        let expected = expected.map(|status| json!({"metadata": {"uid": "u-1"}, "status": status}));
        assert_eq!(patched, expected);
    }

    #[test]
    fn nothing_new_is_not_written() {
        let has = json!({
            "phase": "Running", "qosClass": "Burstable",
            "containerStatuses": [{"name": "a", "lastState": {}, "ready": false}],
            "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null}, {"type": "theirs", "status": "False"}],
        });
        let wanted = json!({
            "phase": "Running", "reason": null,
            "containerStatuses": [{"name": "a", "ready": false}], "initContainerStatuses": [],
            "conditions": [{"type": "Ready", "status": "True", "reason": null, "message": null}],
        });
        check(&has, &wanted, None);
    }

    #[test]
    fn lists_of_containers_are_written_whole_and_conditions_one_by_one() {
        let has = json!({
            "containerStatuses": [{"name": "a", "ready": false}, {"name": "b", "ready": true}],
            "conditions": [{"type": "Ready", "status": "False", "reason": "X"}, {"type": "PodScheduled", "status": "True"}],
        });
        let wanted = json!({
            "containerStatuses": [{"name": "a", "ready": true}, {"name": "b", "ready": true}],
            "conditions": [{"type": "Ready", "status": "True", "reason": null}, {"type": "PodScheduled", "status": "True"}],
        });
        let expected = json!({
            "containerStatuses": [{"name": "a", "ready": true}, {"name": "b", "ready": true}],
            "conditions": [{"type": "Ready", "status": "True", "reason": null}],
        });
        check(&has, &wanted, Some(expected));
    }

    #[test]
    fn conditions_go_once() {
        let has = json!({"conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "True"}]});
        let wanted = json!({"conditions": [{"type": "Ready", "status": "True"}, without("Old"), without("Other")]});
        check(&has, &wanted, Some(json!({"conditions": [without("Old")]})));
        check(&wanted, &wanted, None);
        let again = json!({"conditions": [{"type": "Old", "status": "True"}]});
        check(&wanted, &again, Some(again.clone()));
    }

    #[test]
    fn what_is_taken_back_is_written_as_nothing() {
        let has = json!({"reason": "Old", "phase": "Pending"});
        check(
            &has,
            &json!({"reason": null, "phase": "Pending"}),
            Some(json!({"reason": null})),
        );
    }
}
