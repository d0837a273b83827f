//! What users are promised of pods whose resources are changed while they run.

use std::fs;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{Node, condition};
use crate::pods::{gone, inside, pod, running};

const PENDING: &str = "PodResizePending";
const IN_PROGRESS: &str = "PodResizeInProgress";

/// What bounds a container's processors, by the file of either version.
const QUOTA: [&str; 2] = ["cpu.cfs_quota_us", "cpu.max"];
/// The same of memory.
const MEMORY: [&str; 2] = ["memory.limit_in_bytes", "memory.max"];
/// The same two as the container itself reads them.
const SHOWN: &str = "cd /sys/fs/cgroup; \
                     cat memory.max memory/memory.limit_in_bytes 2>/dev/null; \
                     cat cpu.max cpu/cpu.cfs_quota_us 2>/dev/null | cut -d' ' -f1";
/// Keeps so many bytes of memory in use that no kernel takes them back.
const HOLDS_16_MIB: &str = "dd if=/dev/zero bs=16M count=1 of=/dev/shm/held 2>/dev/null; \
                            while true; do sleep 0.1; done";

/// Both requests and limits of processors and memory.
fn sized(cpu: &str, memory: &str) -> Value {
    let list = json!({"cpu": cpu, "memory": memory});
    json!({"requests": list, "limits": list})
}

/// A pod of one container with these resources, and more lines of that container.
fn with(name: &str, script: &str, resources: &Value, more: &str) -> String {
    pod(name, script, &format!("    resources: {resources}\n{more}"))
}

fn resize(admin: &Kubectl, name: &str, resources: &Value) {
    let container = json!({"name": "main", "resources": resources});
    let patch = json!({"spec": {"containers": [container]}}).to_string();
    admin.run(&[
        "patch",
        "pod",
        name,
        "--subresource",
        "resize",
        "-p",
        &patch,
    ]);
}

/// Waits until the pod's status has followed the latest change, and has these resources.
fn has(admin: &Kubectl, name: &str, resources: &Value) -> Value {
    let pod = admin.wait_until(&["pod", name], "resized", |pod| {
        pod.is_some_and(|pod| {
            let container = &pod["status"]["containerStatuses"][0];
            pod["status"]["observedGeneration"] == pod["metadata"]["generation"]
                && container["resources"] == *resources
                && container["allocatedResources"] == resources["requests"]
                && condition(pod, PENDING).is_null()
                && condition(pod, IN_PROGRESS).is_null()
                && condition(pod, "Ready")["status"] == "True"
        })
    });
    pod.unwrap()
}

fn says(admin: &Kubectl, name: &str, kind: &str, reason: &str) -> String {
    let pod = admin.wait_until(&["pod", name], reason, |pod| {
        pod.is_some_and(|pod| condition(pod, kind)["reason"] == reason)
    });
    let pod = pod.unwrap();
    let said = condition(&pod, kind);
    assert_eq!(said["status"], "True");
    assert_eq!(said["observedGeneration"], pod["metadata"]["generation"]);
    said["message"].as_str().unwrap_or_default().to_owned()
}

