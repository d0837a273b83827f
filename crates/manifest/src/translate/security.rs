//! Security contexts. What the group says is the default of each container.

use std::collections::BTreeSet;

use burstlet_model::spec::{
    Capabilities, ContainerSecurity, FsGroupChangePolicy, GroupSecurity, SeccompProfile,
    SupplementalGroupsPolicy, Sysctl,
};

use super::Cx;
use crate::bounds::{
    ID_MAX, NAMESPACE_ID_MAX, SUPPLEMENTAL_GROUPS_MAX, SYSCTL_VALUE_BYTES_MAX, SYSCTLS_MAX,
};
use crate::check;
use crate::finding::{Rule, quote};
use crate::kernel::{CAPABILITIES, TRACING, capability_name};
use crate::node::Node;

/// What a group's containers inherit, beside what the model keeps for the group.
#[derive(Default)]
pub(super) struct Inherited {
    run_as_user: Option<u32>,
    run_as_group: Option<u32>,
    run_as_non_root: bool,
    seccomp: Option<SeccompProfile>,
}

/// What the group's namespaces allow a container.
#[derive(Clone, Copy)]
pub(super) struct Namespaces {
    pub(super) user: bool,
    pub(super) host_network: bool,
    /// What was added to look into the group may trace its processes.
    pub(super) traced: bool,
}

impl Namespaces {
    const fn id_max(self) -> u32 {
        if self.user { NAMESPACE_ID_MAX } else { ID_MAX }
    }
}

