//! Pods of DaemonSets: many tolerate every taint, and so come to every node, wanted or not.

use serde_json::{Map, Value};

use super::needs::{items, text};
use crate::config::{DaemonSets, Taint};

/// Why a pod of a DaemonSet is not run; `None` if it is.
pub(crate) fn declined(
    owner: Option<&str>,
    spec: &Map<String, Value>,
    (rule, taints): (DaemonSets, &[Taint]),
) -> Option<String> {
    let name = owner?.strip_prefix("DaemonSet/")?;
    let why = match rule {
        DaemonSets::All => return None,
        DaemonSets::None => "this node runs no pods of DaemonSets",
        DaemonSets::Tolerating if taints.is_empty() || names_a_taint(spec, taints) => return None,
        DaemonSets::Tolerating => {
            "this node runs pods of DaemonSets that tolerate its taint by its key, not only every \
             taint there is"
        }
    };
    Some(format!("DaemonSet {name}: {why}"))
}

/// A toleration names one of the node's own taints.
fn names_a_taint(spec: &Map<String, Value>, taints: &[Taint]) -> bool {
    items(spec.get("tolerations"))
        .filter_map(|toleration| text(toleration, "key"))
        .any(|key| taints.iter().any(|taint| taint.key == key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn runs(rule: DaemonSets, owner: Option<&str>, tolerations: &Value, taint: &str) -> bool {
        let spec = json!({"tolerations": tolerations});
        let spec = spec.as_object().cloned().unwrap_or_default();
        let taints: Vec<Taint> = taint.parse().into_iter().collect();
        declined(owner, &spec, (rule, &taints)).is_none()
    }

    #[test]
    fn who_tolerates_everything_is_not_meant() {
        let own = "example.com/own=x:NoSchedule";
        let all = json!([{"operator": "Exists"}]);
        let ours =
            json!([{"operator": "Exists"}, {"key": "example.com/own", "operator": "Exists"}]);
        let set = Some("DaemonSet/proxy");
        for (rule, owner, tolerations, taint, runs_here) in [
            (DaemonSets::Tolerating, set, &all, own, false),
            (DaemonSets::Tolerating, set, &ours, own, true),
            (DaemonSets::Tolerating, set, &all, "", true),
            (DaemonSets::All, set, &all, own, true),
            (DaemonSets::None, set, &ours, own, false),
            (DaemonSets::None, Some("ReplicaSet/web"), &all, own, true),
            (DaemonSets::None, None, &all, own, true),
        ] {
            let seen = runs(rule, owner, tolerations, taint);
            assert_eq!(seen, runs_here, "{rule:?} {owner:?} {tolerations} {taint}");
        }
    }
}
