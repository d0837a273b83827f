//! What operators are promised of a node whose cluster allots its pods' addresses, and of what a node
//! says of its surroundings. It is a second node, by an agent beside the first.

use std::net::Ipv4Addr;

use burstlet_tests::{Agent, sample_image};
use serde_json::Value;

use crate::cluster::{API_SERVICE, Cluster};
use crate::kubectl::Kubectl;
use crate::node::{IMAGE, Node, condition};
use crate::pods::{gone, pod, running};
use crate::surroundings::{ADDRESS, REGISTRY_PORT, Surroundings};

const NAME: &str = "burst-2";
pub(crate) const SELF_TEST: &str = "burstlet.dev/SelfTestFailed";
const REGISTRIES: &str = "burstlet.dev/RegistryUnreachable";

/// Pods get addresses of the node's podCIDR, also when the agent starts while there is no API server.
/// When the node is deleted and allotted another one, they keep theirs, and the node says so. Meanwhile
/// the node tells that its name server and a registry do not answer, and that they do again.
pub(crate) fn pods_have_them(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let surroundings = Surroundings::new(API_SERVICE);
    let mut second = node.borrow().beside_with(&configuration(cluster));
    second.ok_with(&["import", "-"], &sample_image(IMAGE));
    let joined = told(&admin, "ready", |node| {
        condition(node, "Ready")["status"] == "True" && says(node, SELF_TEST, "False")
    });
    let cidr = joined["spec"]["podCIDR"].as_str().unwrap().to_owned();
    assert!(says(&joined, "NetworkUnavailable", "False"), "{joined:#}");
    let on_it = format!("  nodeName: {NAME}\n");
    admin.apply(&pod("allotted", "sleep 1000", &on_it));
    let ip = address(&running(&admin, "allotted"));
    assert!(is_in(&cidr, &ip), "{ip} is not in {cidr}");
    surroundings.be_silent(true);
    restart_alone(cluster, &mut second, &cidr);
    assert_eq!(address(&running(&admin, "allotted")), ip);
    told(&admin, "alone", |node| {
        let message = condition(node, SELF_TEST)["message"].as_str();
        let named = message.is_some_and(|text| text.contains("127.0.0.77:53"));
        named && says(node, SELF_TEST, "True") && says(node, REGISTRIES, "True")
    });
    surroundings.be_silent(false);
    admin.run(&["delete", "node", NAME]);
    told(&admin, "refusing another podCIDR", |node| {
        let is_well = says(node, SELF_TEST, "False") && says(node, REGISTRIES, "False");
        let network = condition(node, "NetworkUnavailable");
        is_well && network["status"] == "True" && network["reason"] == "PodCIDRChanged"
    });
    // What runs is not driven away.
    let kept = running(&admin, "allotted");
    assert_eq!(address(&kept), ip);
    admin.run(&["delete", "pod", "allotted"]);
    gone(&admin, "allotted");
    second.finish();
    admin.run(&["delete", "node", NAME]);
    drop(surroundings);
}

fn configuration(cluster: &Cluster) -> String {
    let kubeconfig = cluster.node_kubeconfig(NAME);
    format!(
        "[kubernetes]\nnode_name = \"{NAME}\"\nkubeconfig = \"{}\"\nnode_ip = \"127.0.0.1\"\nlisten = \"\"\n\
         pod_cidr = \"node\"\ncluster_dns = [\"{ADDRESS}\"]\nself_test_s = 1\n\
         [registries.\"{ADDRESS}:{REGISTRY_PORT}\"]\nplain_http = true\n",
        kubeconfig.display()
    )
}

/// The agent starts while the API server says nothing: groups go on, and have the addresses of before.
fn restart_alone(cluster: &Cluster, second: &mut Agent, cidr: &str) {
    let paused = cluster.pause();
    second.crash();
    second.launch();
    let info: Value = serde_json::from_str(&second.ok(&["info", "-o", "json"])).unwrap();
    assert_eq!(info["node"]["subnet"], cidr);
    second.wait_until("allotted", "running", |group| {
        group["status"]["phase"] == "Running"
    });
    // A group of the other door has its address from there, too.
    let script = "trap 'exit 0' TERM; while true; do sleep 0.1; done";
    second.ok(&["run", "-d", "--name", "direct", IMAGE, "sh", "-c", script]);
    let direct = second.wait_until("direct", "running", |group| {
        group["status"]["phase"] == "Running"
    });
    assert!(is_in(cidr, &address(&direct)), "{direct:#}");
    second.ok(&["rm", "-f", "direct"]);
    drop(paused);
}

/// Waits until the node says so.
fn told(admin: &Kubectl, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let node = admin.wait_until(&["node", NAME], what, |node| node.is_some_and(&is_so));
    node.unwrap()
}

pub(crate) fn says(node: &Value, kind: &str, status: &str) -> bool {
    condition(node, kind)["status"] == status
}

fn address(pod: &Value) -> String {
    pod["status"]["podIP"].as_str().unwrap().to_owned()
}

/// Whether an address is in a /24.
fn is_in(cidr: &str, ip: &str) -> bool {
    let network: Ipv4Addr = cidr.strip_suffix("/24").unwrap().parse().unwrap();
    let ip: Ipv4Addr = ip.parse().unwrap();
    network.octets()[..3] == ip.octets()[..3]
}
