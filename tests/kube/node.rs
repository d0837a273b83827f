//! The agent as a node of the cluster, and what users are promised of the node itself.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use burstlet_tests::{Agent, sample_image};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::{Kubectl, PATIENCE};
use crate::levels;
use crate::pods::{pod, running};

/// The node's name.
pub(crate) const NAME: &str = "burst-1";
/// The image that every pod runs: busybox.
pub(crate) const IMAGE: &str = "localhost/sample:1";

/// Who signs what nodes show as servers.
const SERVING: &str = "kubernetes.io/kubelet-serving";

/// The agent under test; scenarios kill it and start it again.
pub(crate) type Node = RefCell<Agent>;

/// Starts an agent that joins the cluster with a bootstrap token.
pub(crate) fn join(cluster: &Cluster) -> Node {
    join_with(cluster, "")
}

/// The same with more keys of `[kubernetes]`.
pub(crate) fn join_with(cluster: &Cluster, keys: &str) -> Node {
    let address = cluster.address();
    let bootstrap = cluster.bootstrap_kubeconfig();
    std::fs::create_dir(static_pods(cluster)).unwrap();
    let agent = Agent::start_with(&format!(
        "[kubernetes]\nnode_name = \"{NAME}\"\nkubeconfig = \"{}\"\nbootstrap_kubeconfig = \"{}\"\n\
         node_ip = \"{address}\"\nlisten = \"{address}:0\"\nclient_ca_file = \"{}\"\n\
         volume_paths = [\"{}\"]\nstatic_pod_dir = \"{}\"\n{keys}{}",
        cluster.scratch().join("node.kubeconfig").display(),
        bootstrap.display(),
        cluster.authority(),
        disks(cluster).display(),
        static_pods(cluster).display(),
        levels::NAMESPACES,
    ));
    agent.ok_with(&["import", "-"], &sample_image(IMAGE));
    certify(&cluster.admin());
    RefCell::new(agent)
}

/// Where volumes may be.
pub(crate) fn disks(cluster: &Cluster) -> PathBuf {
    cluster.scratch().join("disks")
}

/// Where files are pods.
pub(crate) fn static_pods(cluster: &Cluster) -> PathBuf {
    cluster.scratch().join("pods")
}

