//! The OCI runtime specification as a whole.

use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType, Root, Spec};

use crate::{BundleError, Inputs, mounts, process, restricted};

/// The OCI runtime specification of a container.
///
/// # Errors
/// The specification and the image together do not describe a container that may run; the error
/// says which field to change.
pub fn container_spec(inputs: &Inputs<'_>) -> Result<Spec, BundleError> {
    let mut root = Root::default();
    root.set_readonly(Some(inputs.container.security.read_only_root));
    let mut spec = Spec::default();
    spec.set_process(Some(process::first(inputs)?))
        .set_root(Some(root))
        .set_mounts(Some(mounts::default_mounts(inputs)))
        .set_hostname(None)
        .set_annotations(None)
        .set_linux(Some(linux(inputs)));
    Ok(spec)
}

fn linux(inputs: &Inputs<'_>) -> Linux {
    let privileged = inputs.container.security.privileged;
    let paths = |paths: Vec<String>| Some(if privileged { Vec::new() } else { paths });
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces(inputs)))
        .set_masked_paths(paths(restricted::masked(inputs)))
        .set_readonly_paths(paths(restricted::read_only()))
        .set_rootfs_propagation(Some("private".to_owned()))
        .set_resources(None)
        .set_devices(None)
        .set_seccomp(None);
    linux
}

fn namespaces(inputs: &Inputs<'_>) -> Vec<LinuxNamespace> {
    let group = inputs.group;
    let kinds = [
        (true, LinuxNamespaceType::Pid),
        (true, LinuxNamespaceType::Mount),
        (true, LinuxNamespaceType::Ipc),
        (true, LinuxNamespaceType::Uts),
        (true, LinuxNamespaceType::Cgroup),
        (!group.network.host_network, LinuxNamespaceType::Network),
        (group.user_namespace, LinuxNamespaceType::User),
    ];
    kinds
        .into_iter()
        .filter(|(own, _)| *own)
        .map(|(_, kind)| {
            let mut namespace = LinuxNamespace::default();
            namespace.set_typ(kind);
            namespace
        })
        .collect()
}
