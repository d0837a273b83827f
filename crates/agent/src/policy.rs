//! What the operator allows, as the translator of manifests takes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burstlet_manifest::{Context, Door, Level, Policy, Translation, capability_name};
use burstlet_model::spec::ResourceList;
use burstlet_model::{GroupUid, Name};
use burstlet_supervisor::record::Origin;
use serde_json::Value;

use crate::config::{Config, UserNamespaces};
use crate::machine::Machine;

/// The domain under which groups find each other.
pub(crate) const DOMAIN: &str = "burstlet.local";

/// The translator's rules on this node.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    policy: Policy,
    pods: Policy,
    allocatable: ResourceList,
    cluster_domain: String,
}

impl Rules {
    /// The rules of `config` on `machine`. Reads the names of the registered seccomp profiles.
    pub(crate) fn new(config: &Config, machine: &Machine) -> Self {
        let given = &config.policy;
        let policy = Policy {
            seccomp_profiles: profile_files(&given.seccomp_profiles).into_keys().collect(),
            standards: given.standards(Door::Direct),
            user_namespaces_required: config.isolation.user_namespaces == UserNamespaces::Require,
            privileged: given.privileged,
            host_network: given.host_network,
            cluster_network: given.cluster_network,
            host_ports: given.host_ports,
            host_users: given.host_users,
            unconfined_seccomp: given.unconfined_seccomp,
            host_paths: given
                .host_paths
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            sysctls: given.sysctls.iter().cloned().collect(),
            required_tags: given
                .required_tags
                .iter()
                .map(|(name, values)| (name.clone(), values.iter().cloned().collect()))
                .collect(),
            capabilities: given
                .capabilities
                .iter()
                .map(|name| capability_name(name))
                .collect(),
            devices: machine.devices.keys().map(ToString::to_string).collect(),
            ..Policy::default()
        };
        Self {
            pods: of_pods(&policy, config),
            policy,
            allocatable: machine.allocatable(&config.capacity),
            cluster_domain: config.kubernetes.cluster_domain.clone(),
        }
    }

    /// What the operator allows pods of the cluster.
    pub(crate) const fn pods(&self) -> &Policy {
        &self.pods
    }

    /// What the operator allows.
    pub(crate) const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What groups may be given together.
    pub(crate) const fn allocatable(&self) -> ResourceList {
        self.allocatable
    }

    /// Translates the source that a record holds. It was accepted once, under the rules of then, and
    /// stricter rules now must not cost anybody a group that is there: everything is allowed.
    pub(crate) fn retranslate(
        &self,
        source: &str,
        uid: &GroupUid,
        origin: Origin,
    ) -> Result<Translation, String> {
        let value: Value = serde_json::from_str(source).map_err(|error| error.to_string())?;
        let policy = Policy {
            privilege_escalation_default: origin == Origin::Kubernetes,
            ..Policy::unrestricted()
        };
        let context = Context {
            policy: &policy,
            uid,
            name_suffix: "",
            allocatable: self.allocatable,
            domain: match origin {
                Origin::Direct => DOMAIN,
                Origin::Kubernetes => &self.cluster_domain,
            },
        };
        burstlet_manifest::translate(&value, &context).map_err(|refused| {
            let all: Vec<String> = refused.findings.iter().map(ToString::to_string).collect();
            format!("its definition is refused: {}", all.join("; "))
        })
    }
}

/// A pod means what it means on a kubelet: what is left unsaid about privileges is Kubernetes' own
/// default, and a field that is newer than this agent, or a tag that the operator misses, is worth a warning.
fn of_pods(policy: &Policy, config: &Config) -> Policy {
    let paths = config.kubernetes.volume_paths.iter();
    let as_asked = config.isolation.user_namespaces == UserNamespaces::AsAsked;
    Policy {
        standards: config.policy.standards(Door::Kubernetes),
        // A kubelet's pods have none unless they ask for one, and nobody has to allow that.
        host_users: policy.host_users || as_asked,
        privilege_escalation_default: true,
        volume_paths: paths.map(|path| path.display().to_string()).collect(),
        cluster_network: true,
        // Its API server is who adds them.
        ephemeral_containers: true,
        unknown_fields: Level::Warned,
        lacking_tags: Level::Warned,
        ..policy.clone()
    }
}

/// The seccomp profiles in a directory, which may not exist, by the names that groups use.
pub(crate) fn profile_files(dir: &Path) -> BTreeMap<String, PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let named = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        Name::new(&name).ok()?;
        Some((name, entry.path()))
    };
    entries.filter_map(named).collect()
}
