//! What users are promised of pods that are scaled by what they use: a real metrics-server asks the node,
//! `kubectl top` shows what it was told, and an autoscaler acts on it.

use crate::cluster::{Beside, Cluster, METRICS_SERVER, free_ports};
use crate::kubectl::Kubectl;
use crate::node::{NAME, Node, condition};
use crate::pods::template;
use crate::programs;

/// A Deployment that uses all that it may, and an autoscaler that finds it too much.
fn busy() -> String {
    let resources = "      resources: {requests: {cpu: 100m}, limits: {cpu: 200m}}\n";
    let template = template("while true; do true; done", 6) + "  " + resources;
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: laden}}\nspec:\n  \
         selector: {{matchLabels: {{app: laden}}}}\n  template:\n    metadata: {{labels: {{app: laden}}}}\n    \
         spec:\n{template}\
         ---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: laden}}\nspec:\n  \
         scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: laden}}\n  \
         minReplicas: 1\n  maxReplicas: 2\n  \
         metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}}}]\n"
    )
}

/// A Deployment that has too much to do is given a second pod.
pub(crate) fn scale_pods(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let [port] = free_ports();
    let objects = include_str!("metrics.yaml").replace("PORT", &port.to_string());
    admin.apply(&objects);
    let server = start(cluster, port);
    let busy = busy();
    admin.apply(&busy);
    admin.wait_for("the pod's use is shown", || {
        shows_use(&admin, &["pods", "-l", "app=laden"])
    });
    admin.wait_for("the node's use is shown", || {
        shows_use(&admin, &["node", NAME])
    });
    admin.wait_until(&["deployment", "laden"], "scaled", |deployment| {
        deployment.is_some_and(|deployment| deployment["status"]["readyReplicas"] == 2)
    });
    let scaler = admin.get(&["hpa", "laden"]).unwrap();
    assert_eq!(condition(&scaler, "ScalingActive")["status"], "True");
    for made in [busy, objects] {
        let deleted = admin.feed(&["delete", "-f", "-"], made.as_bytes());
        assert_eq!(deleted.code, Some(0), "{}", deleted.stderr);
    }
    drop(server);
    admin.wait_until(&["pods", "-l", "app=laden"], "gone", |pods| {
        pods.unwrap()["items"] == serde_json::json!([])
    });
}

fn start(cluster: &Cluster, port: u16) -> Beside {
    let mut args: Vec<String> = cluster.identity_flags(METRICS_SERVER).into();
    args.extend([
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", cluster.scratch().join("metrics").display()),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--kubelet-use-node-status-port".to_owned(),
        format!("--kubelet-certificate-authority={}", cluster.authority()),
        // It takes no less. Two looks tell a rate.
        "--metric-resolution=10s".to_owned(),
        "--kubelet-request-timeout=5s".to_owned(),
    ]);
    cluster.start_beside(&programs::metrics_server(), &args)
}

/// Whether `kubectl top` shows one of these, with some processor time and memory.
fn shows_use(admin: &Kubectl, what: &[&str]) -> bool {
    let shown = admin.try_run(&[&["top"], what, &["--no-headers"]].concat());
    let shown = shown.unwrap_or_default();
    let Some(line) = shown.lines().next() else {
        return false;
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let millis = words
        .get(1)
        .and_then(|word| word.strip_suffix('m')?.parse().ok());
    let has_memory = words.iter().any(|word| word.ends_with("Mi"));
    millis.is_some_and(|millis: u64| millis > 0) && has_memory
}
