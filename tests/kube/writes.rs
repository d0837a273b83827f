//! What a pod costs the API server until it runs.

use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::Node;
use crate::pods::{gone, pod, running};

/// A pod that is being started is written again when that takes so long. Seconds.
const BEGINNING_S: u64 = 3;
/// What is told by events of a pod with one container whose image is there.
const EVENTS: [&str; 3] = ["Created", "Pulled", "Started"];

/// A pod is written at most four times until it runs: its status once, and what became of its container
/// by three events. Only a start that takes long is written about more often.
pub(crate) fn are_few(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let began = Instant::now();
    admin.apply(&pod("frugal", "sleep 1000", ""));
    running(&admin, "frugal");
    let took_s = began.elapsed().as_secs();
    admin.wait_for("told", || events(&admin).len() == EVENTS.len());
    assert_eq!(events(&admin), EVENTS);
    let statuses = statuses(cluster, "frugal");
    let events = written(cluster).iter().filter(|w| is_event(w)).count();
    assert_eq!(events, EVENTS.len());
    let most = 1 + usize::try_from(took_s / BEGINNING_S).unwrap();
    assert!(
        (1..=most).contains(&statuses),
        "{statuses} statuses within {took_s} s"
    );
    admin.run(&["delete", "pod", "frugal"]);
    gone(&admin, "frugal");
}

/// How often the status of a pod was written.
pub(crate) fn statuses(cluster: &Cluster, name: &str) -> usize {
    let written = written(cluster);
    let is_status = |write: &&Value| {
        let of = &write["objectRef"];
        of["resource"] == "pods" && of["subresource"] == "status" && of["name"] == name
    };
    written.iter().filter(is_status).count()
}

/// What the node has written so far.
fn written(cluster: &Cluster) -> Vec<Value> {
    let log = fs::read_to_string(cluster.audit_log()).unwrap();
    let lines = log.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The words of the node's events of the pod, sorted.
fn events(admin: &Kubectl) -> Vec<String> {
    let events = admin.get(&["events", "--field-selector=involvedObject.name=frugal"]);
    let events = events.unwrap()["items"].take();
    let own = events.as_array().unwrap().iter();
    let own = own.filter(|event| event["source"]["component"] == "kubelet");
    let mut words: Vec<String> = own
        .map(|event| event["reason"].as_str().unwrap().to_owned())
        .collect();
    words.sort();
    words
}

fn is_event(write: &Value) -> bool {
    let of = &write["objectRef"];
    let name = of["name"].as_str().unwrap_or_default();
    of["resource"] == "events" && name.starts_with("frugal.")
}
