//! The Node object, as the API server is given it. Pure.

use std::collections::BTreeMap;

use burstlet_model::WallTime;
use serde_json::{Map, Value, json};

use crate::config::NodeFacts;
use crate::time;

/// What tells agents with one node name apart.
pub(crate) const INSTANCE: &str = "burstlet.dev/instance";
/// Other controllers leave volumes on this node alone.
const CONTROLLER_MANAGED: &str = "volumes.kubernetes.io/controller-managed-attach-detach";
/// The kubelet whose behaviour this node has: the control plane infers from it what it may expect.
const KUBELET_VERSION: &str = "v1.36.3";
/// What is told of images: so many, largest first.
pub(crate) const IMAGES_MAX: usize = 50;
/// Names told of one image.
const IMAGE_NAMES_MAX: usize = 5;

/// An image in the node's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeImage {
    /// Its references.
    pub names: Vec<String>,
    /// Its size.
    pub bytes: u64,
}

/// What the node is like right now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeCondition {
    /// Why it cannot run pods; empty if it can.
    pub trouble: Vec<String>,
    /// Less memory is free than it should.
    pub memory_pressure: bool,
    /// Less of the disk is free than it should.
    pub disk_pressure: bool,
    /// Fewer process ids are free than they should.
    pub pid_pressure: bool,
    /// Its images.
    pub images: Vec<NodeImage>,
    /// What it offers now, by resource, instead of what the facts say.
    pub capacity: Option<BTreeMap<String, String>>,
}

/// The node to register.
pub(crate) fn node_to_write(facts: &NodeFacts) -> Value {
    let taints: Vec<Value> = facts
        .taints
        .iter()
        .map(|taint| {
            let mut written = json!({"key": taint.key, "effect": taint.effect});
            if !taint.value.is_empty() {
                written["value"] = taint.value.clone().into();
            }
            written
        })
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": facts.name,
            "labels": labels(facts),
            "annotations": annotations(facts),
        },
        "spec": {"taints": taints},
    })
}

/// What a node that is there already is made to have: our labels and annotations, others' kept.
pub(crate) fn node_patch(facts: &NodeFacts) -> Value {
    json!({"metadata": {"labels": labels(facts), "annotations": annotations(facts)}})
}

/// The status, as a strategic patch over `previous`.
pub(crate) fn status_patch(
    facts: &NodeFacts,
    now_is: &NodeCondition,
    previous: &Value,
    now: WallTime,
) -> Value {
    let mut addresses = vec![json!({"$patch": "replace"})];
    for address in &facts.addresses {
        addresses.push(json!({"type": "InternalIP", "address": address.to_string()}));
    }
    addresses.push(json!({"type": "Hostname", "address": facts.host_name}));
    let capacity = now_is.capacity.as_ref().unwrap_or(&facts.capacity);
    let status = json!({
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": addresses,
        "conditions": conditions(now_is, &previous["conditions"], now),
        "images": images(&now_is.images),
        "nodeInfo": info(facts),
        "runtimeHandlers": [
            {"name": "", "features": {"recursiveReadOnlyMounts": true, "userNamespaces": true}},
        ],
        "features": {"supplementalGroupsPolicy": true},
        "daemonEndpoints": {"kubeletEndpoint": {"Port": facts.kubelet_port.unwrap_or(0)}},
        "declaredFeatures": declared_features(facts),
    });
    json!({"status": status})
}

/// What the control plane may count on, sorted.
fn declared_features(facts: &NodeFacts) -> &'static [&'static str] {
    const ALL: &[&str] = &[
        "ExtendWebSocketsToKubelet",
        "InPlacePodLevelResourcesVerticalScaling",
        "InPlacePodVerticalScalingInitContainers",
    ];
    match facts.kubelet_port {
        Some(_) => ALL,
        // The first is of the port.
        None => ALL.split_first().map_or(ALL, |(_, others)| others),
    }
}

fn labels(facts: &NodeFacts) -> Map<String, Value> {
    let mut labels: Map<String, Value> = facts
        .labels
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    for (key, value) in [
        ("kubernetes.io/hostname", facts.host_name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", facts.info.architecture.as_str()),
        ("type", "virtual-kubelet"),
    ] {
        labels.entry(key).or_insert_with(|| value.into());
    }
    labels
}

fn annotations(facts: &NodeFacts) -> Value {
    json!({CONTROLLER_MANAGED: "true", INSTANCE: facts.instance})
}

fn info(facts: &NodeFacts) -> Value {
    let info = &facts.info;
    json!({
        "machineID": info.machine_id,
        "systemUUID": info.machine_id,
        "bootID": info.boot_id,
        "kernelVersion": info.kernel,
        "osImage": info.os_image,
        "containerRuntimeVersion": format!("burstlet://{}", info.agent_version),
        "kubeletVersion": format!("{KUBELET_VERSION}+burstlet-{}", info.agent_version),
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": info.architecture,
    })
}

fn images(images: &[NodeImage]) -> Vec<Value> {
    let mut largest: Vec<&NodeImage> = images.iter().collect();
    largest.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.names.cmp(&b.names)));
    let told = largest.into_iter().take(IMAGES_MAX);
    told.map(|image| {
        let names: Vec<&String> = image.names.iter().take(IMAGE_NAMES_MAX).collect();
        json!({"names": names, "sizeBytes": image.bytes})
    })
    .collect()
}

/// In a kubelet's words, for scripts look at them; `Ready` comes last.
fn conditions(now_is: &NodeCondition, previous: &Value, now: WallTime) -> Vec<Value> {
    let pressures = [
        (
            "MemoryPressure",
            now_is.memory_pressure,
            ["KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"],
            [
                "kubelet has insufficient memory available",
                "kubelet has sufficient memory available",
            ],
        ),
        (
            "DiskPressure",
            now_is.disk_pressure,
            ["KubeletHasDiskPressure", "KubeletHasNoDiskPressure"],
            ["kubelet has disk pressure", "kubelet has no disk pressure"],
        ),
        (
            "PIDPressure",
            now_is.pid_pressure,
            ["KubeletHasInsufficientPID", "KubeletHasSufficientPID"],
            [
                "kubelet has insufficient PID available",
                "kubelet has sufficient PID available",
            ],
        ),
    ];
    let mut conditions: Vec<Value> = pressures
        .iter()
        .map(|(kind, is_so, reasons, messages)| {
            let at = usize::from(!is_so);
            condition(kind, *is_so, reasons[at], messages[at], previous, now)
        })
        .collect();
    let network = (
        "NetworkUnavailable",
        "RouteCreated",
        "the node connects its pods itself",
    );
    conditions.push(condition(
        network.0, false, network.1, network.2, previous, now,
    ));
    let trouble = now_is.trouble.join("; ");
    conditions.push(match trouble.is_empty() {
        true => {
            let message = "kubelet is posting ready status";
            condition("Ready", true, "KubeletReady", message, previous, now)
        }
        false => condition("Ready", false, "KubeletNotReady", &trouble, previous, now),
    });
    conditions
}

fn condition(
    kind: &str,
    is_so: bool,
    reason: &str,
    message: &str,
    previous: &Value,
    now: WallTime,
) -> Value {
    let status = if is_so { "True" } else { "False" };
    let before = previous.as_array().into_iter().flatten();
    let mut before = before.filter(|c| c["type"] == kind && c["status"] == status);
    let since = before
        .next()
        .and_then(|c| c["lastTransitionTime"].as_str())
        .map_or_else(|| time::seconds(now), str::to_owned);
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": time::seconds(now),
        "lastTransitionTime": since,
    })
}

#[cfg(test)]
pub(crate) mod tests;
