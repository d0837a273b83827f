//! What becomes of DaemonSets' pods, many of which tolerate every node there is.

use crate::cluster::Cluster;
use crate::node::{Node, condition};
use crate::pods::template;

fn daemon_set(name: &str, tolerations: &str) -> String {
    let template = template("sleep 1000", 6).replace(
        "[{key: virtual-kubelet.io/provider, operator: Exists}]",
        tolerations,
    );
    format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}}}\nspec:\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec:\n{template}"
    )
}

/// One that tolerates the node's taint by its key runs; one that tolerates everything waits and says
/// why, and does not fail again and again.
pub(crate) fn they_come_where_they_are_meant_to(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let own = "[{key: virtual-kubelet.io/provider, operator: Exists}]";
    admin.apply(&daemon_set("meant", own));
    admin.apply(&daemon_set("everywhere", "[{operator: Exists}]"));
    admin.wait_until(&["pods", "-l", "app=meant"], "ready", |pods| {
        let pods = pods.unwrap()["items"].as_array().unwrap();
        pods.len() == 1 && condition(&pods[0], "Ready")["status"] == "True"
    });
    let declined = admin.wait_until(&["pods", "-l", "app=everywhere"], "declined", |pods| {
        let state = &pods.unwrap()["items"][0]["status"]["containerStatuses"][0]["state"];
        state["waiting"].is_object()
    });
    assert_eq!(declined.unwrap()["items"][0]["status"]["phase"], "Pending");
    let told = admin.wait_until(&["events"], "told", |events| {
        let events = events.unwrap()["items"].as_array().unwrap();
        events
            .iter()
            .any(|event| event["reason"] == "NotMeantForThisNode")
    });
    assert!(told.is_some());
    admin.run(&["delete", "daemonset", "meant", "everywhere"]);
    let both = ["pods", "-l", "app in (meant,everywhere)"];
    admin.wait_until(&both, "gone", |pods| {
        pods.unwrap()["items"] == serde_json::json!([])
    });
}
