//! What users are promised of PersistentVolumeClaims.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{NAME, Node, disks};
use crate::pods::{gone, phase, pod, running, template};

/// A class whose volumes are made by hand, and bound when a pod needs them, or at once.
fn class(name: &str, mode: &str) -> String {
    format!(
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: {name}}}\n\
         provisioner: kubernetes.io/no-provisioner\nvolumeBindingMode: {mode}\n---\n"
    )
}

/// A volume of some source, with more lines of its `spec`.
fn volume(name: &str, class: &str, source: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec:\n  \
         capacity: {{storage: 1Mi}}\n  accessModes: [ReadWriteOnce]\n  storageClassName: {class}\n  \
         {source}\n---\n"
    )
}

fn claim(name: &str, class: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec:\n  \
         accessModes: [ReadWriteOnce]\n  storageClassName: {class}\n  \
         resources: {{requests: {{storage: 1Mi}}}}\n  {more}\n---\n"
    )
}

/// Lines of a pod that is bound to the node past the scheduler, with a volume mounted at `/data`.
fn mounting(mount: &str, volume: &str) -> String {
    format!(
        "    volumeMounts: [{{name: data, mountPath: /data{mount}}}]\n  nodeName: {NAME}\n  \
         restartPolicy: Never\n  volumes: [{{name: data, {volume}}}]\n"
    )
}

fn told(admin: &Kubectl, pod: &str, reason: &str, part: &str) {
    admin.wait_until(&["events"], "told", |events| {
        let mut events = events.unwrap()["items"].as_array().unwrap().iter();
        events.any(|event| {
            event["reason"] == reason
                && event["involvedObject"]["name"] == pod
                && event["message"].as_str().unwrap().contains(part)
        })
    });
}

fn uid(admin: &Kubectl, pod: &str) -> Value {
    running(admin, pod)["metadata"]["uid"].clone()
}

/// Waits until a StatefulSet has made its pod anew.
fn made_anew(admin: &Kubectl, pod: &str, before: &Value) {
    admin.wait_until(&["pod", pod], "made anew", |pod| {
        pod.is_some_and(|pod| {
            pod["metadata"]["uid"] != *before
                && crate::node::condition(pod, "Ready")["status"] == "True"
        })
    });
}

/// A StatefulSet whose pod writes to its volume, and runs without rights.
fn keeper() -> String {
    let script = "test -e /data/who || echo $(id -u) > /data/who; rm -f /data/before; sleep 1000";
    let template = template(script, 6);
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: keeper}}\nspec:\n  \
         selector: {{matchLabels: {{app: keeper}}}}\n  serviceName: keeper\n  template:\n    \
         metadata: {{labels: {{app: keeper}}}}\n    spec:\n{template}        \
         volumeMounts: [{{name: data, mountPath: /data}}]\n      \
         securityContext: {{runAsUser: 1000, fsGroup: 2000}}\n  \
         volumeClaimTemplates:\n  - metadata: {{name: data}}\n    spec:\n      \
         accessModes: [ReadWriteOnce]\n      storageClassName: by-hand\n      \
         resources: {{requests: {{storage: 1Mi}}}}\n"
    )
}

