//! What is promised of the node's own port, asked past the API server: who may ask for what, and
//! the numbers that are shown.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{Node, ask, ask_as};
use crate::pods::{pod, running};

/// An account that may read metrics of nodes, and by `nodes/proxy` look at them.
const READER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [nodes/metrics, nodes/proxy], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
";

/// Strangers are refused, and friends have what their roles say and nothing more: whoever may only
/// look runs no commands.
pub(crate) fn it_knows_who_may_ask(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(READER);
    let token = admin.run(&["create", "token", "reader"]);
    let ca = format!("--certificate-authority={}", cluster.authority());
    let nobody = cluster.nobody();
    let with = |token: &str, path: &str| {
        let token = format!("--token={token}");
        ask_as(&admin, &nobody, &[&ca, &token], path)
    };
    let refused = |token: &str, path: &str| with(token, path).unwrap_err();
    for path in ["/healthz", "/pods", "/metrics", "/exec/default/box/main"] {
        let why = refused("stranger", path);
        assert!(why.contains("must be logged in"), "{path}: {why}");
    }
    let token = token.trim();
    admin.wait_for("the account's role counts", || {
        with(token, "/metrics/resource").is_ok()
    });
    with(token, "/pods").unwrap();
    let exec = refused(token, "/exec/default/box/main?command=id&output=1");
    assert!(exec.contains("verb=create"), "{exec}");
    let stats = refused(token, "/stats/summary");
    assert!(stats.contains("subresource(s)=[stats]"), "{stats}");
    let missing = ask(&admin, "/run/default/box/main").unwrap_err();
    assert!(missing.contains("could not find"), "{missing}");
    admin.run(&[
        "delete",
        "serviceaccount/reader",
        "clusterrole/reader",
        "clusterrolebinding/reader",
    ]);
}

/// Pods are listed and counted, in the forms that metrics-server, dashboards and people read.
pub(crate) fn it_shows_numbers(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let probe = "    livenessProbe: {exec: {command: ['true']}, periodSeconds: 1}\n";
    admin.apply(&pod("busy", "while true; do true; done", probe));
    running(&admin, "busy");
    resource(&admin);
    metrics(&admin);
    lists(&admin);
    admin.run(&["delete", "pod", "busy"]);
}

fn page(admin: &Kubectl, path: &str) -> String {
    ask(admin, path).unwrap()
}

fn document(admin: &Kubectl, path: &str) -> Value {
    serde_json::from_str(&page(admin, path)).unwrap()
}

fn resource(admin: &Kubectl) {
    let labels = "{container=\"main\",namespace=\"default\",pod=\"busy\"} ";
    let cpu = format!("container_cpu_usage_seconds_total{labels}");
    let used = |line: &str| {
        let seconds = line.strip_prefix(&cpu);
        seconds.is_some_and(|seconds| !seconds.starts_with("0.0"))
    };
    admin.wait_for("processor time is counted", || {
        page(admin, "/metrics/resource").lines().any(used)
    });
    let resource = page(admin, "/metrics/resource");
    for name in [
        "container_memory_working_set_bytes",
        "container_start_time_seconds",
    ] {
        assert!(resource.contains(&format!("{name}{labels}")), "{resource}");
    }
    assert!(resource.contains("\nnode_cpu_usage_seconds_total "));
    assert!(resource.contains("\nresource_scrape_error 0\n"));
}

fn metrics(admin: &Kubectl) {
    let cadvisor = page(admin, "/metrics/cadvisor");
    let counted = "container_cpu_usage_seconds_total{container=\"main\",cpu=\"total\",";
    assert!(cadvisor.contains(counted), "{cadvisor}");
    assert!(page(admin, "/metrics").contains("\nburstlet_build_info{"));
    assert!(page(admin, "/metrics/billing").contains("# TYPE "));
    let counted = |line: &str| line.contains("result=\"successful\"") && !line.ends_with(" 0");
    admin.wait_for("probes are counted", || {
        page(admin, "/metrics/probes").lines().any(counted)
    });
}

fn lists(admin: &Kubectl) {
    let named = |list: &Value| {
        let pods = list["items"].as_array().unwrap().clone();
        let mut pods = pods.into_iter();
        pods.find(|pod| pod["metadata"]["name"] == "busy").unwrap()
    };
    admin.wait_for("the pod is listed as running", || {
        named(&document(admin, "/pods"))["status"]["phase"] == "Running"
    });
    let runs = named(&document(admin, "/runningpods/"));
    assert_eq!(runs["spec"]["containers"][0]["name"], "main");
    admin.wait_for("the rate of processor time is known", || {
        let summary = document(admin, "/stats/summary");
        let mut pods = summary["pods"].as_array().unwrap().iter();
        let busy = pods.find(|pod| pod["podRef"]["name"] == "busy");
        let rate = busy.map(|pod| &pod["containers"][0]["cpu"]["usageNanoCores"]);
        rate.and_then(Value::as_u64) > Some(0)
    });
    let configuration = document(admin, "/configz");
    let anonymous = &configuration["kubeletconfig"]["authentication"]["anonymous"]["enabled"];
    assert_eq!(*anonymous, Value::Bool(false));
}
