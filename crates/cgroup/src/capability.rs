//! What the cgroup interface of a host can and cannot do.

use std::fmt;

use crate::Hierarchy;
use crate::hierarchy::{Controller, Interface};

/// What this host's cgroups can do beyond what Burstlet cannot run without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The unified interface.
    pub v2: bool,
    /// Swap is limited with memory, so a group cannot evade its limit by swapping.
    pub swap_limit: bool,
    /// Memory that runs out can end a whole container and not just one process of it.
    pub oom_group: bool,
    /// The cgroup itself refuses to open devices that are not allowed.
    pub device_list: bool,
    /// Bytes to and from block devices are counted.
    pub io_counters: bool,
    /// Containers are shown the processors that they may use, where programs look for that.
    pub processors: bool,
    /// One write kills all processes of a cgroup; else it is frozen and they are killed one by one.
    pub kill_file: bool,
}

/// Something that this host cannot do, and that an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// See [`Capabilities::swap_limit`].
    SwapNotLimited,
    /// See [`Capabilities::oom_group`].
    OomKillsOneProcess,
    /// See [`Capabilities::device_list`].
    DevicesNotListed,
    /// See [`Capabilities::io_counters`].
    IoNotCounted,
    /// See [`Capabilities::processors`].
    ProcessorsNotShown,
}

impl Capabilities {
    /// What is lacking.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> {
        [
            (self.swap_limit, Warning::SwapNotLimited),
            (self.oom_group, Warning::OomKillsOneProcess),
            (self.device_list, Warning::DevicesNotListed),
            (self.io_counters, Warning::IoNotCounted),
            (self.processors, Warning::ProcessorsNotShown),
        ]
        .into_iter()
        .filter_map(|(able, warning)| (!able).then_some(warning))
    }

    /// Looks at the files of the cgroup `root`, which must exist.
    pub(crate) fn probe(hierarchy: &Hierarchy, root: &std::path::Path) -> Self {
        let has = |controller, file: &str| {
            hierarchy
                .directory(controller, root)
                .is_some_and(|dir| dir.join(file).exists())
        };
        match hierarchy.interface() {
            Interface::V2 { .. } => Self {
                v2: true,
                swap_limit: has(Controller::Memory, "memory.swap.max"),
                oom_group: has(Controller::Memory, "memory.oom.group"),
                device_list: false,
                io_counters: has(Controller::BlkIo, "io.stat"),
                processors: true,
                kill_file: has(Controller::Freezer, "cgroup.kill"),
            },
            Interface::V1 { .. } => Self {
                v2: false,
                swap_limit: has(Controller::Memory, "memory.memsw.limit_in_bytes"),
                oom_group: false,
                device_list: has(Controller::Devices, "devices.deny"),
                io_counters: has(Controller::BlkIo, crate::usage::V1_IO_FILE),
                processors: hierarchy.processors().is_some(),
                kill_file: false,
            },
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SwapNotLimited => {
                "memory limits do not count swap: boot with swapaccount=1, or turn swap off"
            }
            Self::OomKillsOneProcess => {
                "when memory runs out the kernel kills one process of a container, not all: use cgroup v2"
            }
            Self::DevicesNotListed => {
                "cgroups do not list the devices that a container may open: nodev mounts and the lack of CAP_MKNOD keep them out of reach"
            }
            Self::IoNotCounted => "bytes to and from block devices are not counted",
            Self::ProcessorsNotShown => {
                "containers are shown no cpuset cgroup, without which Java sees the host's memory: mount it, or use cgroup v2"
            }
        })
    }
}