/// What an administrator does with a new node: grant it the certificate that its port shows, which
/// is one of its own making until then.
fn certify(admin: &Kubectl) {
    let requests = admin.wait_until(&["certificatesigningrequests"], "asked for", |requests| {
        requests.is_some_and(|requests| signed_by(requests, SERVING).is_some())
    });
    let requests = requests.unwrap();
    let request = signed_by(&requests, SERVING).unwrap();
    assert_eq!(request["spec"]["username"], format!("system:node:{NAME}"));
    admin.wait_until(&["node", NAME], "served", |node| {
        node.is_some_and(|node| port_of(node) != 0)
    });
    let unknown = ask(admin, "/healthz").unwrap_err();
    assert!(unknown.contains("unknown authority"), "{unknown}");
    let name = request["metadata"]["name"].as_str().unwrap();
    admin.run(&["certificate", "approve", name]);
    let deadline = Instant::now() + PATIENCE;
    while let Err(complaint) = ask(admin, "/healthz") {
        assert!(
            Instant::now() < deadline,
            "the port is not certified: {complaint}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Asks the node's own port, past the API server.
pub(crate) fn ask(admin: &Kubectl, path: &str) -> Result<String, String> {
    ask_as(admin, admin, &[], path)
}

/// The same as somebody else, with more options. The administrator knows where it is.
pub(crate) fn ask_as(
    admin: &Kubectl,
    who: &Kubectl,
    options: &[&str],
    path: &str,
) -> Result<String, String> {
    let node = admin.get(&["node", NAME]).unwrap();
    let addresses = node["status"]["addresses"].as_array().unwrap();
    let mut addresses = addresses.iter();
    let internal = addresses.find(|address| address["type"] == "InternalIP");
    let address = internal.unwrap()["address"].as_str().unwrap();
    let server = format!("--server=https://{address}:{}", port_of(&node));
    who.try_run(&[options, &[&server, "get", "--raw", path]].concat())
}

/// The node's own port.
pub(crate) fn port_of(node: &Value) -> u64 {
    let port = &node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"];
    port.as_u64().unwrap_or(0)
}

/// A certificate request for this signer.
fn signed_by<'r>(requests: &'r Value, signer: &str) -> Option<&'r Value> {
    let mut items = requests["items"].as_array()?.iter();
    items.find(|request| request["spec"]["signerName"] == signer)
}

/// The node has joined with a certificate of its own, is alive and shown as it is.
pub(crate) fn it_is_registered(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let node = admin.wait_until(&["node", NAME], "ready", |node| {
        condition(node.unwrap_or(&Value::Null), "Ready")["status"] == "True"
    });
    let node = node.unwrap();
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/os"], "linux");
    assert_eq!(
        node["spec"]["taints"][0]["key"],
        "virtual-kubelet.io/provider"
    );
    assert_eq!(node["status"]["capacity"]["pods"], "100k");
    let declared = &node["status"]["declaredFeatures"];
    let features = [
        "ExtendWebSocketsToKubelet",
        "InPlacePodLevelResourcesVerticalScaling",
        "InPlacePodVerticalScalingInitContainers",
        "RestartAllContainersOnContainerExits",
    ];
    assert_eq!(*declared, serde_json::json!(features));
    assert_eq!(condition(&node, "MemoryPressure")["status"], "False");
    let addresses = node["status"]["addresses"].as_array().unwrap();
    assert!(
        addresses
            .iter()
            .any(|address| address["type"] == "InternalIP"),
        "{addresses:?}"
    );
    let requests = admin.get(&["certificatesigningrequests"]).unwrap();
    let joining = signed_by(&requests, "kubernetes.io/kube-apiserver-client-kubelet").unwrap();
    assert_eq!(joining["spec"]["username"], "system:bootstrap:abcdef");
    let lease = ["lease", "-n", "kube-node-lease", NAME];
    let lease = admin.wait_until(&lease, "owned by the node", |lease| {
        lease.is_some_and(|lease| lease["metadata"]["ownerReferences"][0]["name"] == NAME)
    });
    assert_eq!(lease.unwrap()["spec"]["holderIdentity"], NAME);
    let printed = admin.run(&["get", "nodes"]);
    assert!(printed.contains(" Ready "), "{printed}");
}

/// Somebody deletes the node: it comes back.
pub(crate) fn it_comes_back(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let uid = |node: &Value| node["metadata"]["uid"].clone();
    let before = uid(&admin.get(&["node", NAME]).unwrap());
    admin.run(&["delete", "node", NAME]);
    admin.wait_until(&["node", NAME], "registered anew", |node| {
        node.is_some_and(|node| uid(node) != before && condition(node, "Ready")["status"] == "True")
    });
}

/// A node that takes what others cannot offers a little more than its pods ask for.
pub(crate) fn it_offers_a_little(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let path = node.borrow().config();
    let before = std::fs::read_to_string(&path).unwrap();
    let section = "[kubernetes]\n";
    let other = before.replacen(
        section,
        &format!("{section}capacity_mode = \"overflow\"\n"),
        1,
    );
    let restart_with = |text: &str| {
        std::fs::write(&path, text).unwrap();
        node.borrow_mut().crash();
        node.borrow_mut().launch();
    };
    let offers = |cpu: &str, pods: &str| {
        admin.wait_until(&["node", NAME], "told", |node| {
            let status = &node.unwrap()["status"];
            ["capacity", "allocatable"]
                .iter()
                .all(|field| status[field]["cpu"] == cpu && status[field]["pods"] == pods)
        });
    };
    restart_with(&other);
    offers("4", "20");
    let more = "    resources: {requests: {cpu: 1500m}}\n";
    admin.apply(&pod("using", "sleep 1000", more));
    running(&admin, "using");
    offers("5500m", "21");
    admin.run(&["delete", "pod", "using"]);
    offers("4", "20");
    restart_with(&before);
    offers("10k", "100k");
}

/// One of an object's conditions; null if it has none of this type.
pub(crate) fn condition<'o>(object: &'o Value, kind: &str) -> &'o Value {
    const NONE: &Value = &Value::Null;
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .find(|condition| condition["type"] == kind)
        .unwrap_or(NONE)
}
