//! The Kubernetes node, made from the configuration and this machine.

mod capacity;
mod condition;
mod cost;
mod pod_cidr;
mod self_test;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use burstlet_access::{Entry, Event, Trail};
use burstlet_kube_node::{
    Auditor, ClusterFacts, ClusterView, Condition, Costs, Credentials, DaemonSets, IdentityState,
    NodeConfig, NodeFacts, PortLink, SystemInfo, UserNamespaces,
};
use burstlet_network::files::ResolvConf;
use burstlet_supervisor::Groups;
use burstlet_telemetry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::self_test::SelfTest;
use crate::config::{self, Config};
use crate::host::RealHost;
use crate::kubelet::{self, Port};
use crate::machine::{self, Machine};
use crate::metrics;
use crate::policy::Rules;

/// What is done, for who is told that it failed.
const BE_A_NODE: &str = "be a node of the Kubernetes cluster";

/// What stands for a call in the audit trail, for pods.
const AUDITED_CALL: &str = "kubernetes/Pod";

/// What the node is made of.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    /// The agent's own metrics.
    pub(crate) registry: &'a Registry,
    pub(crate) config: &'a Arc<Config>,
    pub(crate) rules: &'a Rules,
    pub(crate) machine: &'a Machine,
    pub(crate) trail: &'a Trail,
}

/// Is the cluster's node until the shutdown; at once back if the configuration has no cluster.
///
/// # Errors
/// The credentials cannot be used, or another agent has a node of this name. The agent then ends.
pub(crate) async fn run(
    of: Of<'_>,
    groups: Groups<RealHost>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let joined = join(of, groups, shutdown.clone()).await;
    // Whatever fails must end the agent, and not only its node.
    joined.inspect_err(|_| shutdown.cancel())
}

async fn join(
    of: Of<'_>,
    groups: Groups<RealHost>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Some(kubeconfig) = of.config.kubernetes.kubeconfig.0.clone() else {
        return Ok(());
    };
    let port = match of.config.kubernetes.listen.0 {
        Some(address) => Some(Port::bind(address).await?),
        None => None,
    };
    let number = port.as_ref().map(Port::number).transpose()?;
    let meter = groups.host().metering.meter();
    let costs = of.config.kubernetes.show_cost.then(|| cost::costs(meter));
    let node = node(of, kubeconfig, number, costs.flatten())?;
    let identity = node.credentials.state.clone();
    metrics::register_identity(of.registry, identity).context("set up the node's metrics")?;
    let (condition, looks) = looks(of.config, &groups, shutdown.clone());
    let Some(port) = port else {
        let running = burstlet_kube_node::run(node, groups, condition, None, shutdown);
        let running = async { running.await.context(BE_A_NODE) };
        return tokio::try_join!(running, looks).map(|_| ());
    };
    let served = served(of, &node.node, &groups)?;
    let link = Some(served.link.clone());
    let serving = port.serve(served, shutdown.clone());
    let running = burstlet_kube_node::run(node, groups, condition, link, shutdown);
    let running = async { running.await.context(BE_A_NODE) };
    tokio::try_join!(serving, running, looks).map(|_| ())
}

fn node(
    of: Of<'_>,
    kubeconfig: PathBuf,
    kubelet_port: Option<u16>,
    costs: Option<Costs>,
) -> anyhow::Result<NodeConfig> {
    let Of { config, rules, .. } = of;
    Ok(NodeConfig {
        credentials: Credentials {
            kubeconfig,
            bootstrap_kubeconfig: config.kubernetes.bootstrap_kubeconfig.0.clone(),
            state: IdentityState::default(),
        },
        node: facts(config, of.machine, kubelet_port)?,
        cluster: cluster(config),
        policy: Arc::new(rules.pods().clone()),
        auditor: auditor(of.trail),
        costs,
        daemon_sets: match config.kubernetes.daemon_sets {
            config::DaemonSets::Tolerating => DaemonSets::Tolerating,
            config::DaemonSets::All => DaemonSets::All,
            config::DaemonSets::None => DaemonSets::None,
        },
        allocatable: rules.allocatable(),
        static_pods: config.kubernetes.static_pod_dir.0.clone(),
    })
}

