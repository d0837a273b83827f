//! The node's own certificate: it is renewed in time, asked for anew when it is too late, and left to
//! the operator whose it is. Pods do not notice.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{NAME, Node};
use crate::pods::{gone, pod, running};

/// Who signs what nodes show to the API server.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const DAY: Duration = Duration::from_secs(86_400);

/// A certificate most of whose life is over is renewed in the node's own name, while pods run.
pub(crate) fn in_time(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("lasting", "sleep 1000", ""));
    let before = running(&admin, "lasting");
    let renewals = metric(node, "renewals_total");
    let ends = now() + 2 * DAY;
    let ending = cluster.node_certificate(NAME, ends);
    write(&pem(cluster), &ending);
    admin.wait_for("the certificate is renewed", || {
        metric(node, "renewals_total") > renewals
    });
    admin.wait_for("the node goes by the new one", || {
        metric(node, "expiry_seconds") > unix_s(ends)
    });
    assert_ne!(fs::read_to_string(pem(cluster)).unwrap(), ending);
    let mode = fs::metadata(pem(cluster)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let user = format!("system:node:{NAME}");
    assert!(asked_by(&admin, &user) > 0, "nobody asked as the node");
    let own = kubeconfig(cluster);
    let who = admin.run(&["--kubeconfig", own.to_str().unwrap(), "auth", "whoami"]);
    assert!(who.contains(&user), "{who}");
    is_as_before(&admin, &before);
}

/// A certificate that has expired while the agent was off is asked for as a new node would.
pub(crate) fn too_late(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("lasting", "sleep 1000", ""));
    let before = running(&admin, "lasting");
    let asked = asked_by(&admin, "system:bootstrap:abcdef");
    node.borrow_mut().stop();
    let ended = now() - DAY;
    let over = cluster.node_certificate(NAME, ended);
    write(&pem(cluster), &over);
    node.borrow_mut().launch();
    admin.wait_for("the node has joined again", || {
        fs::read_to_string(pem(cluster)).unwrap() != over
    });
    admin.wait_for("the node goes by the new one", || {
        metric(node, "expiry_seconds") > unix_s(now())
    });
    assert_eq!(asked_by(&admin, "system:bootstrap:abcdef"), asked + 1);
    is_as_before(&admin, &before);
}

/// Files that the operator's kubeconfig names are the operator's to renew: they are read again when
/// they change, and no request is made for them, however old they are.
pub(crate) fn by_the_operator(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("lasting", "sleep 1000", ""));
    let before = running(&admin, "lasting");
    let own = fs::read_to_string(kubeconfig(cluster)).unwrap();
    let asked = asked_by(&admin, &format!("system:node:{NAME}"));
    let operators = cluster.node_kubeconfig(NAME);
    write(
        &kubeconfig(cluster),
        &fs::read_to_string(operators).unwrap(),
    );
    for days in [3, 2] {
        let ends = now() + days * DAY;
        cluster.node_certificate(NAME, ends);
        admin.wait_for("the node goes by the operator's", || {
            metric(node, "expiry_seconds") == unix_s(ends)
        });
        is_as_before(&admin, &before);
    }
    assert_eq!(asked_by(&admin, &format!("system:node:{NAME}")), asked);
    write(&kubeconfig(cluster), &own);
    admin.wait_for("the node goes by its own again", || {
        metric(node, "expiry_seconds") > unix_s(now() + 3 * DAY)
    });
    admin.run(&["delete", "pod", "lasting"]);
}

/// The pod is the same as it was, and another one can be run: who writes and who watches has found the
/// way to the API server.
fn is_as_before(admin: &Kubectl, before: &Value) {
    admin.apply(&pod("fresh", "sleep 1000", ""));
    running(admin, "fresh");
    let after = running(admin, "lasting");
    let status = |pod: &Value| pod["status"]["containerStatuses"].clone();
    assert_eq!(status(&after), status(before));
    admin.run(&["delete", "pod", "fresh", "--wait=false"]);
    gone(admin, "fresh");
}

/// The node's requests for client certificates that this user made.
fn asked_by(admin: &Kubectl, user: &str) -> usize {
    let requests = admin.get(&["certificatesigningrequests"]).unwrap();
    let requests = requests["items"].as_array().unwrap().iter();
    let of_user = requests.filter(|request| {
        let spec = &request["spec"];
        spec["signerName"] == SIGNER && spec["username"] == user
    });
    of_user.count()
}

/// One of the metrics of the node's certificate; 0 before the node has joined.
fn metric(node: &Node, name: &str) -> u64 {
    let text = node.borrow().admin("/metrics");
    let name = format!("burstlet_node_certificate_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.map_or(0, |value| value.parse::<f64>().unwrap() as u64)
}

#[allow(
    clippy::disallowed_methods,
    reason = "certificates are good until a time of day"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn unix_s(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn kubeconfig(cluster: &Cluster) -> PathBuf {
    cluster.scratch().join("node.kubeconfig")
}

fn pem(cluster: &Cluster) -> PathBuf {
    cluster.scratch().join("node.kubeconfig.pem")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}
