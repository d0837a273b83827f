//! Pods of files: what an operator lays into a directory runs here whether or not there is an API
//! server, so that it may refer to nothing of one. Pure.

use kube::core::DynamicObject;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::needs::{Needs, needs};
use super::seen::{MIRROR, Pod};

/// The annotation that has a pod's hash, which is its uid; of a mirror, that of the pod it mirrors.
pub(crate) const HASH: &str = "kubernetes.io/config.hash";
/// Where a pod is from: `file`.
const SOURCE: &str = "kubernetes.io/config.source";
/// Hexadecimal digits of a hash, as many as a kubelet's has.
const HASH_DIGITS: usize = 32;

/// Why a file is no pod that can be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAPod {
    /// It is neither YAML nor JSON.
    #[error("it cannot be read: {0}")]
    Syntax(String),
    /// It says something else than a pod.
    #[error("it is no Pod of the API version v1 with a name")]
    Kind,
    /// It lacks what every pod has.
    #[error("it has no spec")]
    Spec,
    /// It needs an API server.
    #[error("a pod of a file runs without an API server, and may not refer to its {0}")]
    Refers(&'static str),
}

/// The pod in a file's text, as one of the node `node`: another text gives another uid.
pub(crate) fn read(text: &str, node: &str) -> Result<Pod, NotAPod> {
    // As kubectl reads it where YAML's versions differ.
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        strict_booleans: true,
    };
    let mut pod: Value = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| NotAPod::Syntax(error.to_string()))?;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    if pod["apiVersion"] != "v1" || pod["kind"] != "Pod" || name.is_empty() {
        return Err(NotAPod::Kind);
    }
    let name = format!("{name}-{node}");
    let spec = pod["spec"].as_object().ok_or(NotAPod::Spec)?;
    if let Some(what) = refers_to(&name, spec) {
        return Err(NotAPod::Refers(what));
    }
    let hash = hash(node, &pod);
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("default");
    let mut annotations = json!({HASH: hash, SOURCE: "file"});
    let given = pod["metadata"]["annotations"].as_object();
    for (key, value) in given.into_iter().flatten() {
        // A node's own words are not for files to say.
        if !key.starts_with("kubernetes.io/config.") {
            annotations[key] = value.clone();
        }
    }
    let metadata = json!({
        "name": name,
        "namespace": namespace,
        "uid": hash,
        "labels": pod["metadata"]["labels"],
        "annotations": annotations,
    });
    pod["metadata"] = metadata;
    settle(&mut pod["spec"], node);
    let object: Result<DynamicObject, _> = serde_json::from_value(pod);
    let object = object.map_err(|error| NotAPod::Syntax(error.to_string()))?;
    Pod::of_file(object).ok_or(NotAPod::Kind)
}

/// Whether a uid is that of a pod of a file: others have a cluster's, which has dashes.
pub(crate) fn is_hash(uid: &str) -> bool {
    uid.len() == HASH_DIGITS && uid.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What an API server is given to show of a pod, for the Node with this uid.
pub(crate) fn mirror(pod: &Pod, node: &str, node_uid: &str) -> Value {
    let mut shown = pod.object();
    let metadata = &mut shown["metadata"];
    metadata["annotations"][MIRROR] = pod.uid.as_str().into();
    metadata["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid, "controller": true,
    }]);
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("uid");
    }
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("status");
    }
    shown["apiVersion"] = "v1".into();
    shown["kind"] = "Pod".into();
    shown
}

/// What becomes of a pod whatever its file says: it is here, and nobody evicts it.
fn settle(spec: &mut Value, node: &str) {
    spec["nodeName"] = node.into();
    spec["enableServiceLinks"] = false.into();
    let stays = json!({"operator": "Exists", "effect": "NoExecute"});
    match spec["tolerations"].as_array_mut() {
        Some(tolerations) => tolerations.push(stays),
        None => spec["tolerations"] = json!([stays]),
    }
}

