//! The node's lease: what says that it is alive. Pure; [`crate::heartbeat`] writes it.

use burstlet_model::WallTime;
use serde_json::{Value, json};

use crate::time;

/// Where the nodes' leases are.
pub(crate) const NAMESPACE: &str = "kube-node-lease";
/// How long the node counts as alive after a renewal.
pub(crate) const LEASE_DURATION_S: u32 = 40;

/// The lease to write over `previous`, as the API server has it.
///
/// `node_uid` is known once the node is registered; the lease then goes with it.
pub(crate) fn lease_to_write(
    node: &str,
    node_uid: Option<&str>,
    previous: Option<&Value>,
    now: WallTime,
) -> Value {
    let mut lease = previous.cloned().unwrap_or_else(|| {
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": node, "namespace": NAMESPACE},
        })
    });
    lease["spec"]["holderIdentity"] = node.into();
    lease["spec"]["leaseDurationSeconds"] = LEASE_DURATION_S.into();
    lease["spec"]["renewTime"] = time::micros(now).into();
    if let Some(uid) = node_uid {
        lease["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}]);
    }
    lease
}

/// Seconds since the lease was renewed, if it was not longer ago than it lasts.
pub(crate) fn fresh_s(lease: &Value, now: WallTime) -> Option<i64> {
    let renewed = time::parse(lease["spec"]["renewTime"].as_str()?)?;
    let lasts = lease["spec"]["leaseDurationSeconds"]
        .as_i64()
        .unwrap_or(i64::from(LEASE_DURATION_S));
    let age = now.unix_s() - renewed;
    (age < lasts).then_some(age.max(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime(1_700_000_000_000_000_000);

    #[test]
    fn a_first_lease_has_all_that_it_needs() {
        let lease = lease_to_write("n1", None, None, NOW);
        assert_eq!(lease["metadata"]["name"], "n1");
        assert_eq!(lease["spec"]["renewTime"], "2023-11-14T22:13:20.000000Z");
        assert!(lease["metadata"].get("ownerReferences").is_none());
    }

    #[test]
    fn a_renewal_keeps_what_others_wrote() {
        let mut previous = lease_to_write("n1", None, None, NOW);
        previous["metadata"]["resourceVersion"] = "7".into();
        previous["metadata"]["labels"] = json!({"a": "b"});
        let later = WallTime(NOW.0 + 10_000_000_000);
        let lease = lease_to_write("n1", Some("u-1"), Some(&previous), later);
        assert_eq!(lease["metadata"]["resourceVersion"], "7");
        assert_eq!(lease["metadata"]["labels"]["a"], "b");
        assert_eq!(lease["metadata"]["ownerReferences"][0]["uid"], "u-1");
        assert_eq!(lease["spec"]["renewTime"], "2023-11-14T22:13:30.000000Z");
    }

    #[test]
    fn freshness_ends_with_the_lease() {
        let lease = lease_to_write("n1", None, None, NOW);
        let after = |s: i64| fresh_s(&lease, WallTime(NOW.0 + s * 1_000_000_000));
        assert_eq!(after(0), Some(0));
        assert_eq!(after(39), Some(39));
        assert_eq!(after(40), None);
        // The other's clock may be ahead.
        assert_eq!(after(-5), Some(0));
        assert_eq!(fresh_s(&json!({}), NOW), None);
    }
}
