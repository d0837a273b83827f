//! The mounts that every container has: OCI's default file systems. Volumes are not among them.
//!
//! The cgroup mount shows a container its own cgroup and nothing above it, for runtimes of languages
//! size their heaps and pools by the limits there. It is read-only, so that `release_agent` and a
//! container's own limits are out of reach.

use oci_spec::runtime::Mount;

use crate::Inputs;

/// The mounts in the order in which they are made.
pub(crate) fn default_mounts(inputs: &Inputs<'_>) -> Vec<Mount> {
    let mut mounts = vec![
        mount("/proc", "proc", &["nosuid", "nodev", "noexec"]),
        mount(
            "/dev",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        mount("/dev/mqueue", "mqueue", &["nosuid", "nodev", "noexec"]),
        sys(inputs),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            &["nosuid", "nodev", "noexec", access(inputs)],
        ),
    ];
    if let Some(size) = inputs.facts.shm {
        let size = format!("size={}", size.0);
        let options = ["nosuid", "nodev", "noexec", "mode=1777", &size];
        mounts.push(mount("/dev/shm", "tmpfs", &options));
    }
    mounts
}

/// sysfs shows the devices of the network namespace it is mounted in, and the kernel allows only
/// the owner of that namespace to mount it. A group that has its own ids but the host's network is
/// not the owner, so it is shown the host's sysfs.
fn sys(inputs: &Inputs<'_>) -> Mount {
    let group = inputs.group;
    let options = ["nosuid", "nodev", "noexec", access(inputs)];
    if group.network.host_network && group.user_namespace {
        let mut bind = mount("/sys", "bind", &["bind", "rprivate"]);
        let all = bind.options().iter().flatten().cloned();
        let all = all.chain(options.map(str::to_owned)).collect();
        bind.set_source(Some("/sys".into())).set_options(Some(all));
        bind
    } else {
        mount("/sys", "sysfs", &options)
    }
}

/// A privileged container may change what the kernel shows it: that is what it is for.
fn access(inputs: &Inputs<'_>) -> &'static str {
    if inputs.container.security.privileged {
        "rw"
    } else {
        "ro"
    }
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> Mount {
    let source = match destination.rsplit('/').next() {
        Some(name) if kind == "tmpfs" => name,
        _ => kind,
    };
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    let mut mount = Mount::default();
    mount
        .set_destination(destination.into())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source.into()))
        .set_options(Some(options));
    mount
}
