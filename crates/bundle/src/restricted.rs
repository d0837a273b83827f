//! Paths of the kernel's file systems that are not for containers. A path that a kernel does not
//! have is passed over by whoever starts the container.

use crate::Inputs;

/// Hidden: they tell of the host, of others' work (interrupts, power use, which leak secrets), or
/// give access to hardware.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/security",
];

/// Hidden from a group that has the host's ids: they tell of the kernel's memory page by page, and
/// its root is the one who may read them. To a group with ids of its own the kernel refuses them.
const MASKED_FROM_ROOT: [&str; 6] = [
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/pagetypeinfo",
    "/proc/slabinfo",
    "/proc/vmallocinfo",
];

/// Read-only: settings of the host.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The paths to hide.
pub(crate) fn masked(inputs: &Inputs<'_>) -> Vec<String> {
    let from_root: &[&str] = if inputs.group.user_namespace {
        &[]
    } else {
        &MASKED_FROM_ROOT
    };
    let ours = MASKED
        .iter()
        .chain(from_root)
        .map(|path| (*path).to_owned());
    ours.chain(inputs.facts.masked_paths.iter().cloned())
        .collect()
}

/// The paths to make read-only.
pub(crate) fn read_only() -> Vec<String> {
    READ_ONLY.map(str::to_owned).to_vec()
}