/// What the kernel enforces: the first word of the file of the container's cgroup.
fn bound(node: &Node, name: &str, files: [&str; 2]) -> String {
    let group = node.borrow().group(name);
    let pid = &group["status"]["containerStatuses"][0]["running"]["pid"];
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let paths = cgroups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap(), parts.next().unwrap());
        let dir = format!("/sys/fs/cgroup/{controllers}{path}");
        files.map(|file| format!("{dir}/{file}"))
    });
    let mut texts = paths.filter_map(|path| fs::read_to_string(path).ok());
    let text = texts
        .next()
        .unwrap_or_else(|| panic!("none of {files:?}: {cgroups}"));
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Processors and memory are changed under a process that runs on, up and down; what is shown, what
/// the kernel enforces and what is billed are the same.
pub(crate) fn while_it_runs(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let script = "while true; do sleep 0.1; done";
    admin.apply(&with("sized", script, &sized("100m", "64Mi"), ""));
    let before = running(&admin, "sized");
    for (milli, mebi) in [(200u32, 96u32), (50, 48)] {
        let resources = sized(&format!("{milli}m"), &format!("{mebi}Mi"));
        let bytes = mebi << 20;
        resize(&admin, "sized", &resources);
        let after = has(&admin, "sized", &resources);
        assert_eq!(bound(node, "sized", QUOTA), (milli * 100).to_string());
        assert_eq!(bound(node, "sized", MEMORY), bytes.to_string());
        let shown = format!("{bytes}\n{}", milli * 100);
        assert_eq!(inside(node, "sized", SHOWN), shown);
        let id = |pod: &Value| pod["status"]["containerStatuses"][0]["containerID"].clone();
        assert_eq!(id(&after), id(&before), "it was started again");
        let expected = f64::from(bytes) * 1000.0 / f64::from(milli);
        let ratio = billed_per_core(&admin, node) / expected;
        assert!(
            (0.99..1.01).contains(&ratio),
            "billed {ratio} of {expected}"
        );
    }
    let events = admin.run(&[
        "get",
        "events",
        "--field-selector",
        "involvedObject.name=sized",
    ]);
    for reason in ["ResizeStarted", "ResizeCompleted"] {
        assert!(events.contains(reason), "{reason}: {events}");
    }
    admin.run(&["delete", "pod", "sized", "--wait=false"]);
    gone(&admin, "sized");
}

/// What is billed from now on: bytes of memory for each core. Only one pod asks for anything.
fn billed_per_core(admin: &Kubectl, node: &Node) -> f64 {
    let counters = || {
        let page = node.borrow().admin("/metrics/billing");
        ["cpu_requested_core", "memory_requested_byte"].map(|name| {
            let name = format!("burstlet_{name}_seconds_total{{");
            let values = page.lines().filter(|line| line.starts_with(&name));
            let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            values.sum::<f64>()
        })
    };
    let [cpu, memory] = counters();
    admin.wait_for("something is billed", || counters()[0] > cpu + 0.02);
    let [more_cpu, more_memory] = counters();
    (more_memory - memory) / (more_cpu - cpu)
}

/// A container that cannot have other memory while it runs is started again, and only then.
pub(crate) fn by_a_new_start(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let policy = "    resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]\n";
    let script = "while true; do sleep 0.1; done";
    admin.apply(&with("again", script, &sized("100m", "64Mi"), policy));
    running(&admin, "again");
    for (cpu, memory, restarts) in [("200m", "64Mi", 0), ("200m", "96Mi", 1)] {
        resize(&admin, "again", &sized(cpu, memory));
        let pod = has(&admin, "again", &sized(cpu, memory));
        assert_eq!(
            pod["status"]["containerStatuses"][0]["restartCount"],
            restarts
        );
    }
    assert_eq!(bound(node, "again", MEMORY), (96 << 20).to_string());
    admin.run(&["delete", "pod", "again", "--wait=false"]);
    gone(&admin, "again");
}

/// What can never be had, and what cannot be had now, is said; the pod keeps what it has.
pub(crate) fn where_it_cannot_be(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let small = sized("100m", "64Mi");
    admin.apply(&with("held", HOLDS_16_MIB, &small, ""));
    running(&admin, "held");
    admin.wait_for("the memory is in use", || {
        inside(
            node,
            "held",
            "stat -c %s /dev/shm/held 2>/dev/null || echo 0",
        ) == "16777216"
    });

    resize(&admin, "held", &sized("10000", "64Mi"));
    let message = says(&admin, "held", PENDING, "Infeasible");
    assert!(message.contains("cpu, requested: 10000000"), "{message}");
    assert_eq!(bound(node, "held", QUOTA), "10000");
    resize(&admin, "held", &small);
    has(&admin, "held", &small);

    resize(&admin, "held", &sized("100m", "8Mi"));
    let message = says(&admin, "held", IN_PROGRESS, "Error");
    assert!(
        message.contains("memory limit (8388608) below current usage"),
        "{message}"
    );
    let pod = admin.get(&["pod", "held"]).unwrap();
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["resources"], small);
    assert_eq!(container["allocatedResources"]["memory"], "8Mi");
    inside(node, "held", "rm /dev/shm/held");
    has(&admin, "held", &sized("100m", "8Mi"));
    admin.run(&["delete", "pod", "held", "--wait=false"]);
    gone(&admin, "held");
}
