//! Paths of the kernel's file systems that are not for containers. A path that a kernel does not
//! have is passed over by whoever starts the container.

use crate::Facts;

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

/// Read-only: settings of the host.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The paths to hide.
pub(crate) fn masked(facts: &Facts) -> Vec<String> {
    let of_host = facts.masked_paths.iter().cloned();
    MASKED
        .map(str::to_owned)
        .into_iter()
        .chain(of_host)
        .collect()
}

/// The paths to make read-only.
pub(crate) fn read_only() -> Vec<String> {
    READ_ONLY.map(str::to_owned).to_vec()
}