/// Pods have no caller; what is audited of them is written all the same.
fn auditor(trail: &Trail) -> Auditor {
    let trail = trail.clone();
    Auditor::new(move |audited| {
        let at = machine::now().wall;
        let mut entry = Entry::new(at, Event::Pod, AUDITED_CALL, "OK");
        entry.group = Some(audited.pod);
        entry.uid = Some(audited.uid);
        entry.violations = audited.violations;
        trail.put(&entry);
    })
}

/// What the node is told to be like, and what finds some of that out until the shutdown.
fn looks(
    config: &Arc<Config>,
    groups: &Groups<RealHost>,
    shutdown: CancellationToken,
) -> (Condition, impl Future<Output = anyhow::Result<()>> + use<>) {
    let (tell, told) = watch::channel(ClusterView::default());
    let test = SelfTest::default();
    let (config, groups) = (Arc::clone(config), groups.clone());
    let host = Arc::clone(groups.host());
    let (of, found) = (Arc::clone(&config), test.clone());
    let condition: Condition = Arc::new(move |view| {
        tell.send_replace(view.clone());
        condition::look(&of, &groups, found.findings())
    });
    let looks = async move {
        let network = &host.network;
        let addresses = async {
            if config.kubernetes.pod_cidr == config::PodCidr::Node {
                pod_cidr::follow(&config, network, told.clone(), shutdown.clone()).await;
            }
        };
        let testing = test.keep(&config, &host, told.clone(), shutdown.clone());
        tokio::join!(addresses, testing);
        Ok(())
    };
    (condition, looks)
}

/// What the kubelet's port is given.
fn served<'a>(
    of: Of<'a>,
    node: &NodeFacts,
    groups: &Groups<RealHost>,
) -> anyhow::Result<kubelet::Of<'a>> {
    let certificate = of.config.state_dir.join("kubelet-serving.pem");
    let link = PortLink::new(node, &certificate, machine::now().wall);
    Ok(kubelet::Of {
        config: of.config,
        node: node.name.clone(),
        groups: groups.clone(),
        registry: of.registry.clone(),
        meter: groups.host().metering.meter().clone(),
        link: link.context("make the certificate of the kubelet's port")?,
    })
}

/// The node's name in its cluster, or this host's.
pub(crate) fn node_name(config: &Config) -> String {
    match config.kubernetes.node_name.as_str() {
        "" => machine::host_name().to_lowercase(),
        name => name.to_owned(),
    }
}

/// The node's address in its cluster, or this host's.
pub(crate) fn node_ip(config: &Config) -> Option<IpAddr> {
    config.kubernetes.node_ip.or_else(machine::address)
}

fn facts(
    config: &Config,
    machine: &Machine,
    kubelet_port: Option<u16>,
) -> anyhow::Result<NodeFacts> {
    let given = &config.kubernetes;
    Ok(NodeFacts {
        name: node_name(config),
        host_name: machine::host_name(),
        addresses: node_ip(config).into_iter().collect(),
        labels: given.labels.clone(),
        taints: given.taints.clone(),
        capacity: capacity::fixed(config, machine),
        devices: machine.device_counts(),
        instance: instance(&config.state_dir)?,
        info: SystemInfo {
            machine_id: read("/etc/machine-id"),
            boot_id: machine::boot_id().context("read the boot id")?,
            kernel: machine::kernel(),
            os_image: machine::os_image(),
            architecture: burstlet_image::Platform::host().architecture,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        kubelet_port,
    })
}

fn cluster(config: &Config) -> ClusterFacts {
    ClusterFacts {
        dns: config.kubernetes.cluster_dns.clone(),
        domain: config.kubernetes.cluster_domain.clone(),
        host_searches: ResolvConf::parse(&read("/etc/resolv.conf")).searches,
        selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        user_namespaces: match config.isolation.user_namespaces {
            config::UserNamespaces::Prefer => UserNamespaces::Prefer,
            config::UserNamespaces::Require => UserNamespaces::Require,
            config::UserNamespaces::AsAsked => UserNamespaces::AsAsked,
        },
    }
}

/// What tells this installation from another: chosen once, kept beside the groups.
fn instance(state_dir: &Path) -> anyhow::Result<String> {
    let path = state_dir.join("instance");
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if !kept.trim().is_empty() {
        return Ok(kept.trim().to_owned());
    }
    let fresh = read("/proc/sys/kernel/random/uuid");
    std::fs::write(&path, &fresh).with_context(|| format!("write {}", path.display()))?;
    Ok(fresh)
}

/// The text of a file of the system's, empty if it has none.
fn read(path: &str) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
