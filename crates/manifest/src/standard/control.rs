//! The controls as a table, and what they look with.

use super::{Standard, Violation, container, group};
use crate::node::Node;

/// One rule of the standards.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// The id that Kubernetes' own admission has for it.
    pub id: &'static str,
    /// The first level that has it.
    pub level: Standard,
    /// The control of `baseline` that it is the stricter form of, if it is that.
    pub replaces: &'static str,
    /// Names what it forbids.
    pub(super) check: fn(&mut Look<'_>),
}

/// A manifest as a control sees it, and where it puts what it finds.
pub(super) struct Look<'l> {
    pub(super) control: &'static str,
    pub(super) metadata: Option<Node<'l>>,
    pub(super) spec: &'l Node<'l>,
    pub(super) found: &'l mut Vec<Violation>,
}

const fn baseline(id: &'static str, check: fn(&mut Look<'_>)) -> Control {
    Control {
        id,
        level: Standard::Baseline,
        replaces: "",
        check,
    }
}

const fn restricted(id: &'static str, replaces: &'static str, check: fn(&mut Look<'_>)) -> Control {
    Control {
        id,
        level: Standard::Restricted,
        replaces,
        check,
    }
}

/// Every control of Kubernetes 1.36.
pub const CONTROLS: [Control; 19] = [
    baseline("appArmorProfile", group::app_armor),
    baseline("capabilities_baseline", container::capabilities_baseline),
    baseline("hostNamespaces", group::host_namespaces),
    baseline("hostPathVolumes", group::host_paths),
    baseline("hostPorts", container::host_ports),
    baseline("hostProbesAndHostLifecycle", container::hosts_of_probes),
    baseline("privileged", container::privileged),
    baseline("procMount", container::proc_mount_baseline),
    baseline("seLinuxOptions", group::selinux),
    baseline("seccompProfile_baseline", group::seccomp_baseline),
    baseline("sysctls", group::sysctls),
    baseline("windowsHostProcess", group::windows_host_process),
    restricted("allowPrivilegeEscalation", "", container::escalation),
    restricted(
        "capabilities_restricted",
        "capabilities_baseline",
        container::capabilities_restricted,
    ),
    restricted(
        "procMount_restricted",
        "procMount",
        container::proc_mount_restricted,
    ),
    restricted("restrictedVolumes", "hostPathVolumes", group::volumes),
    restricted("runAsNonRoot", "", group::run_as_non_root),
    restricted("runAsUser", "", group::run_as_user),
    restricted(
        "seccompProfile_restricted",
        "seccompProfile_baseline",
        group::seccomp_restricted,
    ),
];

/// The controls of a level; of two forms of one, the stricter.
pub(super) fn of(level: Standard) -> impl Iterator<Item = &'static Control> {
    let has = move |control: &&Control| control.level <= level;
    let is_replaced = move |control: &Control| {
        let mut others = CONTROLS.iter().filter(has);
        others.any(|other| other.replaces == control.id)
    };
    // At `privileged` this is nothing: every control begins above it.
    CONTROLS
        .iter()
        .filter(has)
        .filter(move |control| !is_replaced(control))
}

impl<'l> Look<'l> {
    /// Every container of every kind.
    pub(super) fn containers(&self) -> Vec<Node<'l>> {
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        let all = lists.into_iter().flat_map(|list| self.spec.items(list));
        all.collect()
    }

    /// The places that may have a security context: the pod, and every container.
    pub(super) fn places(&self) -> Vec<Node<'l>> {
        let mut places = vec![self.spec.clone()];
        places.extend(self.containers());
        places
    }

    /// The pod says itself that it has a user namespace, which makes some fields harmless.
    pub(super) fn has_user_namespace(&self) -> bool {
        self.spec.flag("hostUsers") == Some(false)
    }

    /// For another system, where some fields do not exist.
    pub(super) fn is_windows(&self) -> bool {
        let os = self.spec.get("os");
        os.is_some_and(|os| os.text("name") == Some("windows"))
    }

    pub(super) fn forbid(
        &mut self,
        path: String,
        value: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.found.push(Violation {
            control: self.control,
            path,
            message: message.into(),
            value: value.into(),
        });
    }
}

/// A whole number, which the translator also takes as text.
pub(super) fn number(node: &Node<'_>, name: &str) -> Option<i64> {
    let written = || node.text(name)?.parse().ok();
    node.number(name).or_else(written)
}

/// The security context of a place.
pub(super) fn context<'n>(place: &Node<'n>) -> Option<Node<'n>> {
    place.get("securityContext")
}

/// The path of a field of a place's security context, whether there is one or not.
pub(super) fn context_path(place: &Node<'_>, field: &str) -> String {
    format!("{}.{field}", place.at("securityContext"))
}
