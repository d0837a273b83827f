//! What users are promised of `kubectl debug`: a copy of a pod with a helper beside it runs, and
//! debugging of the node itself is refused with its reason.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::node::{IMAGE, NAME, Node};
use crate::pods::{phase, pod, running};

/// A copy has one more container, which sees the processes of the others.
pub(crate) fn copies(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("broken", "exec sleep 1234", ""));
    running(&admin, "broken");
    let image = format!("--image={IMAGE}");
    admin.run(&[
        "debug",
        "broken",
        "--copy-to=looked-at",
        "--container=helper",
        &image,
        "--image-pull-policy=Never",
        // The default profile asks for a capability that the operator would have to allow.
        "--profile=baseline",
        "--attach=false",
        "--",
        "sleep",
        "1000",
    ]);
    running(&admin, "looked-at");
    let seen = ["exec", "looked-at", "-c", "helper", "--", "ps"];
    admin.wait_for("the helper sees the other process", || {
        admin.run(&seen).contains("sleep 1234")
    });
    admin.run(&["delete", "pod", "broken", "looked-at"]);
}

/// A pod that would have the node's own namespaces is refused, and says what it asked for.
pub(crate) fn nodes_are_refused(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let (node, image) = (format!("node/{NAME}"), format!("--image={IMAGE}"));
    admin.run(&["debug", &node, &image, "--attach=false"]);
    let pods = admin.wait_until(&["pods"], "refused", |pods| {
        debugger(pods.unwrap()).is_some_and(|pod| phase(Some(pod)) == "Failed")
    });
    let pods = pods.unwrap();
    let pod = debugger(&pods).unwrap();
    let why = pod["status"]["message"].as_str().unwrap();
    assert!(why.contains("spec.hostPID"), "{why}");
    admin.run(&["delete", "pod", pod["metadata"]["name"].as_str().unwrap()]);
}

/// `kubectl` makes up its name.
fn debugger(pods: &Value) -> Option<&Value> {
    let mut pods = pods["items"].as_array()?.iter();
    pods.find(|pod| {
        let name = pod["metadata"]["name"].as_str();
        name.is_some_and(|name| name.starts_with("node-debugger-"))
    })
}
