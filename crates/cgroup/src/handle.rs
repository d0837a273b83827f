//! A handle to one cgroup: a group's, a container's or a daemon's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burstlet_model::{BootTime, Bytes, DeviceNumber};

use crate::cgroups::{make_directory, subdirectories};
use crate::{Capabilities, CgroupError, Hierarchy, Limits};

/// How deep below a cgroup its descendants are looked for. Ours are one deep; of the containers only
/// a privileged one can make any, for the others see their cgroup read-only.
const DEPTH_MAX: usize = 8;

/// A cgroup by its name, existing or not. It stands for one directory on v2, and for one in each
/// hierarchy on v1.
#[derive(Clone, Debug)]
pub struct Cgroup {
    pub(crate) hierarchy: Arc<Hierarchy>,
    pub(crate) capabilities: Capabilities,
    path: PathBuf,
}

impl Cgroup {
    pub(crate) const fn new(
        hierarchy: Arc<Hierarchy>,
        capabilities: Capabilities,
        path: PathBuf,
    ) -> Self {
        Self {
            hierarchy,
            capabilities,
            path,
        }
    }

    /// The name below the mount of each hierarchy.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether any part of it exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.directories().any(|dir| dir.is_dir())
    }

    /// Writes all limits anew.
    ///
    /// # Errors
    /// A control file cannot be written; kind `FailedPrecondition` if more is in use than the new
    /// limit allows and it cannot be reclaimed. The limits before it are in force then.
    pub fn set_limits(&self, limits: &Limits) -> Result<(), CgroupError> {
        crate::apply::limits(self, limits)
    }

    /// Writes the processors and the memory of `limits` anew, and nothing else: a list of devices that
    /// is written anew leaves running processes without any for a moment.
    ///
    /// # Errors
    /// As [`Self::set_limits`].
    pub fn resize(&self, limits: &Limits) -> Result<(), CgroupError> {
        crate::apply::amounts(self, limits)
    }

    /// Lets its processes use these devices too, and cgroups below it be given them. What it may use
    /// already it may use all the while.
    ///
    /// # Errors
    /// The parent cgroup may not use one of them, or this host's cgroups list no devices.
    pub fn allow_devices(&self, devices: &[DeviceNumber]) -> Result<(), CgroupError> {
        crate::apply::allow_devices(self, devices)
    }

    /// Writes those of the bounds of processors and memory that are above what is in force.
    ///
    /// # Errors
    /// A control file cannot be read or written.
    pub fn raise(&self, limits: &Limits) -> Result<(), CgroupError> {
        crate::apply::raise(self, limits)
    }

    /// The memory in use that cannot simply be given back, if that is more than `limits` allow.
    ///
    /// # Errors
    /// As [`Self::usage`].
    pub fn memory_beyond(&self, limits: &Limits) -> Result<Option<Bytes>, CgroupError> {
        let Some(limit) = limits.memory_limit else {
            return Ok(None);
        };
        let used = self.usage(BootTime::default())?.memory_working_set;
        Ok((used > limit).then_some(used))
    }

    /// The processes in it and below it, as this process' pid namespace numbers them; those that
    /// it cannot see are left out.
    ///
    /// # Errors
    /// A process list cannot be read. A cgroup that does not exist has no processes.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = Vec::new();
        for dir in self.directories() {
            for dir in self_and_descendants(&dir)? {
                crate::kill::read_pids(&dir, &mut pids)?;
            }
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Makes the cgroup with its limits, or leaves nothing.
    pub(crate) fn make(&self, limits: &Limits) -> Result<(), CgroupError> {
        for (made, dir) in self.directories().enumerate() {
            if let Err(error) = make_directory(&dir) {
                for dir in self.directories().take(made) {
                    let _gone = std::fs::remove_dir(dir);
                }
                return Err(error);
            }
        }
        self.set_limits(limits).inspect_err(|_| self.unmake())
    }

    /// Takes back [`Self::make`]: nobody has seen the cgroup yet, so it is empty.
    pub(crate) fn unmake(&self) {
        for dir in self.directories() {
            let _gone = std::fs::remove_dir(dir);
        }
    }

    pub(crate) fn directories(&self) -> impl Iterator<Item = PathBuf> {
        self.hierarchy.directories(&self.path)
    }
}

/// `dir` and the cgroups below it, parents first.
pub(crate) fn self_and_descendants(dir: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let mut found = Vec::new();
    let mut level = vec![dir.to_owned()];
    for _ in 0..DEPTH_MAX {
        let mut below = Vec::new();
        for dir in &level {
            below.extend(subdirectories(dir)?.into_iter().map(|name| dir.join(name)));
        }
        found.append(&mut level);
        level = below;
    }
    Ok(found)
}
