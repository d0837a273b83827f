//! The agent as a node of the cluster, and what users are promised of the node itself.

use std::cell::RefCell;

use burstlet_tests::{Agent, sample_image};
use serde_json::Value;

use crate::cluster::Cluster;

/// The node's name.
pub(crate) const NAME: &str = "burst-1";
/// The image that every pod runs: busybox.
pub(crate) const IMAGE: &str = "localhost/sample:1";

/// The agent under test; scenarios kill it and start it again.
pub(crate) type Node = RefCell<Agent>;

/// Starts an agent that joins the cluster with a bootstrap token.
pub(crate) fn join(cluster: &Cluster) -> Node {
    let bootstrap = cluster.bootstrap_kubeconfig();
    let agent = Agent::start_with(&format!(
        "[kubernetes]\nnode_name = \"{NAME}\"\nkubeconfig = \"{}\"\nbootstrap_kubeconfig = \"{}\"\n",
        cluster.scratch().join("node.kubeconfig").display(),
        bootstrap.display(),
    ));
    agent.ok_with(&["import", "-"], &sample_image(IMAGE));
    RefCell::new(agent)
}

/// The node has joined with a certificate of its own, is alive and shown as it is.
pub(crate) fn it_is_registered(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let node = admin.wait_until(&["node", NAME], "ready", |node| {
        condition(node.unwrap_or(&Value::Null), "Ready")["status"] == "True"
    });
    let node = node.unwrap();
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/os"], "linux");
    assert_eq!(
        node["spec"]["taints"][0]["key"],
        "virtual-kubelet.io/provider"
    );
    assert_eq!(node["status"]["capacity"]["pods"], "100k");
    assert_eq!(condition(&node, "MemoryPressure")["status"], "False");
    let addresses = node["status"]["addresses"].as_array().unwrap();
    assert!(
        addresses
            .iter()
            .any(|address| address["type"] == "InternalIP"),
        "{addresses:?}"
    );
    let requests = admin.get(&["certificatesigningrequests"]).unwrap();
    assert_eq!(
        requests["items"][0]["spec"]["username"],
        "system:bootstrap:abcdef"
    );
    let lease = ["lease", "-n", "kube-node-lease", NAME];
    let lease = admin.wait_until(&lease, "owned by the node", |lease| {
        lease.is_some_and(|lease| lease["metadata"]["ownerReferences"][0]["name"] == NAME)
    });
    assert_eq!(lease.unwrap()["spec"]["holderIdentity"], NAME);
    let printed = admin.run(&["get", "nodes"]);
    assert!(printed.contains(" Ready "), "{printed}");
}

/// Somebody deletes the node: it comes back.
pub(crate) fn it_comes_back(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let uid = |node: &Value| node["metadata"]["uid"].clone();
    let before = uid(&admin.get(&["node", NAME]).unwrap());
    admin.run(&["delete", "node", NAME]);
    admin.wait_until(&["node", NAME], "registered anew", |node| {
        node.is_some_and(|node| uid(node) != before && condition(node, "Ready")["status"] == "True")
    });
}

/// One of an object's conditions; null if it has none of this type.
pub(crate) fn condition<'o>(object: &'o Value, kind: &str) -> &'o Value {
    const NONE: &Value = &Value::Null;
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .find(|condition| condition["type"] == kind)
        .unwrap_or(NONE)
}
