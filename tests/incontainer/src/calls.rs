//! System calls that lead to more of the kernel than a container needs.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

use crate::report::{list, outcome, saw};
use crate::sys;

/// The task that is given to a child of this program, since it may be killed for it.
pub(crate) const OLD_INTERFACE: &str = "old-interface";

/// A call's row, name and number. All are made with zeros: what the kernel let through would fail
/// for that, with another error.
const CLOSED: &[(&str, &str, libc::c_long)] = &[
    ("CTR-15", "io_uring_setup", libc::SYS_io_uring_setup),
    ("CTR-15", "io_uring_enter", libc::SYS_io_uring_enter),
    ("CTR-15", "io_uring_register", libc::SYS_io_uring_register),
    ("CTR-15", "userfaultfd", libc::SYS_userfaultfd),
    ("CTR-15", "bpf", libc::SYS_bpf),
    ("CTR-15", "perf_event_open", libc::SYS_perf_event_open),
    ("CTR-15", "kexec_load", libc::SYS_kexec_load),
    ("CTR-15", "kexec_file_load", libc::SYS_kexec_file_load),
    ("CTR-15", "name_to_handle_at", libc::SYS_name_to_handle_at),
    ("CTR-15", "open_by_handle_at", libc::SYS_open_by_handle_at),
    ("CTR-15", "fsopen", libc::SYS_fsopen),
    ("CTR-15", "fsconfig", libc::SYS_fsconfig),
    ("CTR-15", "fsmount", libc::SYS_fsmount),
    ("CTR-15", "fspick", libc::SYS_fspick),
    ("CTR-15", "open_tree", libc::SYS_open_tree),
    ("CTR-15", "move_mount", libc::SYS_move_mount),
    ("CTR-15", "mount_setattr", libc::SYS_mount_setattr),
    ("CTR-15", "memfd_secret", libc::SYS_memfd_secret),
    ("CTR-15", "init_module", libc::SYS_init_module),
    ("CTR-15", "finit_module", libc::SYS_finit_module),
    ("CTR-15", "delete_module", libc::SYS_delete_module),
    ("CTR-15", "swapon", libc::SYS_swapon),
    ("CTR-15", "swapoff", libc::SYS_swapoff),
    ("CTR-15", "acct", libc::SYS_acct),
    ("CTR-15", "quotactl", libc::SYS_quotactl),
    ("CTR-15", "settimeofday", libc::SYS_settimeofday),
    ("CTR-15", "clock_settime", libc::SYS_clock_settime),
    ("CTR-15", "kcmp", libc::SYS_kcmp),
    ("CTR-15", "pidfd_getfd", libc::SYS_pidfd_getfd),
    ("CTR-15", "process_madvise", libc::SYS_process_madvise),
    ("CTR-15", "move_pages", libc::SYS_move_pages),
    ("CTR-15", "mbind", libc::SYS_mbind),
    ("CTR-15", "fanotify_init", libc::SYS_fanotify_init),
    ("CTR-15", "sethostname", libc::SYS_sethostname),
    ("CTR-15", "setdomainname", libc::SYS_setdomainname),
    ("CTR-17", "add_key", libc::SYS_add_key),
    ("CTR-17", "request_key", libc::SYS_request_key),
    ("CTR-17", "keyctl", libc::SYS_keyctl),
    ("CTR-14", "setns", libc::SYS_setns),
    ("CTR-14", "clone3", libc::SYS_clone3),
    ("CTR-28", "pivot_root", libc::SYS_pivot_root),
    ("CTR-29", "syslog", libc::SYS_syslog),
    #[cfg(target_arch = "x86_64")]
    ("CTR-15", "iopl", libc::SYS_iopl),
    #[cfg(target_arch = "x86_64")]
    ("CTR-15", "ioperm", libc::SYS_ioperm),
    #[cfg(target_arch = "x86_64")]
    ("CTR-15", "modify_ldt", libc::SYS_modify_ldt),
];

