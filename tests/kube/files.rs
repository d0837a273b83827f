//! What users are promised of pods that are files of the machine.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{NAME, Node, condition, static_pods};
use crate::pods::{gone, phase, pod, running};

/// A pod's file, put in place as a whole.
fn write(cluster: &Cluster, name: &str, text: &str) -> PathBuf {
    let directory = static_pods(cluster);
    let (new, path) = (
        directory.join(".new"),
        directory.join(format!("{name}.yaml")),
    );
    fs::write(&new, text).unwrap();
    fs::rename(&new, &path).unwrap();
    path
}

/// Removes a pod's file, and waits until nothing of the pod is left.
fn remove(admin: &Kubectl, node: &Node, path: &Path, name: &str) {
    fs::remove_file(path).unwrap();
    gone(admin, name);
    admin.wait_for("the group is gone", || {
        node.borrow().ctl(&["get", name]).code != Some(0)
    });
}

fn container(pod: &Value) -> Value {
    pod["status"]["containerStatuses"][0]["containerID"].clone()
}

fn hash(pod: &Value) -> Value {
    pod["metadata"]["annotations"]["kubernetes.io/config.hash"].clone()
}

/// Waits until a mirror is ready, and another one than before.
fn another(admin: &Kubectl, name: &str, before: &Value) -> Value {
    let after = admin.wait_until(&["pod", name], "another", |pod| {
        pod.is_some_and(|pod| {
            let is_other = pod["metadata"]["uid"] != before["metadata"]["uid"];
            is_other && condition(pod, "Ready")["status"] == "True"
        })
    });
    after.unwrap()
}

/// The pod of a file runs and is mirrored. It does not notice that its mirror is deleted, nor that its
/// file becomes no pod; another text is another pod, and without the file there is none.
pub(crate) fn are_pods(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let name = format!("fixed-{NAME}");
    let path = write(cluster, "fixed", &pod("fixed", "echo here; sleep 1001", ""));
    let first = running(&admin, &name);
    let annotations = &first["metadata"]["annotations"];
    assert_eq!(annotations["kubernetes.io/config.source"], "file");
    assert_eq!(annotations["kubernetes.io/config.mirror"], hash(&first));
    assert_eq!(first["metadata"]["ownerReferences"][0]["name"], NAME);
    assert_eq!(admin.run(&["logs", &name]), "here\n");
    admin.run(&["delete", "pod", &name, "--wait=false"]);
    let second = another(&admin, &name, &first);
    assert_eq!(
        container(&second),
        container(&first),
        "it was started again"
    );
    write(cluster, "fixed", "half of");
    admin.wait_for("complained of", || {
        node.borrow().log().contains("a file is no pod")
    });
    let same = running(&admin, &name);
    assert_eq!(container(&same), container(&first));
    write(cluster, "fixed", &pod("fixed", "sleep 1002", ""));
    let third = another(&admin, &name, &second);
    assert_ne!(hash(&third), hash(&first));
    assert_ne!(container(&third), container(&first));
    assert_eq!(third["spec"]["containers"][0]["command"][2], "sleep 1002");
    remove(&admin, node, &path, &name);
}

/// A file that comes while there is neither an agent nor an API server is run by the agent alone, and
/// shown when the API server is back; one that goes is ended alone, too.
pub(crate) fn run_without_an_api_server(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let (kept, lost) = (format!("kept-{NAME}"), format!("lost-{NAME}"));
    let lost_path = write(cluster, "lost", &pod("lost", "sleep 1000", ""));
    running(&admin, &lost);
    node.borrow_mut().crash();
    let paused = cluster.pause();
    let path = write(cluster, "kept", &pod("kept", "sleep 1000", ""));
    fs::remove_file(&lost_path).unwrap();
    node.borrow_mut().launch();
    let seen = |name: &str| node.borrow().ctl(&["get", name, "-o", "json"]);
    admin.wait_for("it runs", || {
        let group: Value = serde_json::from_str(&seen(&kept).stdout).unwrap_or_default();
        phase(Some(&group)) == "Running"
    });
    admin.wait_for("it has ended", || seen(&lost).code != Some(0));
    drop(paused);
    running(&admin, &kept);
    gone(&admin, &lost);
    remove(&admin, node, &path, &kept);
}
