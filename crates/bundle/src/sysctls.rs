//! Kernel parameters of a group's namespaces.
//!
//! What a user may ask for is decided where the specification is translated. Here is the last
//! gate: whatever was allowed there, only parameters that belong to a namespace of the group get
//! through, for the others are the host's.

use std::collections::BTreeMap;

use burstlet_model::spec::{GroupSpec, Sysctl};

use crate::BundleError;

/// Parameters of the IPC namespace; with a dot at the end, all below it.
const IPC: [&str; 9] = [
    "fs.mqueue.",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];
const NETWORK: &str = "net.";

/// What groups with a network of their own have unless they say otherwise: everybody may use
/// `ping` and bind low ports, for which the capabilities would give much more.
const PORTS: (&str, &str) = ("net.ipv4.ip_unprivileged_port_start", "0");
const PING: &str = "net.ipv4.ping_group_range";
/// As many ids as the kernel takes; a group with ids of its own has fewer.
const PING_ALL: &str = "0 2147483647";

const VALUE_BYTES_MAX: usize = 256;

/// The host's ids of a group with a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostIds {
    /// What the group's id 0 is on the host.
    pub base: u32,
    /// How many there are.
    pub len: u32,
}

/// The parameters to set when the group's namespaces are made. They are set by somebody with the
/// host's ids, and the kernel takes ids in a value for ids of whoever writes it: so such values are
/// given in the host's, `ids`, which a group without a user namespace does not have.
///
/// # Errors
/// A parameter is not the group's own, or is not one.
pub fn group_sysctls(
    group: &GroupSpec,
    ids: Option<HostIds>,
) -> Result<BTreeMap<String, String>, BundleError> {
    let own_network = !group.network.host_network;
    let mut sysctls = BTreeMap::new();
    if own_network {
        sysctls.insert(PORTS.0.to_owned(), PORTS.1.to_owned());
        sysctls.insert(PING.to_owned(), PING_ALL.to_owned());
    }
    for (index, sysctl) in group.security.sysctls.iter().enumerate() {
        check(sysctl, own_network).map_err(|rule| BundleError::Sysctl {
            path: format!("spec.securityContext.sysctls[{index}]"),
            name: sysctl.name.clone(),
            rule,
        })?;
        sysctls.insert(sysctl.name.clone(), sysctl.value.clone());
    }
    if let (Some(ids), Some(range)) = (ids, sysctls.get_mut(PING)) {
        *range = in_host_ids(range, ids);
    }
    Ok(sysctls)
}

/// A range of ids, without those that the group does not have. What is no range is left for the
/// kernel to refuse.
fn in_host_ids(range: &str, ids: HostIds) -> String {
    let bounds: Result<Vec<u32>, _> = range.split_whitespace().map(str::parse).collect();
    match bounds.as_deref() {
        Ok([low, high]) => {
            let on_host = |id: u32| u64::from(ids.base) + u64::from(id.min(ids.len - 1));
            format!("{} {}", on_host(*low), on_host(*high))
        }
        _ => range.to_owned(),
    }
}

