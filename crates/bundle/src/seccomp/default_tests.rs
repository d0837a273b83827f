//! What the shipped profile does to the calls that matter.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use burstlet_model::spec::SeccompProfile;

use super::machine::{Call, Reading, run};
use super::profile::Action;
use super::select::Target;
use super::*;
use crate::container_spec;
use crate::tests::Fixture;

const ARCHES: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];
const EPERM: u16 = 1;
const ENOSYS: u16 = 38;
const EPROTONOSUPPORT: u16 = 93;
const EAFNOSUPPORT: u16 = 97;

const KERNEL: KernelVersion = KernelVersion { major: 6, minor: 1 };
const SHIPPED: &str = include_str!("../../../../runtime-config/seccomp/default.json");

fn profile() -> Profile {
    Profile::parse(SHIPPED).unwrap()
}

fn target(arch: Arch, capabilities: &[&str]) -> Target {
    Target {
        arch,
        kernel: KERNEL,
        capabilities: capabilities.iter().map(ToString::to_string).collect(),
    }
}

/// The shipped filter of a container with some capabilities, on both architectures.
struct Filter(Vec<(Arch, Program)>);

impl Filter {
    fn of(capabilities: &[&str]) -> Self {
        let program = |arch| Program::compile(&profile(), &target(arch, capabilities)).unwrap();
        Self(ARCHES.map(|arch| (arch, program(arch))).into())
    }

    /// What becomes of a call by name, where the architecture has it.
    fn check(&self, name: &str, arguments: [u64; 3], expected: Action) {
        let [a, b, c] = arguments;
        let mut exists = false;
        for (arch, program) in &self.0 {
            let Some(number) = arch.number(name) else {
                continue;
            };
            exists = true;
            let arguments = [a, b, c, 0, 0, 0];
            let call = Call {
                number,
                audit: arch.audit(),
                arguments,
            };
            let (result, _) = run(program.instructions(), &call);
            assert_eq!(
                result,
                expected.value(),
                "{name}({arguments:x?}) on {arch:?}"
            );
        }
        assert!(exists, "{name} is no system call");
    }
}

#[test]
fn everyday_calls_pass() {
    let plain = Filter::of(&[]);
    for name in [
        "read",
        "write",
        "openat",
        "openat2",
        "execve",
        "exit_group",
        "fork",
        "vfork",
        "mmap",
        "futex",
        "epoll_wait",
        "accept4",
        "statx",
        "newfstatat",
        "getrandom",
        "rseq",
        "set_robust_list",
        "memfd_create",
        "pidfd_open",
        "close_range",
        "faccessat2",
        "landlock_create_ruleset",
        "seccomp",
        "ptrace",
        "chroot",
        "mknodat",
        "setuid",
        "capset",
        "prctl",
        "sched_setaffinity",
        "cachestat",
        "futex_waitv",
        "mseal",
        "sendmmsg",
        "io_submit",
        "timer_create",
        "arch_prctl",
    ] {
        plain.check(name, [0; 3], Action::Allow);
    }
}

#[test]
fn closed_calls_are_refused() {
    let plain = Filter::of(&[]);
    for name in [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "userfaultfd",
        "bpf",
        "perf_event_open",
        "kexec_load",
        "kexec_file_load",
        "add_key",
        "request_key",
        "keyctl",
        "open_by_handle_at",
        "name_to_handle_at",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "mount",
        "umount2",
        "pivot_root",
        "setns",
        "memfd_secret",
        "init_module",
        "finit_module",
        "delete_module",
        "reboot",
        "swapon",
        "swapoff",
        "iopl",
        "ioperm",
        "acct",
        "quotactl",
        "syslog",
        "settimeofday",
        "clock_settime",
        "sethostname",
        "setdomainname",
        "lookup_dcookie",
        "kcmp",
        "pidfd_getfd",
        "process_madvise",
        "mbind",
        "move_pages",
        "vhangup",
        "modify_ldt",
        "fanotify_init",
    ] {
        plain.check(name, [0; 3], Action::Errno(EPERM));
    }
    for name in ["clone3", "create_module", "vserver", "uprobe"] {
        plain.check(name, [0; 3], Action::Errno(ENOSYS));
    }
}

#[test]
fn capabilities_open_what_they_are_for() {
    for (capability, name) in [
        ("SYS_ADMIN", "mount"),
        ("SYS_ADMIN", "setns"),
        ("SYS_ADMIN", "clone3"),
        ("SYS_ADMIN", "bpf"),
        ("BPF", "bpf"),
        ("PERFMON", "perf_event_open"),
        ("SYS_TIME", "clock_settime"),
        ("SYS_PTRACE", "kcmp"),
        ("SYS_MODULE", "init_module"),
        ("SYS_BOOT", "reboot"),
        ("SYS_NICE", "mbind"),
        ("SYSLOG", "syslog"),
        ("DAC_READ_SEARCH", "open_by_handle_at"),
    ] {
        Filter::of(&[capability]).check(name, [0; 3], Action::Allow);
    }
    let all = Filter::of(&[
        "SYS_ADMIN",
        "SYS_MODULE",
        "SYS_BOOT",
        "SYS_RAWIO",
        "BPF",
        "PERFMON",
        "SYS_PTRACE",
    ]);
    for name in [
        "keyctl",
        "add_key",
        "io_uring_setup",
        "kexec_load",
        "userfaultfd",
    ] {
        all.check(name, [0; 3], Action::Errno(EPERM));
    }
}

