//! What the operator allows, and what the translator must know of the node.

use std::collections::{BTreeMap, BTreeSet};

use burstlet_model::GroupUid;
use burstlet_model::spec::ResourceList;

use crate::finding::Level;
use crate::kernel::{BASELINE_CAPABILITIES, SAFE_SYSCTLS};
use crate::standard::{Door, Modes, Standard, Standards};

/// What the operator allows. The default allows nothing that could reach beyond a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `securityContext.privileged: true`.
    pub privileged: bool,
    /// `hostNetwork: true`.
    pub host_network: bool,
    /// `networkIsolation: Cluster`: the pods of the host's cluster, and the host itself.
    pub cluster_network: bool,
    /// `hostPort` of a cluster's pods; ports of groups are not refused.
    pub host_ports: bool,
    /// `hostUsers: true`: no user namespace.
    pub host_users: bool,
    /// Every group has a user namespace, whatever else is allowed.
    pub user_namespaces_required: bool,
    /// `seccompProfile.type: Unconfined`.
    pub unconfined_seccomp: bool,
    /// `ephemeralContainers`: whoever gives the manifest adds them to groups that run.
    pub ephemeral_containers: bool,
    /// `nfs` volumes: this node can mount them.
    pub nfs: bool,
    /// Names that `seccompProfile.localhostProfile` may have; `*` for every one.
    pub seccomp_profiles: BTreeSet<String>,
    /// Absolute paths; `hostPath` may name them and what is below them.
    pub host_paths: BTreeSet<String>,
    /// Absolute paths; a `persistent` volume may be one of them, or below. For clusters: what is there
    /// is others' data.
    pub volume_paths: BTreeSet<String>,
    /// Sysctls beside the safe list; a `*` at the end stands for anything.
    pub sysctls: BTreeSet<String>,
    /// Capabilities that may be added beside the default set, without `CAP_`; `ALL` for every one.
    pub capabilities: BTreeSet<String>,
    /// Extended resources whose devices this node gives away; `*` for every one.
    pub devices: BTreeSet<String>,
    /// What a missing `allowPrivilegeEscalation` means; Kubernetes has `true`.
    pub privilege_escalation_default: bool,
    /// What becomes of a manifest with a field that nobody knows.
    pub unknown_fields: Level,
    /// Tags that every group must have, with the values that they may have; any if none is named.
    /// Names of tags are compared without case.
    pub required_tags: BTreeMap<String, BTreeSet<String>>,
    /// What becomes of a manifest that has not all of them as they must be.
    pub lacking_tags: Level,
    /// The levels of the Pod Security Standards. At `privileged` what is above about them counts as
    /// allowed.
    pub standards: Standards,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            privileged: false,
            host_network: false,
            cluster_network: false,
            host_ports: false,
            host_users: false,
            user_namespaces_required: false,
            unconfined_seccomp: false,
            ephemeral_containers: false,
            nfs: false,
            seccomp_profiles: BTreeSet::new(),
            host_paths: BTreeSet::new(),
            volume_paths: BTreeSet::new(),
            sysctls: BTreeSet::new(),
            capabilities: BTreeSet::new(),
            devices: BTreeSet::new(),
            privilege_escalation_default: false,
            unknown_fields: Level::Refused,
            required_tags: BTreeMap::new(),
            lacking_tags: Level::Refused,
            standards: Standards::default(),
        }
    }
}

impl Policy {
    /// Allows everything: for a definition that was accepted once, under rules that may have become
    /// stricter since. What was accepted stays accepted.
    #[must_use]
    pub fn unrestricted() -> Self {
        let all = |text: &str| BTreeSet::from([text.to_owned()]);
        Self {
            privileged: true,
            host_network: true,
            cluster_network: true,
            host_ports: true,
            host_users: true,
            user_namespaces_required: false,
            unconfined_seccomp: true,
            ephemeral_containers: true,
            nfs: true,
            seccomp_profiles: all("*"),
            host_paths: all("/"),
            volume_paths: all("/"),
            sysctls: all("*"),
            capabilities: all("ALL"),
            devices: all("*"),
            privilege_escalation_default: false,
            unknown_fields: Level::Warned,
            required_tags: BTreeMap::new(),
            lacking_tags: Level::Warned,
            standards: Standards::enforcing(Door::Direct, Standard::Privileged),
        }
    }

