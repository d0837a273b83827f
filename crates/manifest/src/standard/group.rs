//! Controls over the pod as a whole, and over what a pod says for its containers too.

use super::control::{Look, context, context_path, number};
use crate::finding::quote;
use crate::kernel::SAFE_SYSCTLS;
use crate::node::Node;

const HOST_NAMESPACES: [&str; 3] = ["hostNetwork", "hostPID", "hostIPC"];
/// Before there was a field for it.
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const PROFILES: [&str; 2] = ["RuntimeDefault", "Localhost"];
const SELINUX_TYPES: [&str; 4] = [
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];
/// Sources of volumes that `restricted` admits. The last is what a claim of a pod is made into.
const VOLUMES: [&str; 10] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
    "persistent",
];

pub(super) fn host_namespaces(look: &mut Look<'_>) {
    for name in HOST_NAMESPACES {
        if look.spec.flag(name) == Some(true) {
            look.forbid(look.spec.at(name), name, "a namespace of the host is used");
        }
    }
}

pub(super) fn host_paths(look: &mut Look<'_>) {
    for volume in look.spec.items("volumes") {
        if let Some(source) = volume.get("hostPath") {
            let path = source.text("path").unwrap_or_default();
            let message = format!("the volume is {} of the host", quote(path));
            look.forbid(source.path().to_owned(), path, message);
        }
    }
}

pub(super) fn volumes(look: &mut Look<'_>) {
    for volume in look.spec.items("volumes") {
        let given = volume.names().into_iter().filter(|name| *name != "name");
        let given: Vec<&str> = given.collect();
        if given.iter().any(|source| VOLUMES.contains(source)) {
            continue;
        }
        let source = given.first().copied().unwrap_or("nothing");
        let path = given
            .first()
            .map_or(volume.path().to_owned(), |source| volume.at(source));
        let message = format!("a volume is made of {source}");
        look.forbid(path, source, message);
    }
}

pub(super) fn app_armor(look: &mut Look<'_>) {
    for place in look.places() {
        profile(look, &place, "appArmorProfile");
    }
    let annotations = look.metadata.as_ref().map(|node| node.map("annotations"));
    for (key, value) in annotations.unwrap_or_default() {
        let fine = ["", "runtime/default"].contains(&value) || value.starts_with("localhost/");
        if key.starts_with(APPARMOR_ANNOTATION) && !fine {
            let path = format!("metadata.annotations[{key}]");
            let message = format!("the AppArmor profile is {}", quote(value));
            look.forbid(path, value, message);
        }
    }
}

pub(super) fn seccomp_baseline(look: &mut Look<'_>) {
    for place in look.places() {
        profile(look, &place, "seccompProfile");
    }
}

/// The pod must have a profile, or each container one of its own.
pub(super) fn seccomp_restricted(look: &mut Look<'_>) {
    if look.is_windows() {
        return;
    }
    seccomp_baseline(look);
    if seccomp(look.spec).is_some_and(|kind| PROFILES.contains(&kind)) {
        return;
    }
    for container in look.containers() {
        if seccomp(&container).is_none() {
            let path = context_path(&container, "seccompProfile.type");
            look.forbid(path, "", "it must be RuntimeDefault or Localhost");
        }
    }
}

/// Type, user and role decide what a process may do; the level only sets containers apart.
pub(super) fn selinux(look: &mut Look<'_>) {
    for place in look.places() {
        let Some(options) = context(&place).and_then(|c| c.get("seLinuxOptions")) else {
            continue;
        };
        for field in ["type", "user", "role"] {
            let is_fine = |text: &str| field == "type" && SELINUX_TYPES.contains(&text);
            if let Some(text) = options.text(field).filter(|text| !is_fine(text)) {
                let message = format!("the SELinux {field} is {}", quote(text));
                look.forbid(options.at(field), text, message);
            }
        }
    }
}

pub(super) fn sysctls(look: &mut Look<'_>) {
    let context = context(look.spec);
    let items = context.map(|context| context.items("sysctls"));
    for sysctl in items.into_iter().flatten() {
        // The kernel reads slashes as dots, and so does the translator.
        let name = sysctl.text("name").unwrap_or_default().replace('/', ".");
        if !SAFE_SYSCTLS.contains(&name.as_str()) {
            let message = format!("the sysctl {} is not on the safe list", quote(&name));
            look.forbid(sysctl.at("name"), name, message);
        }
    }
}

pub(super) fn windows_host_process(look: &mut Look<'_>) {
    for place in look.places() {
        let options = context(&place).and_then(|context| context.get("windowsOptions"));
        if let Some(options) = options.filter(|o| o.flag("hostProcess") == Some(true)) {
            look.forbid(options.at("hostProcess"), "", "it is a process of the host");
        }
    }
}

/// Nobody may say that root will do, and each container must hear that it will not.
pub(super) fn run_as_non_root(look: &mut Look<'_>) {
    if look.has_user_namespace() {
        return;
    }
    let said = |place: &Node<'_>| context(place).and_then(|context| context.flag("runAsNonRoot"));
    let of_pod = said(look.spec);
    if of_pod == Some(false) {
        let path = context_path(look.spec, "runAsNonRoot");
        look.forbid(path, "false", "it must not be false");
    }
    for container in look.containers() {
        if !said(&container).or(of_pod).unwrap_or(false) {
            let path = context_path(&container, "runAsNonRoot");
            look.forbid(path, "", "it must be true, here or for the pod");
        }
    }
}

pub(super) fn run_as_user(look: &mut Look<'_>) {
    if look.has_user_namespace() {
        return;
    }
    for place in look.places() {
        let context = context(&place);
        let user = context.as_ref().and_then(|node| number(node, "runAsUser"));
        if user == Some(0) {
            let path = context_path(&place, "runAsUser");
            look.forbid(path, "0", "the user is root");
        }
    }
}

/// The type of a place's system call filter, if it says one.
fn seccomp<'n>(place: &Node<'n>) -> Option<&'n str> {
    let profile = context(place)?.get("seccompProfile")?;
    Some(profile.text("type").unwrap_or_default())
}

/// A profile that, where one is given, is not the absence of one.
fn profile(look: &mut Look<'_>, place: &Node<'_>, field: &str) {
    let Some(profile) = context(place).and_then(|context| context.get(field)) else {
        return;
    };
    let kind = profile.text("type").unwrap_or_default();
    if !PROFILES.contains(&kind) {
        let message = format!("the profile is {}", quote(kind));
        look.forbid(profile.at("type"), kind, message);
    }
}