/// New namespaces by the flag that asks for one.
const NAMESPACES: [(&str, i32); 7] = [
    ("user", libc::CLONE_NEWUSER),
    ("mount", libc::CLONE_NEWNS),
    ("network", libc::CLONE_NEWNET),
    ("process", libc::CLONE_NEWPID),
    ("IPC", libc::CLONE_NEWIPC),
    ("UTS", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
];

/// One more than the largest number that Linux has given a family.
const FAMILIES: u32 = 46;
/// One more than the largest number that Linux has given a protocol of netlink.
const NETLINK_PROTOCOLS: u32 = 23;

pub(crate) fn survey() -> io::Result<()> {
    for (row, name, number) in CLOSED {
        saw(row, name, outcome(sys::call(*number, [0; 3])));
    }
    for (name, flag) in NAMESPACES {
        let flag = flag.unsigned_abs();
        let unshared = sys::call(libc::SYS_unshare, [flag, 0, 0]);
        saw("CTR-14", &format!("unshare {name}"), outcome(unshared));
        let cloned = sys::clone(flag);
        saw("CTR-14", &format!("clone {name}"), outcome(cloned));
    }
    sockets();
    if cfg!(target_arch = "x86_64") {
        old_interfaces()?;
    }
    Ok(())
}

fn sockets() {
    let number = |value: i32| value.unsigned_abs();
    let (raw, datagram) = (number(libc::SOCK_RAW), number(libc::SOCK_DGRAM));
    let (packet, netlink) = (number(libc::AF_PACKET), number(libc::AF_NETLINK));
    let icmp = number(libc::IPPROTO_ICMP);
    let socket = |family, kind, protocol| sys::call(libc::SYS_socket, [family, kind, protocol]);
    for (what, family, kind, protocol) in [
        ("a packet socket", packet, raw, 0),
        ("a packet socket of datagrams", packet, datagram, 0),
        ("a raw socket", number(libc::AF_INET), raw, icmp),
        ("a raw socket with headers", number(libc::AF_INET), raw, 255),
        ("a socket for ping", number(libc::AF_INET), datagram, icmp),
    ] {
        saw("CTR-13", what, outcome(socket(family, kind, protocol)));
    }
    let families = (0..FAMILIES).filter(|family| passes(socket(*family, datagram, 0)));
    saw("CTR-16", "families let through", numbers(families));
    let pair = |family| sys::call(libc::SYS_socketpair, [family, datagram, 0]);
    let pairs = (0..FAMILIES).filter(|family| passes(pair(*family)));
    saw("CTR-16", "families of pairs let through", numbers(pairs));
    let protocols = (0..NETLINK_PROTOCOLS).filter(|it| passes(socket(netlink, raw, *it)));
    saw("CTR-16", "netlink let through", numbers(protocols));
}

/// Whether a call came as far as the kernel's own code for what was asked.
fn passes(result: Result<libc::c_long, Errno>) -> bool {
    !matches!(
        result,
        Err(Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::EPERM)
    )
}

fn numbers(numbers: impl Iterator<Item = u32>) -> String {
    let words: Vec<String> = numbers.map(|number| number.to_string()).collect();
    list(&words)
}

/// The processor's other ways into the kernel, past a filter that knows numbers of one.
fn old_interfaces() -> io::Result<()> {
    let status = Command::new("/proc/self/exe").arg(OLD_INTERFACE).status()?;
    let ended = match status.signal().map(Signal::try_from) {
        Some(Ok(signal)) => format!("killed by {signal}"),
        _ => status.to_string(),
    };
    saw("CTR-16", "a 32-bit call", ended);
    const X32: libc::c_long = 0x4000_0000;
    let result = sys::call(X32 | libc::SYS_getpid, [0; 3]);
    saw("CTR-16", "an x32 call", outcome(result));
    Ok(())
}
