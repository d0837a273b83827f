//! What the operator allows although `baseline` forbids it. He names it one by one, and what he names
//! counts at that level only: who asks for `restricted` asks for all of it.

use serde_json::Value;

use super::{Door, Standard, Violation};
use crate::kernel::TRACING;
use crate::node::Node;
use crate::policy::Policy;

/// Controls that say nothing of groups that are created directly. Their ports of the host are what the
/// API offers, with quotas and prices of their own; their probes and hooks are carried out from within,
/// and reach what their containers reach anyway.
const NOT_OF_GROUPS: [&str; 2] = ["hostPorts", "hostProbesAndHostLifecycle"];

impl Policy {
    /// Whether a violation of a level is one that the operator allows.
    pub(super) fn excepts(&self, level: Standard, violation: &Violation, manifest: &Value) -> bool {
        let value = violation.value.as_str();
        // At either level: it is not what the control means.
        if self.standards.door == Door::Direct && NOT_OF_GROUPS.contains(&violation.control) {
            return true;
        }
        if level != Standard::Baseline {
            return false;
        }
        let flag = |name| {
            let spec = Node::root(manifest).get("spec");
            spec.and_then(|spec| spec.flag(name))
        };
        match violation.control {
            "privileged" => self.privileged,
            "hostNamespaces" => value == "hostNetwork" && self.host_network,
            // Ports of a pod in the host's network are the host's by definition.
            "hostPorts" => {
                self.host_ports || (self.host_network && flag("hostNetwork") == Some(true))
            }
            "hostPathVolumes" => self.allows_host_path(value),
            "seccompProfile_baseline" => value == "Unconfined" && self.unconfined_seccomp,
            "sysctls" => self.allows_sysctl(value),
            "capabilities_baseline" => {
                let added_later = violation.path.starts_with("spec.ephemeralContainers[");
                let traces = added_later && value == TRACING && flag("hostUsers") != Some(true);
                traces || self.allows_capability(value)
            }
            _ => false,
        }
    }
}