impl Cx<'_> {
    pub(super) fn group_security(
        &mut self,
        spec: &Node<'_>,
        namespaces: Namespaces,
    ) -> (GroupSecurity, Inherited) {
        let Some(node) = spec.get("securityContext") else {
            return Default::default();
        };
        let inherited = Inherited {
            run_as_user: self.id(&node, "runAsUser", namespaces),
            run_as_group: self.id(&node, "runAsGroup", namespaces),
            run_as_non_root: node.flag("runAsNonRoot").unwrap_or(false),
            seccomp: self.seccomp(&node),
        };
        self.app_armor(&node);
        let policies = [
            ("Merge", SupplementalGroupsPolicy::Merge),
            ("Strict", SupplementalGroupsPolicy::Strict),
        ];
        let changes = [
            ("Always", FsGroupChangePolicy::Always),
            ("OnRootMismatch", FsGroupChangePolicy::OnRootMismatch),
        ];
        let group = GroupSecurity {
            supplemental_groups: self.supplemental_groups(&node, namespaces),
            supplemental_groups_policy: self
                .word(&node, "supplementalGroupsPolicy", &policies)
                .unwrap_or_default(),
            fs_group: self.id(&node, "fsGroup", namespaces),
            fs_group_change_policy: self
                .word(&node, "fsGroupChangePolicy", &changes)
                .unwrap_or_default(),
            sysctls: self.sysctls(&node, namespaces),
        };
        (group, inherited)
    }

    pub(super) fn container_security(
        &mut self,
        container: &Node<'_>,
        inherited: &Inherited,
        namespaces: Namespaces,
    ) -> ContainerSecurity {
        let default_escalation = self.context.policy.privilege_escalation_default;
        let mut security = ContainerSecurity {
            run_as_user: inherited.run_as_user,
            run_as_group: inherited.run_as_group,
            run_as_non_root: inherited.run_as_non_root,
            allow_privilege_escalation: default_escalation,
            seccomp: inherited
                .seccomp
                .clone()
                .unwrap_or(SeccompProfile::RuntimeDefault),
            ..ContainerSecurity::default()
        };
        if let Some(node) = container.get("securityContext") {
            self.own_security(&node, &mut security, inherited, namespaces);
        }
        if security.run_as_non_root && security.run_as_user == Some(0) {
            let path = format!("{}.securityContext.runAsNonRoot", container.path());
            self.report
                .invalid(path, "runAsNonRoot is set, and 0 is root");
        }
        security
    }

    fn own_security(
        &mut self,
        node: &Node<'_>,
        security: &mut ContainerSecurity,
        inherited: &Inherited,
        namespaces: Namespaces,
    ) {
        let user = self.id(node, "runAsUser", namespaces);
        security.run_as_user = user.or(security.run_as_user);
        let group = self.id(node, "runAsGroup", namespaces);
        security.run_as_group = group.or(security.run_as_group);
        if let Some(non_root) = node.flag("runAsNonRoot") {
            security.run_as_non_root = non_root;
        }
        security.read_only_root = node.flag("readOnlyRootFilesystem").unwrap_or(false);
        security.capabilities = self.capabilities(node, namespaces);
        self.app_armor(node);
        let seccomp = self.seccomp(node);
        self.privilege(node, security);
        match seccomp {
            Some(seccomp) => security.seccomp = seccomp,
            None if security.privileged && inherited.seccomp.is_none() => {
                security.seccomp = SeccompProfile::Unconfined;
            }
            None => {}
        }
    }

    fn privilege(&mut self, node: &Node<'_>, security: &mut ContainerSecurity) {
        security.privileged = node.flag("privileged").unwrap_or(false);
        if security.privileged && !self.allows(|policy| policy.privileged) {
            let message = "privileged containers are not allowed";
            self.needs_leave(node.at("privileged"), message, "privileged");
        }
        let escalation = node.flag("allowPrivilegeEscalation");
        let gains = security.privileged || security.capabilities.add.contains("SYS_ADMIN");
        if escalation == Some(false) && gains {
            let message = "a container that is privileged or adds SYS_ADMIN can gain rights anyway";
            self.report
                .invalid(node.at("allowPrivilegeEscalation"), message);
        }
        let default = security.allow_privilege_escalation || gains;
        security.allow_privilege_escalation = escalation.unwrap_or(default);
    }

    fn id(&mut self, node: &Node<'_>, name: &str, namespaces: Namespaces) -> Option<u32> {
        self.bounded(node, name, 0, namespaces.id_max())
    }

    fn supplemental_groups(&mut self, node: &Node<'_>, namespaces: Namespaces) -> Vec<u32> {
        let name = "supplementalGroups";
        let ids = node.numbers(name);
        self.at_most(node.at(name), ids.len(), SUPPLEMENTAL_GROUPS_MAX, "groups");
        let max = namespaces.id_max();
        let mut groups = Vec::new();
        for (i, id) in ids.into_iter().enumerate() {
            match u32::try_from(id).ok().filter(|id| *id <= max) {
                Some(id) => groups.push(id),
                None => {
                    let message = format!("{id} is not within 0 to {max}");
                    self.report.invalid(node.entry(name, i), message);
                }
            }
        }
        groups
    }

    fn sysctls(&mut self, node: &Node<'_>, namespaces: Namespaces) -> Vec<Sysctl> {
        let items = node.items("sysctls");
        self.at_most(node.at("sysctls"), items.len(), SYSCTLS_MAX, "sysctls");
        let mut sysctls: Vec<Sysctl> = Vec::new();
        for node in items {
            let Some(sysctl) = self.sysctl(&node, namespaces) else {
                continue;
            };
            if sysctls.iter().any(|other| other.name == sysctl.name) {
                let message = "the sysctl is set twice";
                self.report
                    .refuse(Rule::Duplicate, node.at("name"), message, "");
            }
            sysctls.push(sysctl);
        }
        sysctls
    }

    fn sysctl(&mut self, node: &Node<'_>, namespaces: Namespaces) -> Option<Sysctl> {
        let name = self.required(node, "name")?.replace('/', ".");
        let valid = name.split('.').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        });
        if !valid {
            self.report
                .invalid(node.at("name"), "not the name of a sysctl");
            return None;
        }
        if !self.context.policy.allows_sysctl(&name) {
            let message = format!("the sysctl {name} is not on the safe list");
            self.needs_leave(node.at("name"), message, "sysctls");
        }
        if namespaces.host_network && name.starts_with("net.") {
            let message = "a sysctl of the network would be the host's, since hostNetwork is set";
            self.report.invalid(node.at("name"), message);
        }
        let value = node.text("value").unwrap_or_default();
        let printable = value.chars().all(|c| c == '\t' || !c.is_control());
        if value.is_empty() || value.len() > SYSCTL_VALUE_BYTES_MAX || !printable {
            let message =
                format!("a value of 1 to {SYSCTL_VALUE_BYTES_MAX} printable bytes is needed");
            self.report.invalid(node.at("value"), message);
        }
        Some(Sysctl {
            name,
            value: value.to_owned(),
        })
    }

    fn capabilities(&mut self, node: &Node<'_>, namespaces: Namespaces) -> Capabilities {
        let Some(node) = node.get("capabilities") else {
            return Capabilities::default();
        };
        let add = self.capability_set(&node, "add");
        let drop = self.capability_set(&node, "drop");
        for name in &add {
            let traces = namespaces.traced && name == TRACING;
            let allowed = self.allows(|policy| policy.allows_capability(name));
            if !traces && !allowed {
                let message = format!("the capability {name} is not allowed");
                self.needs_leave(node.at("add"), message, "capabilities");
            }
        }
        Capabilities { add, drop }
    }

    fn capability_set(&mut self, node: &Node<'_>, list: &str) -> BTreeSet<String> {
        let mut set = BTreeSet::new();
        for (i, text) in node.texts(list).into_iter().enumerate() {
            let name = capability_name(text);
            if name == "ALL" || CAPABILITIES.contains(&name.as_str()) {
                set.insert(name);
            } else {
                let message = format!("{} is not a capability", quote(text));
                self.report.invalid(node.entry(list, i), message);
            }
        }
        set
    }

    fn seccomp(&mut self, node: &Node<'_>) -> Option<SeccompProfile> {
        let node = node.get("seccompProfile")?;
        let name = node.text("localhostProfile");
        match node.text("type") {
            Some("Localhost") => self.localhost_seccomp(&node, name),
            _ if name.is_some() => {
                let message = "a localhostProfile goes with type Localhost only";
                self.report.invalid(node.at("localhostProfile"), message);
                None
            }
            None => {
                let path = node.at("type");
                let message = "the type is missing";
                self.report
                    .refuse(Rule::Required, path, message, "write RuntimeDefault");
                None
            }
            Some("RuntimeDefault") => Some(SeccompProfile::RuntimeDefault),
            Some("Unconfined") => {
                if !self.allows(|policy| policy.unconfined_seccomp) {
                    let message = "running without a system call filter is not allowed";
                    self.needs_leave(node.at("type"), message, "unconfined_seccomp");
                }
                Some(SeccompProfile::Unconfined)
            }
            Some(other) => {
                let message = format!(
                    "{} is none of RuntimeDefault, Localhost, Unconfined",
                    quote(other)
                );
                self.report.invalid(node.at("type"), message);
                None
            }
        }
    }

    fn localhost_seccomp(&mut self, node: &Node<'_>, name: Option<&str>) -> Option<SeccompProfile> {
        let path = node.at("localhostProfile");
        let Some(name) = name else {
            self.report
                .refuse(Rule::Required, path, "the profile's name is missing", "");
            return None;
        };
        if !check::is_file_name(name) || !self.context.policy.allows_seccomp_profile(name) {
            let message = format!("no seccomp profile {} is registered", quote(name));
            self.needs_leave(path, message, "seccomp_profiles");
        }
        Some(SeccompProfile::Localhost(name.to_owned()))
    }

    fn app_armor(&mut self, node: &Node<'_>) {
        let Some(node) = node.get("appArmorProfile") else {
            return;
        };
        if node.text("type") != Some("Unconfined") {
            let message = "AppArmor profiles are not loaded";
            let way_out = "leave it out";
            self.report
                .refuse(Rule::Unsupported, node.at("type"), message, way_out);
        }
    }
}
