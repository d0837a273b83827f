//! From the API server's pod to a group's manifest: what is the cluster's business is left out,
//! what is there by reference is put in its place. The translator of manifests does the rest, and
//! says what is not supported with the pod's own paths.

use serde_json::{Map, Value, json};

use super::ephemeral::Asked;
use super::needs::{Fetched, items, text};
use super::seen::Pod;
use super::{dns, env, ephemeral, volumes};
use crate::config::ClusterFacts;

/// Fields of a pod that are done by others, or by this node beside or after the group.
const CLUSTERS_BUSINESS: [&str; 19] = [
    "affinity",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "ephemeralContainers",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priorityClassName",
    "readinessGates",
    "schedulerName",
    "schedulingGates",
    "schedulingGroup",
    "serviceAccount",
    "serviceAccountName",
    "tolerations",
    "topologySpreadConstraints",
    "workloadRef",
];
/// The largest priority of a group; those of Kubernetes' own pods are beyond it.
const PRIORITY_MAX: i64 = 1_000_000_000;

/// What a pod's references are resolved with.
pub(crate) struct Inline<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) service_account: &'a str,
    pub(crate) fetched: &'a Fetched,
    /// The variables of Services.
    pub(crate) services: &'a [(String, String)],
}

/// Something that the pod refers to is not there (yet).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Kubernetes' word.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// The container that cannot be put together; `None` if none can.
    pub(crate) container: Option<String>,
}

/// The pod as a `ContainerGroup`.
pub(crate) fn group(
    pod: &Pod,
    fetched: &Fetched,
    services: &[(String, String)],
    cluster: &ClusterFacts,
) -> Result<Value, Missing> {
    let mut spec = pod.spec();
    let account = service_account(&spec);
    let with = Inline {
        namespace: &pod.namespace,
        service_account: &account,
        fetched,
        services,
    };
    if !cluster.selinux {
        forget_labels(&mut spec);
    }
    for list in ["initContainers", "containers"] {
        each(&mut spec, list, |container| {
            inline_container(container, &with, cluster)
        })?;
    }
    each(&mut spec, "volumes", |volume| {
        volumes::inline(volume, &with)
    })?;
    dns::resolve(&mut spec, &pod.namespace, cluster);
    let credentials = credentials(&spec, fetched);
    for field in CLUSTERS_BUSINESS {
        spec.remove(field);
    }
    if !credentials.is_empty() {
        spec.insert("registryCredentials".to_owned(), credentials.into());
    }
    // Kubernetes lets every pod reach every other, and the node.
    spec.insert("networkIsolation".to_owned(), "Cluster".into());
    if let Some(scheduling) = scheduling(pod) {
        spec.insert("scheduling".to_owned(), scheduling.into());
    }
    if let Some(priority) = spec.get_mut("priority") {
        *priority = priority.as_i64().unwrap_or(0).min(PRIORITY_MAX).into();
    }
    Ok(json!({
        "apiVersion": "burstlet.dev/v1",
        "kind": "ContainerGroup",
        "metadata": {
            "name": pod.name,
            "namespace": pod.namespace,
            "labels": pod.texts("labels"),
            "annotations": pod.texts("annotations"),
            "tags": tags(pod),
        },
        "spec": spec,
    }))
}

/// The pod's ephemeral containers, as the manifest of its group has them.
pub(crate) fn ephemeral(
    pod: &Pod,
    (fetched, services): (&Fetched, &[(String, String)]),
    cluster: &ClusterFacts,
) -> Vec<Asked> {
    let spec = pod.spec();
    let account = service_account(&spec);
    let with = Inline {
        namespace: &pod.namespace,
        service_account: &account,
        fetched,
        services,
    };
    let all = items(spec.get("ephemeralContainers")).filter_map(Value::as_object);
    let asked = all.map(|container| {
        let mut container = container.clone();
        ephemeral::without_defaults(&mut container);
        let inlined = inline_container(&mut container, &with, cluster);
        let container = Value::Object(container);
        Asked {
            name: text(&container, "name").unwrap_or_default().to_owned(),
            container: inlined.map(|()| container),
        }
    });
    asked.collect()
}

