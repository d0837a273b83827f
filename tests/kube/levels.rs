//! What pods may ask for, by the level of their namespace.

use std::fs;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{IMAGE, Node, condition};
use crate::pods::phase;

/// Levels of the namespaces that these scenarios make, for the node's configuration.
pub(crate) const NAMESPACES: &str = "[policy]\nnamespaces = { \
    strict = { kubernetes = \"restricted\" }, \
    observed = { kubernetes = { warn = \"restricted\", audit = \"restricted\" } }, \
    open = { kubernetes = \"privileged\" } }\n";

/// A pod of a namespace whose only container has this security context.
fn pod(namespace: &str, name: &str, context: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
         tolerations: [{{key: virtual-kubelet.io/provider, operator: Exists}}]\n  \
         automountServiceAccountToken: false\n  terminationGracePeriodSeconds: 1\n{more}  \
         containers:\n  - name: main\n    image: {IMAGE}\n    imagePullPolicy: Never\n    \
         command: [sleep, \"1000\"]\n    securityContext: {context}\n"
    )
}

/// Makes a namespace that pods can be made in.
fn make(admin: &Kubectl, namespace: &str) {
    admin.run(&["create", "namespace", namespace]);
    let account = ["serviceaccount", "default", "-n", namespace];
    admin.wait_until(&account, "made", |account| account.is_some());
}

fn refused(admin: &Kubectl, namespace: &str, name: &str) -> Value {
    let pod = admin.wait_until(&["pod", name, "-n", namespace], "refused", |pod| {
        phase(pod) == "Failed"
    });
    pod.unwrap()["status"].clone()
}

fn running(admin: &Kubectl, namespace: &str, name: &str) {
    admin.wait_until(&["pod", name, "-n", namespace], "ready", |pod| {
        pod.is_some_and(|pod| condition(pod, "Ready")["status"] == "True")
    });
}

/// The text of a pod's event of this reason.
fn event(admin: &Kubectl, namespace: &str, reason: &str) -> String {
    let found = |events: &Value| -> Option<String> {
        let mut events = events["items"].as_array()?.iter();
        let event = events.find(|event| event["reason"] == reason)?;
        Some(event["message"].as_str()?.to_owned())
    };
    let events = admin.wait_until(&["events", "-n", namespace], reason, |events| {
        events.is_some_and(|events| found(events).is_some())
    });
    found(&events.unwrap()).unwrap()
}

fn end(admin: &Kubectl, namespace: &str) {
    admin.run(&["delete", "pods", "--all", "-n", namespace]);
    admin.wait_until(&["pods", "-n", namespace], "gone", |pods| {
        pods.unwrap()["items"] == serde_json::json!([])
    });
}

/// Every namespace is held to baseline, unless it has a level of its own.
pub(crate) fn are_enforced(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("default", "daring", "{privileged: true}", ""));
    let status = refused(&admin, "default", "daring");
    assert_eq!(status["reason"], "PodSecurityViolation", "{status}");
    let path = "spec.containers[0].securityContext.privileged";
    assert!(status["message"].as_str().unwrap().contains(path));
    assert!(event(&admin, "default", "PodSecurityViolation").contains(path));
    end(&admin, "default");

    make(&admin, "strict");
    admin.apply(&pod("strict", "plain", "{runAsUser: 7}", ""));
    let hardened = "{runAsUser: 7, runAsNonRoot: true, allowPrivilegeEscalation: false, \
                    capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}";
    admin.apply(&pod("strict", "hardened", hardened, ""));
    let status = refused(&admin, "strict", "plain");
    assert_eq!(status["reason"], "PodSecurityViolation", "{status}");
    running(&admin, "strict", "hardened");
    end(&admin, "strict");
}

/// What is only warned about and audited runs; an event tells of it, and the agent's trail.
pub(crate) fn are_told_of(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    make(&admin, "observed");
    admin.apply(&pod("observed", "plain", "{runAsUser: 7}", ""));
    running(&admin, "observed", "plain");
    let path = "spec.containers[0].securityContext.runAsNonRoot";
    let told = event(&admin, "observed", "PodSecurityWarning");
    assert!(told.contains(path), "{told}");
    let trail = node.borrow().state_dir().join("audit/audit.log");
    let audited = || {
        let text = fs::read_to_string(&trail).unwrap();
        let entries = text.lines().map(serde_json::from_str::<Value>);
        let mut entries = entries.filter_map(Result::ok);
        entries.any(|entry| {
            let of_it = entry["event"] == "pod" && entry["group"] == "observed/plain";
            of_it && entry["violations"].to_string().contains(path)
        })
    };
    admin.wait_for("the trail tells of it", audited);
    end(&admin, "observed");
}

/// Where all is left to the cluster a pod has what it has on a kubelet.
pub(crate) fn may_leave_it_to_the_cluster(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    make(&admin, "open");
    let shared = cluster.scratch().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("word"), "of the host").unwrap();
    let more = format!(
        "  hostNetwork: true\n  volumes: [{{name: host, hostPath: {{path: {}}}}}]\n",
        shared.display()
    );
    let mount = "{privileged: true}\n    volumeMounts: [{name: host, mountPath: /host}]";
    admin.apply(&pod("open", "agent", mount, &more));
    running(&admin, "open", "agent");
    let run = |script: &str| {
        let exec = ["exec", "-n", "open", "agent", "--", "sh", "-c", script];
        admin.run(&exec)
    };
    assert_eq!(run("cat /host/word"), "of the host");
    let ids = run("cat /proc/self/uid_map");
    let ids: Vec<&str> = ids.split_whitespace().collect();
    assert_eq!(ids, ["0", "0", "4294967295"]);
    let network = fs::read_link("/proc/self/ns/net").unwrap();
    let own = run("readlink /proc/self/ns/net");
    assert_eq!(own.trim(), network.to_str().unwrap());
    let report = node.borrow().ok(&["policy", "report", "-A", "-o", "name"]);
    assert_eq!(report, "", "it would be accepted again");
    end(&admin, "open");
}
