//! Who may do what: the rules that a node has to live with are on in this control plane.

use crate::cluster::Cluster;

/// Every part answers, and the controllers do their work.
pub(crate) fn control_plane_is_up(cluster: &Cluster) {
    let admin = cluster.admin();
    let version = admin.run(&["version", "-o", "json"]);
    let version: serde_json::Value = serde_json::from_str(&version).unwrap();
    assert_eq!(
        version["serverVersion"]["gitVersion"],
        version["clientVersion"]["gitVersion"]
    );
    admin.run(&["create", "deployment", "idle", "--image=localhost/none:1"]);
    // The controller-manager makes the pod; the scheduler says that there is no node for it.
    let pods = ["pods", "-l", "app=idle"];
    admin.wait_until(&pods, "found to have no node", |pods| {
        let condition = &pods.unwrap()["items"][0]["status"]["conditions"][0];
        condition["type"] == "PodScheduled" && condition["reason"] == "Unschedulable"
    });
    admin.run(&["delete", "deployment", "idle"]);
}

/// A node's identity sees its own pods and what they refer to, and nothing else.
pub(crate) fn a_node_may_do_little(cluster: &Cluster) {
    let node = cluster.as_node("narrow");
    cluster
        .admin()
        .run(&["create", "secret", "generic", "not-for-nodes"]);
    for refused in [
        &["get", "secrets", "--all-namespaces"][..],
        &["get", "secret", "not-for-nodes"],
        &["get", "pods", "--all-namespaces"],
        &["get", "namespaces"],
        &["get", "node", "another"],
        &["create", "configmap", "own"],
    ] {
        let why = node.refused(refused);
        let forbidden = why.to_lowercase().contains("forbidden");
        assert!(forbidden, "{refused:?}: {why}");
    }
    let own = [
        "get",
        "pods",
        "--all-namespaces",
        "--field-selector=spec.nodeName=narrow",
    ];
    node.run(&own);
    cluster.admin().run(&["delete", "secret", "not-for-nodes"]);
}

/// Who holds a bootstrap token may ask for a certificate, and do nothing else.
pub(crate) fn a_bootstrap_token_may_ask_for_a_certificate(cluster: &Cluster) {
    let joining = cluster.as_bootstrap();
    let may = |verb, what| joining.try_run(&["auth", "can-i", verb, what]).is_ok();
    assert!(may(
        "create",
        "certificatesigningrequests.certificates.k8s.io"
    ));
    assert!(!may("list", "pods"));
    assert!(!may("create", "nodes"));
}
