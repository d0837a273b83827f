//! What the program inside may see: for each thing that it tries, by the row of the table of attack
//! classes that it belongs to, the answers that are right. Several are, where kernels differ.

/// A row, what is tried for it, and the answers that are right.
pub(super) type Block = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const REFUSED: &[&str] = &["EPERM"];
/// Not there, not readable, or not writable.
const CLOSED: &[&str] = &["EACCES", "ENOENT", "EPERM", "EROFS"];
const HIDDEN: &[&str] = &["nothing", "the null device"];
/// `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`, `KILL`, `SETGID`, `SETUID`, `SETPCAP`,
/// `NET_BIND_SERVICE`.
const CAPABILITIES: &[&str] = &["00000000000005fb"];
const NONE: &[&str] = &["none"];
const NO_BITS: &[&str] = &["0000000000000000"];

/// A container with the defaults, started by a shell.
#[rustfmt::skip]
pub(super) const DEFAULTS: &[Block] = &[
    ("CTR-01", &["the first process's program"], &["/incontainer"]),
    ("CTR-02", &["open descriptors"], &["0 1 2"]),
    ("CTR-02", &["the working directory"], &["/"]),
    ("CTR-02", &["names of variables"], &["HOME HOSTNAME PATH PWD SHLVL"]),
    ("CTR-03", &[
        "look at /proc/acpi", "look at /proc/asound", "look at /proc/interrupts", "look at /proc/kcore",
        "look at /proc/latency_stats", "look at /proc/sched_debug", "look at /proc/scsi",
        "look at /proc/timer_list", "look at /proc/timer_stats", "look at /sys/firmware",
    ], HIDDEN),
    ("CTR-03", &["open /proc/irq/default_smp_affinity to write", "open /proc/sysrq-trigger to write"], CLOSED),
    // Where the kernel has /proc/kcore a link to it is made, which ends at the null device;
    // libcontainer has another name for it.
    ("CTR-04", &["entries of /dev"], &[
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout termination-log tty urandom zero",
        "fd full kcore mqueue null ptmx pts random shm stderr stdin stdout termination-log tty urandom zero",
        "fd full mqueue null ptmx pts random shm stderr stdin stdout termination-log tty urandom zero",
    ]),
    ("CTR-04", &["the number of /dev/full"], &["1:7"]),
    ("CTR-04", &["the number of /dev/null"], &["1:3"]),
    ("CTR-04", &["the number of /dev/random"], &["1:8"]),
    ("CTR-04", &["the number of /dev/tty"], &["5:0"]),
    ("CTR-04", &["the number of /dev/urandom"], &["1:9"]),
    ("CTR-04", &["the number of /dev/zero"], &["1:5"]),
    ("CTR-04", &["the console"], NONE),
    ("CTR-05", &["/proc is of proc", "/proc/sys/kernel is of proc", "/proc/self/attr/current is of proc"], &["true"]),
    ("CTR-09", &[
        "open /proc/sys/kernel/panic to write", "open /proc/sys/kernel/modprobe to write",
        "open /proc/sys/vm/swappiness to write", "open /proc/sys/net/ipv4/ip_forward to write",
    ], CLOSED),
    ("CTR-10", &["mounts of cgroups elsewhere", "cgroups below its own"], NONE),
    ("CTR-10", &["roots of the mounts of cgroups", "own cgroups"], &["/"]),
    ("CTR-10", &["files that name a program to start"], &["0"]),
    ("CTR-10", &["processes in cgroups"], &["1"]),
    // Everybody may write to one file of v1 as far as its mode goes; the others are the host's root's.
    ("CTR-10", &["open files of cgroups to write"], &["EACCES", "EACCES EROFS", "EROFS"]),
    ("CTR-10", &["limits that can be read"], &["1"]),
    ("CTR-10", &["make a cgroup"], &["EROFS"]),
    ("CTR-10", &["remount cgroups", "unmount cgroups"], REFUSED),
    ("CTR-11", &["open /proc/sys/kernel/core_pattern to write"], CLOSED),
    ("CTR-11", &["the limit of core files"], &["0 0 bytes"]),
    ("CTR-11", &["files after a crash"], &["0"]),
    ("CTR-12", &["CapPrm", "CapEff", "CapBnd"], CAPABILITIES),
    ("CTR-12", &["CapInh", "CapAmb"], NO_BITS),
    ("CTR-12", &["NoNewPrivs"], &["1"]),
    ("CTR-13", &[
        "a packet socket", "a packet socket of datagrams", "a raw socket", "a raw socket with headers",
    ], REFUSED),
    ("CTR-13", &["a socket for ping"], &["done"]),
    ("CTR-14", &[
        "setns", "unshare user", "clone user", "unshare mount", "clone mount", "unshare network",
        "clone network", "unshare process", "clone process", "unshare IPC", "clone IPC", "unshare UTS",
        "clone UTS", "unshare cgroup", "clone cgroup",
    ], REFUSED),
    ("CTR-14", &["clone3"], &["ENOSYS"]),
    ("CTR-15", &["Seccomp"], &["2"]),
    ("CTR-15", &[
        "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "bpf", "perf_event_open",
        "kexec_load", "kexec_file_load", "name_to_handle_at", "open_by_handle_at", "fsopen", "fsconfig",
        "fsmount", "fspick", "open_tree", "move_mount", "mount_setattr", "memfd_secret", "init_module",
        "finit_module", "delete_module", "swapon", "swapoff", "acct", "quotactl", "settimeofday",
        "clock_settime", "kcmp", "pidfd_getfd", "process_madvise", "move_pages", "mbind", "fanotify_init",
        "sethostname", "setdomainname",
    ], REFUSED),
    #[cfg(target_arch = "x86_64")]
    ("CTR-15", &["iopl", "ioperm", "modify_ldt"], REFUSED),
    ("CTR-16", &["families let through"], &["1 2 10 16", "1 2 16"]),
    ("CTR-16", &["families of pairs let through"], &["1"]),
    ("CTR-16", &["netlink let through"], &["0"]),
    #[cfg(target_arch = "x86_64")]
    ("CTR-16", &["a 32-bit call"], &["killed by SIGSYS"]),
    #[cfg(target_arch = "x86_64")]
    ("CTR-16", &["an x32 call"], &["ENOSYS"]),
    ("CTR-17", &["add_key", "request_key", "keyctl"], REFUSED),
    ("CTR-17", &["look at /proc/keys"], HIDDEN),
    ("CTR-18", &["TracerPid"], &["0"]),
    ("CTR-21", &["tmpfs without a bound"], NONE),
    ("CTR-27", &[
        "make memory's device", "make memory's device and open it", "make a disk's device",
        "make a disk's device and open it", "make the kernel log's device",
        "make the kernel log's device and open it",
    ], REFUSED),
    ("CTR-27", &["mounts that have devices"], NONE),
    ("CTR-28", &[
        "pivot_root", "mount a tmpfs", "mount a proc", "mount cgroups", "bind a directory",
        "remount /proc/sys", "remount /sys", "share the root's mount", "unmount /proc", "unmount /dev",
    ], REFUSED),
    ("CTR-28", &["mounts that propagate"], NONE),
    ("CTR-29", &["syslog"], REFUSED),
    ("CTR-29", &[
        "look at /sys/fs/bpf", "look at /sys/kernel/debug", "look at /sys/kernel/security",
        "look at /sys/kernel/tracing",
    ], HIDDEN),
    ("CTR-29", &[
        "open /dev/kmsg", "open /dev/mem", "open /proc/kmsg", "open /proc/kpagecgroup",
        "open /proc/kpagecount", "open /proc/kpageflags", "open /proc/slabinfo", "open /proc/vmallocinfo",
    ], &["EACCES", "ENOENT", "EPERM", "the null device"]),
    ("CTR-29", &[
        "open /sys/kernel/uevent_helper to write",
        "open /sys/kernel/mm/transparent_hugepage/enabled to write", "open /sys/power/state to write",
    ], CLOSED),
    ("CTR-29", &["processes"], &["1"]),
    ("CTR-30", &["abstract sockets"], NONE),
    ("CTR-34", &["SigIgn", "SigBlk", "SigPnd"], NO_BITS),
    ("CTR-34", &["Umask"], &["0022"]),
    ("CTR-34", &["Groups"], &["0"]),
    ("TEN-01", &["take a foreign address"], &["EADDRNOTAVAIL"]),
    ("TEN-02", &["ipv6/conf/eth0/accept_ra"], &["0", "none"]),
    ("TEN-02", &["ipv6/conf/eth0/disable_ipv6"], &["1", "none"]),
    ("TEN-02", &["ipv4/conf/eth0/accept_redirects"], &["0"]),
    ("TEN-03", &["ipv4/conf/eth0/route_localnet"], &["0"]),
    ("TEN-03", &["connect to the host's loopback"], &["ECONNREFUSED"]),
    ("TEN-04", &[
        "connect to a cloud's metadata", "connect to Azure's platform", "connect to Alibaba's platform",
    ], &["ECONNREFUSED"]),
    ("TEN-05", &["connect to a port of the host"], &["ECONNREFUSED"]),
    ("TEN-06", &["connect to another namespace's group"], &["ECONNREFUSED"]),
    ("TEN-06", &["connect to a group of its own namespace"], &["done"]),
    ("TEN-07", &[
        "look at /sys/devices/virtual/powercap", "look at /sys/devices/system/cpu/cpu0/thermal_throttle",
    ], HIDDEN),
    ("TEN-10", &["ids"], &["65536 of another range"]),
];

/// What differs in a group that has the host's ids.
pub(super) const HOST_IDS: &[Block] = &[("TEN-10", &["ids"], &["the host's"])];

/// What differs in a container with a terminal.
#[rustfmt::skip]
pub(super) const TERMINAL: &[Block] = &[
    ("CTR-02", &["names of variables"], &["HOME HOSTNAME PATH PWD SHLVL TERM"]),
    ("CTR-04", &["entries of /dev"], &[
        "console fd full kcore mqueue null ptmx pts random shm stderr stdin stdout termination-log tty urandom zero",
        "console fd full mqueue null ptmx pts random shm stderr stdin stdout termination-log tty urandom zero",
    ]),
    ("CTR-04", &["the console"], &["the own terminal"]),
];

/// What differs in a container with the host's ids that may make devices: it still opens none.
#[rustfmt::skip]
pub(super) const CAPABLE: &[Block] = &[
    ("TEN-10", &["ids"], &["the host's"]),
    ("CTR-12", &["CapPrm", "CapEff", "CapBnd"], &["00000000080005fb"]),
    ("CTR-27", &["make memory's device", "make a disk's device", "make the kernel log's device"], &["done"]),
];
