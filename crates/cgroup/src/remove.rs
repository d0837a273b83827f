//! Removing cgroups.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::handle::self_and_descendants;
use crate::watch::wait_empty;
use crate::{Cgroup, CgroupError};

/// A cgroup can be busy for an instant after its last process has ended.
const RETRY_STEP: Duration = Duration::from_millis(1);

impl Cgroup {
    /// Removes this cgroup and those below it. Waits up to `patience` for processes that are
    /// ending; kills none. What does not exist is removed already.
    ///
    /// # Errors
    /// [`CgroupError::Busy`] if there are processes after `patience`. It is safe to ask again.
    pub fn remove(&self, patience: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + patience;
        for dir in self.directories() {
            self.remove_tree(&dir, deadline)?;
        }
        Ok(())
    }

    /// Removes the directory `dir`, which is of this cgroup, and those below it.
    pub(crate) fn remove_tree(&self, dir: &Path, deadline: Instant) -> Result<(), CgroupError> {
        for dir in self_and_descendants(dir)?.iter().rev() {
            self.remove_directory(dir, deadline)?;
        }
        Ok(())
    }

    fn remove_directory(&self, dir: &Path, deadline: Instant) -> Result<(), CgroupError> {
        loop {
            let Err(source) = std::fs::remove_dir(dir) else {
                return Ok(());
            };
            match source.raw_os_error() {
                Some(nix::libc::ENOENT) => return Ok(()),
                Some(nix::libc::EBUSY) if Instant::now() < deadline => {
                    wait_empty(self, deadline)?;
                    std::thread::sleep(RETRY_STEP);
                }
                Some(nix::libc::EBUSY) => return Err(self.busy(dir, source)),
                _ => {
                    return Err(CgroupError::Remove {
                        path: dir.to_owned(),
                        source,
                    });
                }
            }
        }
    }

    fn busy(&self, dir: &Path, source: io::Error) -> CgroupError {
        match self.processes() {
            Ok(pids) if pids.is_empty() => CgroupError::Remove {
                path: dir.to_owned(),
                source,
            },
            Ok(pids) => CgroupError::Busy {
                path: dir.to_owned(),
                processes: pids.len(),
            },
            Err(error) => error,
        }
    }
}
