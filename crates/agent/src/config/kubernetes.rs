//! The section of the Kubernetes node. Its keys are written about in `runtime-config/burstlet.toml`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use burstlet_kube_node::Taint;
use burstlet_model::Name;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::value::{AbsolutePath, Listen, OptionalPath};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Kubernetes {
    pub(crate) kubeconfig: OptionalPath,
    pub(crate) bootstrap_kubeconfig: OptionalPath,
    pub(crate) node_name: String,
    #[serde(deserialize_with = "optional_address")]
    pub(crate) node_ip: Option<IpAddr>,
    pub(crate) cluster_dns: Vec<IpAddr>,
    pub(crate) cluster_domain: String,
    #[serde(deserialize_with = "taints")]
    pub(crate) taints: Vec<Taint>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) capacity_mode: CapacityMode,
    pub(crate) listen: Listen,
    pub(crate) client_ca_file: OptionalPath,
    pub(crate) stream_idle_s: u32,
    pub(crate) stream_creation_s: u32,
    pub(crate) daemon_sets: DaemonSets,
    pub(crate) volume_paths: Vec<AbsolutePath>,
    pub(crate) static_pod_dir: OptionalPath,
    pub(crate) pod_cidr: PodCidr,
    pub(crate) self_test_s: u32,
    pub(crate) show_cost: bool,
}

/// Where groups have their addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PodCidr {
    /// `[network] subnet`.
    Configured,
    /// What the cluster allots to the node.
    Node,
}

/// Which pods of DaemonSets are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DaemonSets {
    Tolerating,
    All,
    None,
}

/// What the node says that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CapacityMode {
    Unlimited,
    Honest,
    Overflow,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            kubeconfig: OptionalPath(None),
            bootstrap_kubeconfig: OptionalPath(None),
            node_name: String::new(),
            node_ip: None,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            taints: vec![Taint {
                key: "virtual-kubelet.io/provider".to_owned(),
                value: "burstlet".to_owned(),
                effect: "NoSchedule".to_owned(),
            }],
            labels: BTreeMap::new(),
            capacity_mode: CapacityMode::Unlimited,
            listen: Listen(Some(SocketAddr::from(([0, 0, 0, 0], 10_250)))),
            client_ca_file: OptionalPath(None),
            stream_idle_s: 4 * 3600,
            stream_creation_s: 30,
            daemon_sets: DaemonSets::Tolerating,
            static_pod_dir: OptionalPath(None),
            pod_cidr: PodCidr::Configured,
            self_test_s: 60,
            show_cost: true,
            volume_paths: vec![AbsolutePath::constant("/mnt/disks")],
        }
    }
}

impl Kubernetes {
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, name) in [
            ("node_name", &self.node_name),
            ("cluster_domain", &self.cluster_domain),
        ] {
            if !name.is_empty() {
                Name::new(name).map_err(|error| format!("[kubernetes] {key}: {error}"))?;
            }
        }
        if self.cluster_domain.is_empty() {
            return Err("[kubernetes] cluster_domain must not be empty".to_owned());
        }
        for (key, seconds) in [
            ("stream_idle_s", self.stream_idle_s),
            ("stream_creation_s", self.stream_creation_s),
        ] {
            if seconds == 0 {
                return Err(format!("[kubernetes] {key} must not be 0"));
            }
        }
        if self.bootstrap_kubeconfig.0.is_some() && self.kubeconfig.0.is_none() {
            return Err(
                "[kubernetes] bootstrap_kubeconfig needs kubeconfig, which is written after it"
                    .to_owned(),
            );
        }
        if self.pod_cidr == PodCidr::Node && self.kubeconfig.0.is_none() {
            return Err(
                "[kubernetes] pod_cidr = \"node\" needs kubeconfig: a cluster allots it".to_owned(),
            );
        }
        Ok(())
    }
}

/// An address, or none, written as an empty string.
fn optional_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<IpAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let address = text.parse();
    address
        .map(Some)
        .map_err(|_| D::Error::custom("must be an address, or empty for the host's own"))
}

fn taints<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Taint>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let taints = texts
        .iter()
        .map(|text| text.parse().map_err(D::Error::custom));
    taints.collect()
}
