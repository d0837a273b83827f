//! What the node is told about itself, all of it valid.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use burstlet_manifest::Policy;
use burstlet_model::ExtendedResource;
use burstlet_model::spec::ResourceList;

use crate::costs::Costs;
use crate::identity::IdentityState;

/// The node and its cluster.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// How the API server is reached, and as whom.
    pub credentials: Credentials,
    /// The node.
    pub node: NodeFacts,
    /// What pods are told of their cluster.
    pub cluster: ClusterFacts,
    /// What the operator allows pods to ask for.
    pub policy: Arc<Policy>,
    /// Where it is told what is audited of pods.
    pub auditor: Auditor,
    /// What pods cost, if that is to be said.
    pub costs: Option<Costs>,
    /// Which pods of DaemonSets are run.
    pub daemon_sets: DaemonSets,
    /// What a container without limits may use at most.
    pub allocatable: ResourceList,
    /// Whose files are pods to be run, if there is one.
    pub static_pods: Option<PathBuf>,
}

/// How the API server is reached, and as whom.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// A kubeconfig; written here after a bootstrap if it is not there.
    pub kubeconfig: PathBuf,
    /// A kubeconfig whose identity may ask for a node's certificate.
    pub bootstrap_kubeconfig: Option<PathBuf>,
    /// Where it is told how the identity stands.
    pub state: IdentityState,
}

/// What is shown of the node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Its name in the cluster.
    pub name: String,
    /// The machine's host name.
    pub host_name: String,
    /// Its addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// Beside those that every node has.
    pub labels: BTreeMap<String, String>,
    /// What keeps pods away that do not tolerate it.
    pub taints: Vec<Taint>,
    /// What it offers, by resource, as quantities.
    pub capacity: BTreeMap<String, String>,
    /// Devices that it gives away, by what pods ask for them as.
    pub devices: BTreeMap<ExtendedResource, usize>,
    /// Identity of this installation, which tells two agents with one node name apart.
    pub instance: String,
    /// What it runs on.
    pub info: SystemInfo,
    /// Where its kubelet API is served, if it is.
    pub kubelet_port: Option<u16>,
}

/// Which pods of DaemonSets are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonSets {
    /// Those that tolerate one of the node's taints by its key.
    Tolerating,
    /// Every one that is bound to the node.
    All,
    /// Not one.
    None,
}

/// A taint of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// A qualified name.
    pub key: String,
    /// May be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

impl std::str::FromStr for Taint {
    type Err = String;

    /// `KEY=VALUE:EFFECT` or `KEY:EFFECT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a taint: KEY=VALUE:EFFECT, with the effect NoSchedule, \
                 PreferNoSchedule or NoExecute"
            )
        };
        let (name, effect) = text.rsplit_once(':').ok_or_else(wrong)?;
        let (key, value) = name.split_once('=').unwrap_or((name, ""));
        let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect);
        if key.is_empty() || !known {
            return Err(wrong());
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
            effect: effect.to_owned(),
        })
    }
}

/// Writes into the audit trail.
#[derive(Clone)]
pub struct Auditor(Arc<dyn Fn(Audited) + Send + Sync>);

/// A pod that asks for more than the level that is audited has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// `NAMESPACE/NAME`.
    pub pod: String,
    /// Its uid, which is its group's.
    pub uid: String,
    /// Controls, and the paths of fields.
    pub violations: Vec<String>,
}

impl Auditor {
    /// Hands on what is to be written, and must not wait.
    pub fn new(write: impl Fn(Audited) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    pub(crate) fn tell(&self, audited: Audited) {
        (self.0)(audited);
    }
}

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auditor")
    }
}

/// When a pod has no user namespace of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserNamespaces {
    /// When it says so, or asks for what cannot be had with one.
    #[default]
    Prefer,
    /// Never: such a pod is refused.
    Require,
    /// When it does not ask for one, as on a kubelet.
    AsAsked,
}

/// What the node runs on.
#[derive(Clone, Debug, Default)]
pub struct SystemInfo {
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// This boot.
    pub boot_id: String,
    /// The kernel's release.
    pub kernel: String,
    /// The operating system's name.
    pub os_image: String,
    /// As Go names it: `amd64`.
    pub architecture: String,
    /// The agent's own version.
    pub agent_version: String,
}

/// What pods are told of their cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterFacts {
    /// The cluster's name servers; without any, the node's own resolver answers.
    pub dns: Vec<IpAddr>,
    /// The cluster's domain: `cluster.local`.
    pub domain: String,
    /// The host's own search domains.
    pub host_searches: Vec<String>,
    /// The host's kernel labels processes and files.
    pub selinux: bool,
    /// When pods have no user namespace.
    pub user_namespaces: UserNamespaces,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn taints() {
        let taint: Taint = "example.com/provider=burstlet:NoSchedule".parse().unwrap();
        assert_eq!(taint.key, "example.com/provider");
        assert_eq!(taint.value, "burstlet");
        assert_eq!(taint.effect, "NoSchedule");
        let bare: Taint = "dedicated:NoExecute".parse().unwrap();
        assert_eq!((bare.key.as_str(), bare.value.as_str()), ("dedicated", ""));
        for wrong in ["", "a=b", "a=b:Never", "=b:NoSchedule", ":NoSchedule"] {
            assert!(wrong.parse::<Taint>().is_err(), "{wrong}");
        }
    }
}