/// What of an API server the pod refers to, if it does.
fn refers_to(name: &str, spec: &Map<String, Value>) -> Option<&'static str> {
    let Needs {
        config_maps,
        secrets,
        tokens,
        claims,
    } = needs(name, spec);
    let names = |field: &str| spec.get(field).is_some_and(|value| !value.is_null());
    let is_account = names("serviceAccountName") || names("serviceAccount");
    let kinds = [
        (!config_maps.is_empty(), "config maps"),
        (!secrets.is_empty(), "secrets"),
        (!tokens.is_empty() || is_account, "service accounts"),
        (!claims.is_empty(), "claims"),
        (names("resourceClaims"), "resource claims"),
    ];
    kinds.iter().find(|(has, _)| *has).map(|(_, what)| *what)
}

fn hash(node: &str, pod: &Value) -> String {
    let digest = digest(&SHA256, format!("{node}\n{pod}").as_bytes());
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.take(HASH_DIGITS / 2).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const WEB: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\n\
                       spec: {containers: [{name: main, image: one}]}\n";

    #[test]
    fn a_file_is_a_pod_of_its_node() {
        let pod = read(WEB, "edge-1").unwrap();
        assert_eq!(
            (pod.namespace.as_str(), pod.name.as_str()),
            ("default", "web-edge-1")
        );
        assert!(is_hash(pod.uid.as_str()) && pod.from_file && !pod.mirror);
        assert_eq!(pod.texts("labels"), json!({"app": "web"}));
        assert_eq!(pod.spec()["nodeName"], "edge-1");
        assert_eq!(pod.spec()["tolerations"][0]["effect"], "NoExecute");
        assert_eq!(read(WEB, "edge-1").unwrap().mark(), pod.mark());
        assert!(!is_hash("0b1f5e4e-0000-4000-8000-000000000001"));
    }

    #[test]
    fn another_text_is_another_pod() {
        let uid = |text: &str| read(text, "edge-1").unwrap().uid;
        assert_ne!(uid(WEB), uid(&WEB.replace("one", "two")));
        assert_eq!(uid(WEB), uid(&format!("# a comment\n{WEB}")));
        assert_ne!(read(WEB, "edge-2").unwrap().uid, uid(WEB));
    }

    #[test]
    fn a_mirror_shows_its_pod() {
        let pod = read(WEB, "edge-1").unwrap();
        let shown = mirror(&pod, "edge-1", "n-1");
        let annotations = &shown["metadata"]["annotations"];
        assert_eq!(annotations[MIRROR], pod.uid.as_str());
        assert_eq!(annotations[HASH], pod.uid.as_str());
        assert_eq!(annotations[SOURCE], "file");
        assert_eq!(shown["metadata"]["ownerReferences"][0]["uid"], "n-1");
        assert_eq!(shown["spec"]["containers"][0]["image"], "one");
        assert!(shown["metadata"]["uid"].is_null() && shown["status"].is_null());
    }

    #[test]
    fn what_is_no_pod_is_named() {
        for (text, problem) in [
            (":\n- {", "it cannot be read"),
            ("apiVersion: v1\nkind: List\n", "it is no Pod"),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
                "it has no spec",
            ),
        ] {
            let error = read(text, "edge-1").unwrap_err().to_string();
            assert!(error.starts_with(problem), "{text}: {error}");
        }
        for (spec, what) in [
            ("serviceAccountName: robot", "service accounts"),
            ("imagePullSecrets: [{name: s}]", "secrets"),
            ("volumes: [{name: v, configMap: {name: m}}]", "config maps"),
            (
                "volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]",
                "claims",
            ),
        ] {
            let text = format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers: []\n  {spec}\n"
            );
            assert_eq!(
                read(&text, "edge-1").unwrap_err(),
                NotAPod::Refers(what),
                "{spec}"
            );
        }
    }
}