/// A claim of a StatefulSet is bound to a local volume of the node when its pod is scheduled. What
/// that pod writes without rights, the one that is made in its place finds, as its own.
pub(crate) fn waits_for_its_first_consumer(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let path = disks(cluster).join("kept");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("before"), "x").unwrap();
    let host = admin.get(&["node", NAME]).unwrap();
    let host = host["metadata"]["labels"]["kubernetes.io/hostname"].as_str();
    let source = format!(
        "local: {{path: {:?}}}\n  nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: \
         [{{key: kubernetes.io/hostname, operator: In, values: [{:?}]}}]}}]}}}}",
        path.display().to_string(),
        host.unwrap()
    );
    admin.apply(&(class("by-hand", "WaitForFirstConsumer") + &volume("kept", "by-hand", &source)));
    admin.apply(&keeper());
    let first = uid(&admin, "keeper-0");
    let claim = admin.get(&["pvc", "data-keeper-0"]).unwrap();
    assert_eq!(claim["spec"]["volumeName"], "kept");
    let who = || {
        node.borrow()
            .ctl(&["exec", "keeper-0", "--", "stat", "-c", "%u:%g", "/data/who"])
    };
    admin.wait_for("written", || who().stdout.trim() == "1000:2000");
    let on_disk = fs::metadata(path.join("who")).unwrap();
    assert_eq!((on_disk.uid(), on_disk.gid()), (1000, 2000));
    fs::write(path.join("who"), "kept").unwrap();
    admin.run(&["delete", "pod", "keeper-0"]);
    made_anew(&admin, "keeper-0", &first);
    let found = node
        .borrow()
        .ok(&["exec", "keeper-0", "--", "cat", "/data/who"]);
    assert_eq!(found, "kept");
    admin.run(&["delete", "statefulset", "keeper"]);
    gone(&admin, "keeper-0");
    admin.run(&[
        "delete",
        "pvc/data-keeper-0",
        "pv/kept",
        "storageclass/by-hand",
    ]);
}

/// A pod whose claim is not bound waits and says so; bound, it has of the volume what it asks for, and
/// may be read only.
pub(crate) fn is_waited_for(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    fs::create_dir_all(disks(cluster)).unwrap();
    let path = disks(cluster).join("late");
    admin.apply(&(class("at-once", "Immediate") + &claim("late", "at-once", "")));
    let by_claim = "persistentVolumeClaim: {claimName: late}";
    let script = "echo text > /data/file";
    admin.apply(&pod(
        "writing",
        script,
        &mounting(", subPath: below/it", by_claim),
    ));
    told(
        &admin,
        "writing",
        "FailedMount",
        "PVC default/late: PVC is not bound",
    );
    let waiting = admin.get(&["pod", "writing"]);
    assert_eq!(phase(waiting.as_ref()), "Pending");
    let source = format!(
        "hostPath: {{path: {:?}, type: DirectoryOrCreate}}",
        path.display().to_string()
    );
    admin.apply(&volume("late", "at-once", &source));
    ended(&admin, "writing");
    assert_eq!(
        fs::read_to_string(path.join("below/it/file")).unwrap(),
        "text\n"
    );
    is_charged(node, "writing");
    let by_claim = "persistentVolumeClaim: {claimName: late, readOnly: true}";
    let script = "test $(cat /data/below/it/file) = text && ! touch /data/new";
    admin.apply(&pod("reading", script, &mounting("", by_claim)));
    ended(&admin, "reading");
    assert!(!path.join("new").exists());
    admin.run(&["delete", "pvc/late", "pv/late", "storageclass/at-once"]);
}

/// All that was set aside for the claim counts for as long as the group lived.
fn is_charged(node: &Node, name: &str) {
    let used = ["usage", "-A", "--by", "group", "-o", "json"];
    let used: Value = serde_json::from_str(&node.borrow().ok(&used)).unwrap();
    let mut rows = used["rows"].as_array().unwrap().iter();
    let row = rows.find(|row| row["keys"][0].as_str().unwrap().ends_with(name));
    let row = row.unwrap_or_else(|| panic!("{name} is not in {used:#}"));
    let number = |field: &str| -> f64 { row[field].as_str().unwrap().parse().unwrap() };
    let seconds = number("billedSeconds") + number("unratedSeconds");
    let claimed = number("volumeClaimedByteSeconds");
    assert!(seconds > 0.0, "{row:#}");
    let error = (claimed / seconds / f64::from(1 << 20) - 1.0).abs();
    assert!(error < 1e-6, "{row:#}");
}

