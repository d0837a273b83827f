//! Ending all processes of a cgroup, whatever they do.
//!
//! ```text
//! v2:      cgroup.kill ──────────────► wait until empty ──► done
//! v1, or   ┌► freeze ► SIGKILL each ► thaw ► wait a round ─┬► empty: done
//! old v2:  └───────────────── not empty ◄──────────────────┴► patience ended: Unkillable
//! ```
//!
//! Frozen processes cannot fork, so one round normally is enough; freezing can fail to complete
//! (a process in uninterruptible sleep), and then the next round finds what was forked meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cgroups_rs::FreezerState;
use cgroups_rs::fs::freezer::FreezerController;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::handle::self_and_descendants;
use crate::hierarchy::Controller;
use crate::watch::wait_empty;
use crate::{Cgroup, CgroupError};

/// How long one round may wait for the cgroup to freeze, and for the killed to be gone.
const FREEZE_WAIT_MAX: Duration = Duration::from_millis(100);
const FREEZE_STEP: Duration = Duration::from_millis(1);
const ROUND_WAIT_MAX: Duration = Duration::from_millis(250);
/// How many processes are held by descriptor at once.
const PIDFDS_MAX: usize = 128;
/// The most that is read of one process list: far above any pid limit.
const PROCESS_LIST_BYTES_MAX: u64 = 64 << 20;

impl Cgroup {
    /// Kills every process in this cgroup and below it, and waits until they are gone. A cgroup
    /// that does not exist is empty.
    ///
    /// On v1 a group's keeper lives in the group's cgroup and dies with the rest.
    ///
    /// # Errors
    /// [`CgroupError::Unkillable`] if processes are left after `patience`; it is safe to ask again.
    pub fn kill_all(&self, patience: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + patience;
        loop {
            if self.capabilities.kill_file {
                self.write_kill_file()?;
            } else {
                self.kill_frozen()?;
            }
            let round = Instant::now() + ROUND_WAIT_MAX;
            if wait_empty(self, round.min(deadline))? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(CgroupError::Unkillable {
                    path: self.path().to_owned(),
                    left: self.processes()?.len(),
                    patience,
                });
            }
        }
    }

    /// Lets everything in this cgroup and below it go on that somebody has frozen: on v1 a frozen
    /// process that was killed does not die.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        let freezer = self.hierarchy.directory(Controller::Freezer, self.path());
        match freezer.filter(|dir| dir.is_dir()) {
            Some(dir) => self.thaw_all(&dir),
            None => Ok(()),
        }
    }

    fn write_kill_file(&self) -> Result<(), CgroupError> {
        for dir in self.directories() {
            let path = dir.join("cgroup.kill");
            match std::fs::OpenOptions::new().write(true).open(&path) {
                Ok(mut file) => io::Write::write_all(&mut file, b"1")
                    .or_else(gone_is_fine)
                    .map_err(|e| CgroupError::write(path, "1", e))?,
                Err(error) => gone_is_fine(error).map_err(|e| CgroupError::write(path, "1", e))?,
            }
        }
        Ok(())
    }

    fn kill_frozen(&self) -> Result<(), CgroupError> {
        let freezer = self.hierarchy.directory(Controller::Freezer, self.path());
        let Some(dir) = freezer.filter(|dir| dir.is_dir()) else {
            return self.kill_each();
        };
        freeze(&self.freezer(&dir));
        let killed = self.kill_each();
        // Also after a failure.
        self.thaw_all(&dir)?;
        killed
    }

    /// Also what somebody else froze further down.
    fn thaw_all(&self, dir: &Path) -> Result<(), CgroupError> {
        for dir in self_and_descendants(dir)? {
            let thawed = self.freezer(&dir).thaw();
            if let (Err(error), true) = (thawed, dir.is_dir()) {
                return Err(crate::apply::write_error(&dir, &"THAWED", &error));
            }
        }
        Ok(())
    }

    fn freezer(&self, dir: &Path) -> FreezerController {
        FreezerController::new(dir.to_owned(), PathBuf::new(), self.hierarchy.is_v2())
    }

    /// Sends SIGKILL to each process. A pid that was read may belong to another process by now if
    /// freezing did not complete; so it is first held by descriptor, and killed only if the lists
    /// still show the pid then.
    fn kill_each(&self) -> Result<(), CgroupError> {
        for pids in self.processes()?.chunks(PIDFDS_MAX) {
            let held: Vec<_> = pids
                .iter()
                .filter_map(|pid| Some((pid, Pid::from_raw(*pid)?)))
                .filter_map(|(pid, id)| Some((pid, pidfd_open(id, PidfdFlags::empty()).ok()?)))
                .collect();
            let still_ours = self.processes()?;
            for (pid, pidfd) in held {
                if still_ours.binary_search(pid).is_ok() {
                    // It fails only for a process that has ended.
                    let _ended = pidfd_send_signal(pidfd, Signal::KILL);
                }
            }
        }
        Ok(())
    }
}

/// Asks for the cgroup to freeze and waits a little. That it does not is no error: the round goes
/// on with what it has.
fn freeze(controller: &FreezerController) {
    let deadline = Instant::now() + FREEZE_WAIT_MAX;
    loop {
        // Written each time: a process that was just forked can leave the cgroup half frozen until
        // it is asked again.
        let asked = controller.freeze();
        if asked.is_err() || matches!(controller.state(), Ok(FreezerState::Frozen)) {
            return;
        }
        if Instant::now() >= deadline {
            return;
        }
        std::thread::sleep(FREEZE_STEP);
    }
}

/// Adds the pids listed in the cgroup directory `dir` to `pids`. A process of another pid
/// namespace shows as 0 and is left out.
pub(crate) fn read_pids(dir: &Path, pids: &mut Vec<i32>) -> Result<(), CgroupError> {
    let path = dir.join("cgroup.procs");
    let mut text = String::new();
    let read = File::open(&path)
        .and_then(|file| file.take(PROCESS_LIST_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => {
            pids.extend(
                text.lines()
                    .filter_map(|line| line.parse().ok())
                    .filter(|pid: &i32| *pid > 0),
            );
            Ok(())
        }
        Err(error) => gone_is_fine(error).map_err(|e| CgroupError::read(path, e)),
    }
}

fn gone_is_fine(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(nix::libc::ENOENT | nix::libc::ENODEV) => Ok(()),
        _ => Err(error),
    }
}
