//! Controls over what only containers have.

use super::control::{Look, context, context_path, number};
use crate::finding::quote;
use crate::kernel::{BASELINE_CAPABILITIES, capability_name};
use crate::node::Node;

/// What `restricted` lets be added.
const RESTRICTED_CAPABILITY: &str = "NET_BIND_SERVICE";
const PROBES: [&str; 3] = ["startupProbe", "livenessProbe", "readinessProbe"];
const HOOKS: [&str; 2] = ["postStart", "preStop"];
/// The handlers that may name a host.
const CALLS: [&str; 2] = ["httpGet", "tcpSocket"];

pub(super) fn privileged(look: &mut Look<'_>) {
    for container in look.containers() {
        let flag = context(&container).and_then(|context| context.flag("privileged"));
        if flag == Some(true) {
            let path = context_path(&container, "privileged");
            look.forbid(path, "", "the container is privileged");
        }
    }
}

pub(super) fn capabilities_baseline(look: &mut Look<'_>) {
    added(look, |name| BASELINE_CAPABILITIES.contains(&name));
}

pub(super) fn capabilities_restricted(look: &mut Look<'_>) {
    if look.is_windows() {
        return;
    }
    for container in look.containers() {
        if !listed(&container, "drop").iter().any(|name| name == "ALL") {
            let path = context_path(&container, "capabilities.drop");
            look.forbid(path, "", "the capabilities that are dropped must be ALL");
        }
    }
    added(look, |name| name == RESTRICTED_CAPABILITY);
}

pub(super) fn host_ports(look: &mut Look<'_>) {
    for container in look.containers() {
        for port in container.items("ports") {
            let number = number(&port, "hostPort").filter(|number| *number != 0);
            if let Some(number) = number {
                let message = format!("{number} is a port of the host");
                look.forbid(port.at("hostPort"), number.to_string(), message);
            }
        }
    }
}

pub(super) fn hosts_of_probes(look: &mut Look<'_>) {
    for container in look.containers() {
        let probes = PROBES.iter().filter_map(|name| container.get(name));
        let lifecycle = container.get("lifecycle");
        let hooks = HOOKS
            .iter()
            .filter_map(|name| lifecycle.as_ref()?.get(name));
        for handler in probes.chain(hooks) {
            for call in CALLS.iter().filter_map(|name| handler.get(name)) {
                if let Some(host) = call.text("host") {
                    let message = format!("{} is asked instead of the pod", quote(host));
                    look.forbid(call.at("host"), host, message);
                }
            }
        }
    }
}

/// With a user namespace of its own a container may see all of `/proc`.
pub(super) fn proc_mount_baseline(look: &mut Look<'_>) {
    if !look.has_user_namespace() {
        proc_mount_restricted(look);
    }
}

pub(super) fn proc_mount_restricted(look: &mut Look<'_>) {
    for container in look.containers() {
        let Some(context) = context(&container) else {
            continue;
        };
        if let Some(kind) = context.whole_text("procMount").filter(|k| *k != "Default") {
            let message = format!("/proc is mounted {}", quote(kind));
            look.forbid(context.at("procMount"), kind, message);
        }
    }
}

pub(super) fn escalation(look: &mut Look<'_>) {
    if look.is_windows() {
        return;
    }
    for container in look.containers() {
        let flag = context(&container).and_then(|c| c.flag("allowPrivilegeEscalation"));
        if flag != Some(false) {
            let path = context_path(&container, "allowPrivilegeEscalation");
            look.forbid(path, "", "it must be false");
        }
    }
}

fn added(look: &mut Look<'_>, is_fine: impl Fn(&str) -> bool) {
    for container in look.containers() {
        for name in listed(&container, "add") {
            if !is_fine(&name) {
                let path = context_path(&container, "capabilities.add");
                let message = format!("the capability {} is added", quote(&name));
                look.forbid(path, name, message);
            }
        }
    }
}

/// The capabilities of a list as they are compared.
fn listed(container: &Node<'_>, list: &str) -> Vec<String> {
    let capabilities = context(container).and_then(|context| context.get("capabilities"));
    let names = capabilities
        .map(|node| node.texts(list))
        .unwrap_or_default();
    names.into_iter().map(capability_name).collect()
}