/// Waits until a pod has succeeded, and deletes it.
fn ended(admin: &Kubectl, name: &str) {
    let ended = admin.wait_until(&["pod", name], "done", |pod| {
        matches!(phase(pod), "Succeeded" | "Failed")
    });
    assert_eq!(phase(ended.as_ref()), "Succeeded", "{ended:#?}");
    admin.run(&["delete", "pod", name]);
    gone(admin, name);
}

/// A volume whose claim is made for the pod is that claim's; one that somebody else made under its name
/// is not taken.
pub(crate) fn is_made_for_a_pod(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let path = disks(cluster).join("own");
    admin.apply(&(class("for-pods", "Immediate") + &claim("foreign-data", "for-pods", "")));
    let source = |path: &Path| {
        let path = path.display().to_string();
        format!("hostPath: {{path: {path:?}, type: DirectoryOrCreate}}")
    };
    let more = mounting(
        "",
        "ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], \
         storageClassName: for-pods, resources: {requests: {storage: 1Mi}}}}}",
    );
    admin.apply(&volume(
        "foreign",
        "for-pods",
        &source(&disks(cluster).join("foreign")),
    ));
    admin.wait_until(&["pvc", "foreign-data"], "bound", |claim| {
        phase(claim) == "Bound"
    });
    admin.apply(&pod("foreign", "true", &more));
    told(&admin, "foreign", "FailedMount", "pod is not owner");
    admin.run(&["delete", "pod", "foreign"]);
    gone(&admin, "foreign");
    admin.apply(&volume("own", "for-pods", &source(&path)));
    admin.apply(&pod("owning", "touch /data/came", &more));
    ended(&admin, "owning");
    assert!(path.join("came").exists());
    admin.run(&[
        "delete",
        "pvc/foreign-data",
        "pv/foreign",
        "pv/own",
        "storageclass/for-pods",
    ]);
}

/// A volume that this node does not mount fails the pod with what it is, and one that the operator does
/// not give to clusters with its path.
pub(crate) fn of_another_kind_is_refused(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&class("others", "Immediate"));
    let csi = "csi: {driver: disk.example.com, volumeHandle: one}";
    let outside = format!(
        "hostPath: {{path: {:?}}}",
        cluster.scratch().display().to_string()
    );
    let block = "volumeMode: Block\n  local: {path: /dev/null}\n  nodeAffinity: {required: \
                 {nodeSelectorTerms: [{matchExpressions: [{key: type, operator: Exists}]}]}}";
    for case in [
        ("driven", csi, "", "NotSupported", "csi (disk.example.com)"),
        (
            "outside",
            &outside,
            "",
            "NotAllowed",
            "kubernetes.volume_paths",
        ),
        (
            "block",
            block,
            "volumeMode: Block",
            "NotSupported",
            "volumeMode Block",
        ),
    ] {
        is_refused(&admin, case);
    }
    admin.run(&["delete", "storageclass", "others"]);
}

/// A pod whose claim is bound to such a volume fails with this word, and says what is the matter.
fn is_refused(admin: &Kubectl, (name, source, more, reason, part): (&str, &str, &str, &str, &str)) {
    let more = format!("volumeName: {name}\n  {more}");
    admin.apply(&(volume(name, "others", source) + &claim(name, "others", &more)));
    admin.wait_until(&["pvc", name], "bound", |claim| phase(claim) == "Bound");
    let by_claim = format!("persistentVolumeClaim: {{claimName: {name}}}");
    admin.apply(&pod(name, "true", &mounting("", &by_claim)));
    let failed = admin.wait_until(&["pod", name], "refused", |pod| phase(pod) == "Failed");
    let status = &failed.unwrap()["status"];
    assert_eq!(status["reason"], reason, "{status}");
    let message = status["message"].as_str().unwrap();
    assert!(
        message.contains(part) && message.contains("spec.volumes[0]"),
        "{message}"
    );
    told(admin, name, reason, part);
    admin.run(&["delete", "pod", name]);
    gone(admin, name);
    let (claim, volume) = (format!("pvc/{name}"), format!("pv/{name}"));
    admin.run(&["delete", &claim, &volume]);
}
