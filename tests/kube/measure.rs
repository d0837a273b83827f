//! Not tests: the stage on which `burstlet-bench` measures the node, by `cargo xtask bench kube`.

use burstlet_tests::command;

use crate::cluster::Cluster;
use crate::node::{IMAGE, NAME, Node, port_of};
use crate::pods::{pod, running};

/// A page that takes some time.
const PAGE_BYTES: u64 = 1 << 30;

/// Exec and port-forward.
pub(crate) fn streams(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let serve = format!(
        "mkdir /tmp/www && truncate -s {PAGE_BYTES} /tmp/www/page && \
         exec httpd -f -p 8080 -h /tmp/www"
    );
    let when_it_listens = "    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}\n";
    admin.apply(&pod("web", &serve, when_it_listens));
    let web = running(&admin, "web");
    let port = port_of(&admin.get(&["node", NAME]).unwrap());
    let address = web["status"]["podIP"].as_str().unwrap();
    bench(&[
        "streams",
        "--kubeconfig",
        admin.config().to_str().unwrap(),
        "--port",
        &format!("https://127.0.0.1:{port}"),
        "--socket",
        node.borrow().socket().to_str().unwrap(),
        "--pod",
        "web",
        "--web",
        &format!("{address}:8080"),
        "--page",
        "page",
    ]);
    admin.run(&["delete", "pod", "web"]);
}

/// Pods that come and go.
pub(crate) fn pods(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let config = admin.config().to_str().unwrap();
    bench(&[
        "pods",
        "--kubeconfig",
        config,
        "--node",
        NAME,
        "--image",
        IMAGE,
        // An address rests for a while before it is another pod's, and the subnet has 253.
        "--bursts=4",
    ]);
}

/// More pods than the node has room for.
pub(crate) fn crowd(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    bench(&[
        "crowd",
        "--kubeconfig",
        admin.config().to_str().unwrap(),
        "--node",
        NAME,
        "--image",
        IMAGE,
        "--agent",
        &node.borrow().pid().to_string(),
    ]);
}

fn bench(args: &[&str]) {
    let status = command("burstlet-bench").args(args).status().unwrap();
    assert!(status.success(), "{status}");
}