    /// What the policy opens and closes, one sentence for each point.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let leave = |allowed| if allowed { "allowed" } else { "refused" };
        let list = |set: &BTreeSet<String>| match set.len() {
            0 => "none".to_owned(),
            _ => set
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", "),
        };
        let mut sentences = vec![self.levels()];
        sentences.extend([
            format!("privileged containers are {}", leave(self.privileged)),
            format!("the host's network is {}", leave(self.host_network)),
            format!("ports of the host are {} to pods", leave(self.host_ports)),
            format!("the cluster's network is {}", leave(self.cluster_network)),
            format!(
                "running without a user namespace is {}",
                leave(self.host_users)
            ),
            format!("unconfined seccomp is {}", leave(self.unconfined_seccomp)),
            format!(
                "seccomp profiles registered: {}",
                list(&self.seccomp_profiles)
            ),
            format!("host paths: {}", list(&self.host_paths)),
            format!("sysctls beside the safe list: {}", list(&self.sysctls)),
            format!(
                "capabilities beside the default set: {}",
                list(&self.capabilities)
            ),
            format!("devices of: {}", list(&self.devices)),
            format!("tags required: {}", self.required()),
        ]);
        sentences
    }

    fn levels(&self) -> String {
        let Modes {
            enforce,
            warn,
            audit,
        } = self.standards.modes;
        let mut text = format!("Pod Security's level {} is enforced", enforce.as_str());
        for (level, done) in [(warn, "warned about"), (audit, "audited")] {
            if level > Standard::Privileged {
                text.push_str(&format!(", {} {done}", level.as_str()));
            }
        }
        match self.standards.namespaces.len() {
            0 => text,
            some => format!("{text}; {some} namespaces have levels of their own"),
        }
    }

    fn required(&self) -> String {
        let tag = |(name, values): (&String, &BTreeSet<String>)| match values.is_empty() {
            true => name.clone(),
            false => format!("{name} ({})", one_of(values)),
        };
        let tags: Vec<String> = self.required_tags.iter().map(tag).collect();
        match tags.is_empty() {
            true => "none".to_owned(),
            false => tags.join(", "),
        }
    }

    pub(crate) fn allows_seccomp_profile(&self, name: &str) -> bool {
        self.seccomp_profiles.contains(name) || self.seccomp_profiles.contains("*")
    }

    pub(crate) fn allows_host_path(&self, path: &str) -> bool {
        is_within(&self.host_paths, path)
    }

    pub(crate) fn allows_volume_path(&self, path: &str) -> bool {
        is_within(&self.volume_paths, path)
    }

    pub(crate) fn allows_sysctl(&self, name: &str) -> bool {
        SAFE_SYSCTLS.contains(&name)
            || self
                .sysctls
                .iter()
                .any(|allowed| match allowed.strip_suffix('*') {
                    Some(prefix) => name.starts_with(prefix),
                    None => name == allowed,
                })
    }

    pub(crate) fn has_devices(&self, resource: &str) -> bool {
        self.devices.contains("*") || self.devices.contains(resource)
    }

    pub(crate) fn allows_capability(&self, name: &str) -> bool {
        BASELINE_CAPABILITIES.contains(&name)
            || self.capabilities.contains("ALL")
            || self.capabilities.contains(name)
    }
}

/// Whether a path is one of those listed, or below one.
fn is_within(listed: &BTreeSet<String>, path: &str) -> bool {
    listed.iter().any(|prefix| {
        let prefix = prefix.trim_end_matches('/');
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Values to choose from.
pub(crate) fn one_of(values: &BTreeSet<String>) -> String {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    values.join(" or ")
}

/// What the translator must know beside the manifest.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the operator allows.
    pub policy: &'a Policy,
    /// The uid that the group has or will have.
    pub uid: &'a GroupUid,
    /// Completes `metadata.generateName`; lower-case letters and digits.
    pub name_suffix: &'a str,
    /// What a container without limits may use at most, for `resourceFieldRef`.
    pub allocatable: ResourceList,
    /// The domain of the node's groups, for `spec.subdomain`: `burstlet.local`.
    pub domain: &'a str,
}
