use crate::{BootTime, Bytes};

/// What a container or a group has used, as its cgroup counts it. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// When the counters were read.
    pub at: BootTime,
    /// Processor time, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory that cannot be reclaimed at once: what is used less the inactive page cache.
    pub memory_working_set: Bytes,
    /// All memory charged.
    pub memory: Bytes,
    /// The most memory charged so far, if the kernel tells.
    pub memory_peak: Option<Bytes>,
    /// Kills for want of memory. Where they end a whole container, the kernel counts each of its
    /// processes, and the one that it chose twice.
    pub oom_kills: u64,
    /// Processes and threads now.
    pub pids: u64,
    /// Read from disks.
    pub io_read: Bytes,
    /// Written to disks.
    pub io_written: Bytes,
}

/// What has gone over a group's network interface, as seen from inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkUsage {
    /// Received.
    pub received: Bytes,
    /// Sent.
    pub sent: Bytes,
    /// Packets received.
    pub received_packets: u64,
    /// Packets sent.
    pub sent_packets: u64,
}
