//! What the starter of a process needs to know of its cgroup: where to put the process, and what
//! to read before the cgroup is gone.

use std::path::PathBuf;

use burstlet_model::Bytes;

use crate::hierarchy::{Controller, Interface};
use crate::{Cgroup, CgroupError, parse};

/// How a process gets into a cgroup without waiting for a grace period of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinPaths {
    /// v1: the process itself, while it has one thread only, writes `0` to each of these files.
    V1 {
        /// A `tasks` file for each hierarchy.
        tasks: Vec<PathBuf>,
    },
    /// v2: the process is born in this directory (`CLONE_INTO_CGROUP`).
    V2 {
        /// The cgroup's directory.
        directory: PathBuf,
    },
}

/// A file to read after a container's last process has ended and before its cgroup is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalRead {
    /// The name by which [`FinalUsage::parse`] knows the content.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// What a cgroup's counters said at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinalUsage {
    /// Processor time, in nanoseconds; `None` if it could not be read.
    pub cpu_ns: Option<u64>,
    /// Processes that the kernel killed because memory ran out; `None` if it could not be read.
    pub oom_kills: Option<u64>,
    /// The most memory ever charged; `None` where the kernel does not keep it.
    pub memory_peak: Option<Bytes>,
    /// Bytes to and from block devices; `None` where the kernel does not count them.
    pub io: Option<IoUsage>,
}

/// Bytes moved to and from block devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoUsage {
    /// Read.
    pub read: Bytes,
    /// Written.
    pub written: Bytes,
}

const V1_FILES: [(Controller, &str); 4] = [
    (Controller::CpuAcct, "cpuacct.usage"),
    (Controller::Memory, "memory.oom_control"),
    (Controller::Memory, "memory.max_usage_in_bytes"),
    (Controller::BlkIo, crate::usage::V1_IO_FILE),
];
const V2_FILES: [(Controller, &str); 4] = [
    (Controller::Cpu, "cpu.stat"),
    (Controller::Memory, "memory.events"),
    (Controller::Memory, "memory.peak"),
    (Controller::BlkIo, "io.stat"),
];

impl Cgroup {
    /// How a process gets into this cgroup.
    #[must_use]
    pub fn join_paths(&self) -> JoinPaths {
        match self.hierarchy.interface() {
            Interface::V2 { mount } => JoinPaths::V2 {
                directory: mount.join(self.path()),
            },
            Interface::V1 { .. } => JoinPaths::V1 {
                tasks: self.directories().map(|dir| dir.join("tasks")).collect(),
            },
        }
    }

    /// The file that lists its own processes: one hierarchy's, for all hold the same.
    #[must_use]
    pub fn process_list(&self) -> Option<PathBuf> {
        let directory = match self.hierarchy.interface() {
            Interface::V2 { mount } => Some(mount.join(self.path())),
            Interface::V1 { .. } => self.directories().next(),
        };
        directory.map(|directory| directory.join("cgroup.procs"))
    }

    /// What to read at the end. A file that does not exist is no error.
    #[must_use]
    pub fn final_reads(&self) -> Vec<FinalRead> {
        let files = if self.hierarchy.is_v2() {
            &V2_FILES
        } else {
            &V1_FILES
        };
        files
            .iter()
            .filter_map(|(controller, key)| {
                let dir = self.hierarchy.directory(*controller, self.path())?;
                Some(FinalRead {
                    key,
                    path: dir.join(key),
                })
            })
            .collect()
    }

    /// Reads the files of [`Self::final_reads`] now.
    ///
    /// # Errors
    /// A file that exists cannot be read.
    pub fn final_usage(&self) -> Result<FinalUsage, CgroupError> {
        let mut contents = Vec::new();
        for read in self.final_reads() {
            if let Some(text) = crate::usage::read_if_present(&read.path)? {
                contents.push((read.key, text));
            }
        }
        Ok(FinalUsage::parse(
            contents.iter().map(|(key, text)| (*key, text.as_str())),
        ))
    }
}

impl FinalUsage {
    /// Understands what was read by [`FinalRead`]s, given as key and content. What is not
    /// understood counts as not read.
    #[must_use]
    pub fn parse<'t>(contents: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let mut usage = Self::default();
        for (key, text) in contents {
            match key {
                "cpuacct.usage" => usage.cpu_ns = parse::number(text),
                "cpu.stat" => {
                    usage.cpu_ns =
                        parse::keyed(text, "usage_usec").map(|us| us.saturating_mul(1000));
                }
                "memory.oom_control" | "memory.events" => {
                    usage.oom_kills = parse::keyed(text, "oom_kill");
                }
                "memory.max_usage_in_bytes" | "memory.peak" => {
                    usage.memory_peak = parse::number(text).map(Bytes);
                }
                "io.stat" => usage.io = Some(parse::v2_io(text)),
                crate::usage::V1_IO_FILE => usage.io = Some(parse::v1_io(text)),
                _ => {}
            }
        }
        usage
    }
}
