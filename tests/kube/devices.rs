//! What users are promised of pods that ask for devices: the scheduler counts them, each pod has its own,
//! and they are billed.

use std::path::Path;

use burstlet_tests::{DeviceNode, repository};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{NAME, Node, condition};
use crate::pods::{gone, inside, pod, running};

const RESOURCE: &str = "example.com/gpu";
/// The kernel's log, which every kernel has. Nobody opens it here.
const LOG: (u64, u64) = (1, 11);
/// What lets an agent keep a device to one group.
const DEVICE_LIST: &str = "/sys/fs/cgroup/devices/devices.allow";

/// A pod with one device.
fn with_device(name: &str) -> String {
    let limits = json!({"limits": {RESOURCE: 1}});
    let script = "trap 'exit 0' TERM; while true; do sleep 0.1; done";
    pod(name, script, &format!("    resources: {limits}\n"))
}

/// Waits until the scheduler says that no node has a device for the pod.
fn finds_no_node(admin: &Kubectl, name: &str) {
    let lack = format!("Insufficient {RESOURCE}");
    admin.wait_until(&["pod", name], "not scheduled", |pod| {
        pod.is_some_and(|pod| {
            let scheduled = condition(pod, "PodScheduled");
            let message = scheduled["message"].as_str().unwrap_or_default();
            scheduled["status"] == "False" && message.contains(&lack)
        })
    });
}

/// Waits until the node says that it has so many devices.
fn has(admin: &Kubectl, count: &Value) {
    admin.wait_until(&["node", NAME], "told", |node| {
        let status = &node.unwrap()["status"];
        let fields = ["capacity", "allocatable"];
        fields.iter().all(|field| status[field][RESOURCE] == *count)
    });
}

/// Two pods want the only device: one after the other has it. A node without devices gets neither.
pub(crate) fn are_had_one_after_the_other(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    admin.apply(&with_device("first"));
    finds_no_node(&admin, "first");
    // Without a list of devices in cgroups the agent lends none.
    if Path::new(DEVICE_LIST).exists() {
        let device = DeviceNode::make("gpu", LOG);
        let path = node.borrow().config();
        let plain = std::fs::read_to_string(&path).unwrap();
        restart_with(node, &format!("{plain}\n{}", sections(&device)));
        has(&admin, &json!("1"));
        let bill = share(&admin, node, &device);
        restart_with(node, &plain);
        has(&admin, &Value::Null);
        assert!(bill > 0.0, "devices cost {bill}");
    } else {
        admin.run(&["delete", "pod", "first"]);
    }
    gone(&admin, "first");
}

/// What is configured beside the rest: the device, and what it costs.
fn sections(device: &DeviceNode) -> String {
    let book = repository().join("runtime-config/books/example.toml");
    let (book, node) = (book.canonicalize().unwrap(), device.path());
    format!("[billing]\nprice_books = [{book:?}]\n[devices.{RESOURCE:?}]\npaths = [[{node:?}]]\n")
}

fn restart_with(node: &Node, configuration: &str) {
    std::fs::write(node.borrow().config(), configuration).unwrap();
    node.borrow_mut().crash();
    node.borrow_mut().launch();
}

/// The first has the device while the second waits, which has it then; what both are charged for it.
fn share(admin: &Kubectl, node: &Node, device: &DeviceNode) -> f64 {
    running(admin, "first");
    uses(node, "first", device);
    admin.apply(&with_device("second"));
    finds_no_node(admin, "second");
    has(admin, &json!("1"));
    admin.run(&["delete", "pod", "first"]);
    running(admin, "second");
    uses(node, "second", device);
    admin.run(&["delete", "pod", "second"]);
    gone(admin, "second");
    ["first", "second"]
        .map(|name| charged(node, name))
        .iter()
        .sum()
}

/// The pod's container has the device where the host has it, and `burstctl` says so.
fn uses(node: &Node, name: &str, device: &DeviceNode) {
    let path = device.path();
    inside(node, name, &format!("[ -c {} ]", path.display()));
    let lease = &node.borrow().group(name)["status"]["lease"];
    let expected = json!({"resource": RESOURCE, "devices": [{"nodes": [path]}]});
    assert_eq!(*lease, expected);
}

/// What a group that is gone was charged for devices.
fn charged(node: &Node, name: &str) -> f64 {
    let bill = node.borrow().ok(&["bill", name, "-o", "json"]);
    let bill: Value = serde_json::from_str(&bill).unwrap();
    let charges = bill["total"]["charges"].as_array();
    let charges = charges.into_iter().flatten();
    let mut of_devices = charges.filter(|charge| charge["sku"] == "gpu");
    let charge = of_devices.next().unwrap_or_else(|| panic!("{bill:#}"));
    let cost = charge["cost"].as_str().unwrap();
    cost.parse().unwrap()
}