#[test]
fn no_namespaces_of_ones_own() {
    let plain = Filter::of(&[]);
    let admin = Filter::of(&["SYS_ADMIN"]);
    let thread = 0x3d_0f00;
    plain.check("clone", [17, 0, 0], Action::Allow);
    plain.check("clone", [thread, 0, 0], Action::Allow);
    plain.check("unshare", [0x400, 0, 0], Action::Allow);
    for flag in [
        0x0002_0000_u64, // mount
        0x0200_0000,     // cgroup
        0x0400_0000,     // uts
        0x0800_0000,     // ipc
        0x1000_0000,     // user
        0x2000_0000,     // pid
        0x4000_0000,     // network
    ] {
        for extra in [0, 17, thread, 1 << 40] {
            plain.check("clone", [flag | extra, 0, 0], Action::Errno(EPERM));
            plain.check("unshare", [flag | extra, 0, 0], Action::Errno(EPERM));
            admin.check("unshare", [flag | extra, 0, 0], Action::Allow);
        }
    }
    plain.check("unshare", [0x80, 0, 0], Action::Errno(EPERM));
}

#[test]
fn socket_families() {
    let plain = Filter::of(&[]);
    const NETLINK: u64 = 16;
    const PACKET: u64 = 17;
    // The kernel takes the family for an int and does not see what is above.
    for above in [0, 1 << 32, 0xffff_ffff << 32] {
        for family in 0..=46_u64 {
            let expected = match family {
                1 | 2 | 10 | NETLINK => Action::Allow,
                PACKET => Action::Errno(EPERM),
                _ => Action::Errno(EAFNOSUPPORT),
            };
            plain.check("socket", [family | above, 1, 0], expected);
            let pair = if family == 1 {
                Action::Allow
            } else {
                Action::Errno(EAFNOSUPPORT)
            };
            plain.check("socketpair", [family | above, 1, 0], pair);
        }
    }
    for protocol in 1..=22 {
        plain.check(
            "socket",
            [NETLINK, 3, protocol],
            Action::Errno(EPROTONOSUPPORT),
        );
    }
    Filter::of(&["NET_RAW"]).check("socket", [PACKET, 3, 0], Action::Allow);
}

#[test]
fn personalities() {
    let plain = Filter::of(&[]);
    for value in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        plain.check("personality", [value, 0, 0], Action::Allow);
    }
    // ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC weaken what others rely on.
    for value in [0x4_0000, 0x40_0000, 1] {
        plain.check("personality", [value, 0, 0], Action::Errno(EPERM));
    }
}

#[test]
fn other_interfaces_of_the_processor_are_closed() {
    let native = Program::compile(&profile(), &target(Arch::X86_64, &[])).unwrap();
    let returns = |number, audit| {
        let call = Call {
            number,
            audit,
            arguments: [0; 6],
        };
        run(native.instructions(), &call).0
    };
    let i386 = 0x4000_0003;
    assert_eq!(returns(102, i386), Action::KillProcess.value());
    assert_eq!(returns(0, i386), Action::KillProcess.value());
    let x32 = 0x4000_0000;
    for number in [x32, x32 + 1, x32 + 512, u32::MAX] {
        assert_eq!(
            returns(number, Arch::X86_64.audit()),
            Action::Errno(ENOSYS).value()
        );
    }
}

#[test]
fn every_name_is_known_and_every_number_agrees_with_the_file() {
    let profile = profile();
    for arch in ARCHES {
        for capabilities in [&[][..], &["SYS_ADMIN", "NET_RAW", "SYS_NICE"][..]] {
            let target = target(arch, capabilities);
            let program = Program::compile(&profile, &target).unwrap();
            assert_eq!(program.unknown_names(), &BTreeSet::new());
            let reading = Reading::new(&profile, &target);
            let mut slowest = 0;
            for number in 0..600 {
                let call = Call {
                    number,
                    audit: arch.audit(),
                    arguments: [1, 2, 3, 4, 5, 6],
                };
                let (result, steps) = run(program.instructions(), &call);
                assert_eq!(result, reading.says(&call).value(), "{number} on {arch:?}");
                slowest = slowest.max(steps);
            }
            let len = program.instructions().len();
            assert!(
                slowest <= 48 && len < 400,
                "{slowest} steps of {len} on {arch:?}"
            );
        }
    }
}

#[test]
fn programs_are_compiled_once() {
    let fixture = Fixture::new();
    let spec = container_spec(&fixture.inputs()).unwrap();
    let strict = Profile::parse(r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS"}"#).unwrap();
    let profiles = Profiles::new(Arch::X86_64, KERNEL)
        .unwrap()
        .with("strict", strict);
    let get = |wanted: &SeccompProfile| profiles.program(wanted, &spec);
    let first = get(&SeccompProfile::RuntimeDefault).unwrap().unwrap();
    let second = get(&SeccompProfile::RuntimeDefault).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let named = get(&SeccompProfile::Localhost("strict".to_owned()))
        .unwrap()
        .unwrap();
    assert!(named != first);
    assert_eq!(get(&SeccompProfile::Unconfined).unwrap(), None);
    let error = get(&SeccompProfile::Localhost("none".to_owned())).unwrap_err();
    assert_eq!(error.kind(), burstlet_model::ErrorKind::NotFound);
    assert_eq!(profiles.names().collect::<Vec<_>>(), ["strict"]);

    let mut admin = Fixture::new();
    admin
        .container_mut()
        .security
        .capabilities
        .add
        .insert("SYS_ADMIN".to_owned());
    let spec = container_spec(&admin.inputs()).unwrap();
    let wider = profiles
        .program(&SeccompProfile::RuntimeDefault, &spec)
        .unwrap()
        .unwrap();
    assert!(wider != first);
}
