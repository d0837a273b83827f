//! The Node object, as the API server is given it. Pure.

mod conditions;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use burstlet_model::{ExtendedResource, WallTime};
use k8s_openapi::api::core::v1::Node;
use serde_json::{Map, Value, json};

use self::conditions::conditions;
use crate::config::NodeFacts;

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
    /// Why its pods have no network, or not the one that they should.
    pub network: Option<NetworkTrouble>,
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
    /// What was looked for and found by looking from outside.
    pub findings: Vec<Finding>,
}

/// What is wrong with the pods' network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkTrouble {
    /// A word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
    /// No pod can run. Otherwise those that run go on, and no others should come: a node that is not
    /// ready would lose them after some minutes.
    pub is_fatal: bool,
}

/// One more condition of the node: something that is not as it should be, or that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The condition's type; it names the trouble.
    pub kind: &'static str,
    /// A word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
    /// The trouble is there.
    pub is_so: bool,
}

/// What the cluster says that concerns the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The addresses that it has allotted to the node's pods, as it writes them.
    pub pod_cidrs: Vec<String>,
    /// Where its pods find the API server.
    pub api_service: Option<SocketAddr>,
}

/// What the Node says of the addresses of its pods.
pub(crate) fn pod_cidrs(node: &Node) -> Vec<String> {
    let Some(spec) = &node.spec else {
        return Vec::new();
    };
    match &spec.pod_cidrs {
        Some(all) if !all.is_empty() => all.clone(),
        _ => spec.pod_cidr.clone().into_iter().collect(),
    }
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
    let status = json!({
        "capacity": offered(facts, now_is, &previous["capacity"]),
        "allocatable": offered(facts, now_is, &previous["allocatable"]),
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

/// What the node offers, over what was said before. Of devices that is what it has, however much it says
/// to have of all else, and whoever has them now: the scheduler counts. It has no others, whatever was
/// said: pods that ask for them are refused.
fn offered(facts: &NodeFacts, now_is: &NodeCondition, previous: &Value) -> Map<String, Value> {
    let amounts = now_is.capacity.as_ref().unwrap_or(&facts.capacity);
    let amounts = amounts
        .iter()
        .map(|(of, amount)| (of.clone(), amount.as_str().into()));
    let devices = facts.devices.iter();
    let devices = devices.map(|(of, count)| (of.to_string(), count.to_string().into()));
    let mut offered: Map<String, Value> = amounts.chain(devices).collect();
    let before = previous.as_object().into_iter().flat_map(Map::keys);
    for resource in before.filter(|name| ExtendedResource::new(name.as_str()).is_ok()) {
        offered.entry(resource).or_insert(Value::Null);
    }
    offered
}

/// What the control plane may count on, sorted.
fn declared_features(facts: &NodeFacts) -> &'static [&'static str] {
    const ALL: &[&str] = &[
        "ExtendWebSocketsToKubelet",
        "InPlacePodLevelResourcesVerticalScaling",
        "InPlacePodVerticalScalingInitContainers",
        "RestartAllContainersOnContainerExits",
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

#[cfg(test)]
pub(crate) mod tests;