/// How the pod is scheduled, said in the group's own field so that it stays as it is though annotations
/// change. What is none of the words is left to the translator, which says so.
fn scheduling(pod: &Pod) -> Option<String> {
    const ANNOTATION: &str = "burstlet.dev/scheduling";
    let annotations = pod.texts("annotations");
    let given = text(&annotations, ANNOTATION).unwrap_or("OnDemand");
    matches!(given, "OnDemand" | "Spot").then(|| given.to_owned())
}

fn service_account(spec: &Map<String, Value>) -> String {
    let account = spec.get("serviceAccountName").and_then(Value::as_str);
    account.unwrap_or("default").to_owned()
}

fn inline_container(
    container: &mut Map<String, Value>,
    with: &Inline<'_>,
    cluster: &ClusterFacts,
) -> Result<(), Missing> {
    if !cluster.selinux {
        forget_labels(container);
    }
    env::inline(container, with)
}

/// Labels for a kernel that has none are without meaning, and no reason to refuse a pod that
/// carries them for other nodes.
fn forget_labels(of: &mut Map<String, Value>) {
    let context = of.get_mut("securityContext").and_then(Value::as_object_mut);
    if let Some(context) = context {
        context.remove("seLinuxOptions");
    }
}

/// What the group is billed under.
fn tags(pod: &Pod) -> Value {
    let mut tags = json!({
        "kubernetes.namespace": pod.namespace,
        "kubernetes.pod": pod.name,
    });
    if let Some(owner) = pod.owner() {
        tags["kubernetes.owner"] = owner.into();
    }
    tags
}

fn each(
    spec: &mut Map<String, Value>,
    list: &str,
    mut change: impl FnMut(&mut Map<String, Value>) -> Result<(), Missing>,
) -> Result<(), Missing> {
    let list = spec.get_mut(list).and_then(Value::as_array_mut);
    for item in list.into_iter().flatten().filter_map(Value::as_object_mut) {
        change(item)?;
    }
    Ok(())
}

/// What the pod's pull secrets hold, the first of each registry. A secret that is not there is
/// passed over, as a kubelet does: the image may not need it.
fn credentials(spec: &Map<String, Value>, fetched: &Fetched) -> Vec<Value> {
    let mut credentials: Vec<Value> = Vec::new();
    for reference in items(spec.get("imagePullSecrets")) {
        let secret = text(reference, "name").and_then(|name| fetched.secrets.get(name));
        for credential in secret.into_iter().flat_map(of_secret) {
            if !credentials
                .iter()
                .any(|c| c["registry"] == credential["registry"])
            {
                credentials.push(credential);
            }
        }
    }
    credentials
}

/// The credentials of a Secret of the types `dockerconfigjson` and `dockercfg`.
fn of_secret(secret: &Value) -> Vec<Value> {
    let parsed = |key: &str| -> Option<Value> {
        let bytes = decode(secret["data"][key].as_str()?)?;
        serde_json::from_slice(&bytes).ok()
    };
    let auths = parsed(".dockerconfigjson")
        .map(|mut config| config["auths"].take())
        .or_else(|| parsed(".dockercfg"));
    let Some(Value::Object(auths)) = auths else {
        return Vec::new();
    };
    let entries = auths.iter();
    entries
        .filter_map(|(server, entry)| {
            let (username, password) = user(entry)?;
            Some(json!({"registry": registry(server), "username": username, "password": password}))
        })
        .collect()
}

fn user(entry: &Value) -> Option<(String, String)> {
    if let (Some(username), Some(password)) = (text(entry, "username"), text(entry, "password")) {
        return Some((username.to_owned(), password.to_owned()));
    }
    let both = String::from_utf8(decode(text(entry, "auth")?)?).ok()?;
    let (username, password) = both.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

/// The registry's host as image references spell it.
fn registry(server: &str) -> &str {
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