fn check(sysctl: &Sysctl, own_network: bool) -> Result<(), &'static str> {
    let (name, value) = (&sysctl.name, &sysctl.value);
    let plain = |part: &str| {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        !part.is_empty() && part.bytes().all(letter)
    };
    if !name.split('.').all(plain) {
        return Err("a name has parts of a-z, 0-9 and _, joined by dots");
    }
    if value.len() > VALUE_BYTES_MAX || !value.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Err("a value has at most 256 printable characters, without newline");
    }
    let of_ipc = IPC.iter().any(|known| match known.strip_suffix('.') {
        Some(_) => name.starts_with(known),
        None => name == known,
    });
    match (of_ipc, name.starts_with(NETWORK)) {
        (true, _) => Ok(()),
        (_, true) if own_network => Ok(()),
        (_, true) => Err("the group uses the host's network, so it would be the host's"),
        _ => Err("it belongs to no namespace, so it would be the host's"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::tests::Fixture;

    fn with(
        name: &str,
        value: &str,
        host_network: bool,
    ) -> Result<BTreeMap<String, String>, String> {
        let mut fixture = Fixture::new();
        fixture.group.network.host_network = host_network;
        fixture.group.security.sysctls = vec![Sysctl {
            name: name.to_owned(),
            value: value.to_owned(),
        }];
        group_sysctls(&fixture.group, None).map_err(|error| error.to_string())
    }

    #[test]
    fn the_groups_own() {
        for name in [
            "kernel.shm_rmid_forced",
            "kernel.shmmax",
            "kernel.sem",
            "kernel.msgmni",
            "fs.mqueue.msg_max",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.conf.all.rp_filter",
            "net.core.somaxconn",
            "net.ipv6.conf.eth0.disable_ipv6",
        ] {
            assert_eq!(with(name, "1 2", false).unwrap().get(name).unwrap(), "1 2");
        }
    }

    #[test]
    fn the_hosts() {
        for name in [
            "kernel.core_pattern",
            "kernel.core_uses_pid",
            "kernel.dmesg_restrict",
            "kernel.hostname",
            "kernel.domainname",
            "kernel.kptr_restrict",
            "kernel.modprobe",
            "kernel.ns_last_pid",
            "kernel.panic",
            "kernel.pid_max",
            "kernel.randomize_va_space",
            "kernel.shm_rmid_forced2",
            "kernel.shm",
            "kernel.sysrq",
            "kernel.unprivileged_bpf_disabled",
            "kernel.yama.ptrace_scope",
            "fs.file_max",
            "fs.mqueue",
            "fs.protected_symlinks",
            "fs.suid_dumpable",
            "vm.overcommit_memory",
            "vm.swappiness",
            "user.max_user_namespaces",
            "dev.tty.ldisc_autoload",
            "abi.vsyscall32",
            "debug.kprobes_optimization",
            "net",
            "network.x",
        ] {
            assert!(with(name, "1", false).is_err(), "{name}");
        }
        let error = with("net.core.somaxconn", "1", true).unwrap_err();
        assert!(error.contains("host's network"), "{error}");
    }

    #[test]
    fn no_name_becomes_a_path_and_no_value_a_second_line() {
        for name in [
            "",
            ".",
            "net",
            "net.",
            ".net.x",
            "net..x",
            "net/ipv4/x",
            "net.ipv4/../x",
            "net.X",
            "net.x y",
            "net.x\n",
            "net.x=1",
            "kernel.shmmax+kernel.core_pattern",
            "net.ä",
            "net.x\0",
        ] {
            assert!(with(name, "1", false).is_err(), "{name:?}");
        }
        let long = "1".repeat(VALUE_BYTES_MAX + 1);
        for value in ["1\n", "1\nkernel.core_pattern=|/x", "\0", "\t1", "ä", &long] {
            assert!(
                with("net.core.somaxconn", value, false).is_err(),
                "{value:?}"
            );
        }
    }

    #[test]
    fn defaults_give_way() {
        let fixture = Fixture::new();
        let defaults = group_sysctls(&fixture.group, None).unwrap();
        assert_eq!(defaults.get(PING).unwrap(), PING_ALL);
        assert_eq!(with(PING, "1 0", false).unwrap().get(PING).unwrap(), "1 0");
        let mut host = Fixture::new();
        host.group.network.host_network = true;
        assert!(group_sysctls(&host.group, None).unwrap().is_empty());
    }

    #[test]
    fn ids_are_those_of_who_sets_them() {
        let ids = HostIds {
            base: 70_000,
            len: 65_536,
        };
        let mut fixture = Fixture::new();
        let range = |group: &GroupSpec| group_sysctls(group, Some(ids)).unwrap()[PING].clone();
        assert_eq!(range(&fixture.group), "70000 135535");
        for (value, expected) in [
            ("5 100", "70005 70100"),
            ("1 0", "70001 70000"),
            ("0 4294967295", "70000 135535"),
            ("all", "all"),
        ] {
            let (name, value) = (PING.to_owned(), value.to_owned());
            fixture.group.security.sysctls = vec![Sysctl { name, value }];
            assert_eq!(range(&fixture.group), expected);
        }
    }
}
