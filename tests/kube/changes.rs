//! What users are promised of pods that run while something changes.

use std::time::Instant;

use burstlet_tests::sample_image;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::{Kubectl, PATIENCE};
use crate::node::Node;
use crate::pods::{gone, pod, running};

/// Another image with the same programs.
const OTHER_IMAGE: &str = "localhost/sample:2";

/// Waits until `script` in a container prints `wanted`.
fn prints(node: &Node, pod: &str, script: &str, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = node.borrow().ctl(&["exec", pod, "--", "sh", "-c", script]);
        if seen.code == Some(0) && seen.stdout.trim() == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "never {wanted:?}: {seen:?}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

fn restarts(admin: &Kubectl, name: &str) -> Value {
    let pod = admin.get(&["pod", name]).unwrap();
    pod["status"]["containerStatuses"][0]["restartCount"].clone()
}

fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: {value}}}\n")
}

/// Config maps and secrets that are changed, and optional ones that come, are seen by who runs;
/// what was mounted by a path below a volume stays.
pub(crate) fn a_pod_follows_what_it_refers_to(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: hidden}}\nstringData: {{key: {value}}}\n"
        )
    };
    admin.apply(&config_map("shown", "one"));
    admin.apply(&secret("one"));
    let more = "    env: [{name: KEY, valueFrom: {configMapKeyRef: {name: shown, key: key}}}]\n    \
                volumeMounts:\n    \
                - {name: shown, mountPath: /shown}\n    \
                - {name: shown, mountPath: /fixed, subPath: key}\n    \
                - {name: hidden, mountPath: /hidden}\n    \
                - {name: both, mountPath: /both}\n  \
                volumes:\n  \
                - {name: shown, configMap: {name: shown}}\n  \
                - {name: hidden, secret: {secretName: hidden}}\n  \
                - {name: both, projected: {sources: [{secret: {name: hidden}}, \
                   {configMap: {name: late, optional: true, items: [{key: key, path: late/key}]}}]}}\n";
    let until_told = "until test -e /go; do sleep 0.1; done";
    admin.apply(&pod("following", until_told, more));
    running(&admin, "following");
    let script = "echo $(for file in /shown/key /fixed /hidden/key /both/key /both/late/key; do \
                  cat $file 2>/dev/null; echo; done) $KEY";
    prints(node, "following", script, "one one one one one");
    admin.apply(&config_map("shown", "two"));
    prints(node, "following", script, "two one one one one");
    admin.apply(&secret("two"));
    prints(node, "following", script, "two one two two one");
    admin.apply(&config_map("late", "came"));
    prints(node, "following", script, "two one two two came one");
    admin.run(&["delete", "configmap", "late"]);
    prints(node, "following", script, "two one two two one");
    assert_eq!(restarts(&admin, "following"), 0);
    // Who is started again has everything as it is now. The command may be killed with the run whose
    // end it brings.
    let tell = ["exec", "following", "--", "touch", "/go"];
    let _ = node.borrow().ctl(&tell);
    prints(node, "following", script, "two two two two two");
    assert_eq!(restarts(&admin, "following"), 1);
    admin.run(&[
        "delete",
        "pod/following",
        "configmap/shown",
        "secret/hidden",
    ]);
    gone(&admin, "following");
}

/// Labels are seen in files, another image starts its container again, a deadline ends the pod.
pub(crate) fn a_pod_follows_its_own_changes(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    node.borrow()
        .ok_with(&["import", "-"], &sample_image(OTHER_IMAGE));
    let more = "    volumeMounts: [{name: self, mountPath: /self}]\n  \
                volumes: [{name: self, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]\n";
    admin.apply(&pod("changing", "sleep 1000", more));
    running(&admin, "changing");
    prints(node, "changing", "cat /self/labels", "");
    admin.run(&["label", "pod", "changing", "tier=front"]);
    prints(node, "changing", "cat /self/labels", "tier=\"front\"");
    assert_eq!(restarts(&admin, "changing"), 0);
    let image = format!("main={OTHER_IMAGE}");
    admin.run(&["set", "image", "pod/changing", &image]);
    admin.wait_until(&["pod", "changing"], "running its other image", |pod| {
        let status = &pod.unwrap()["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && status["image"] == OTHER_IMAGE && status["ready"] == true
    });
    let patch = "{\"spec\": {\"activeDeadlineSeconds\": 1}}";
    admin.run(&["patch", "pod", "changing", "-p", patch]);
    let failed = admin.wait_until(&["pod", "changing"], "too old", |pod| {
        pod.unwrap()["status"]["phase"] == "Failed"
    });
    assert_eq!(failed.unwrap()["status"]["reason"], "DeadlineExceeded");
    admin.run(&["delete", "pod", "changing"]);
}
