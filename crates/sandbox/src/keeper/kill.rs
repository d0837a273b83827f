//! Killing processes that are no children of ours, where the end of a container's first process does
//! not end the others.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

use super::state::Container;
use crate::sys::process::{kill_held, open_pid};

/// How often the list of a container's processes is read to kill them all.
const KILL_ROUNDS_MAX: usize = 16;
/// The most bytes of that list that are read at once.
const PROCS_BYTES_MAX: usize = 256 * 1024;
/// Processes that are held at the same time.
const PIDFDS_MAX: usize = 64;

impl Container {
    /// Kills what is left. New ones may appear while the list is read, so it is read again until it
    /// is empty.
    pub(super) fn kill_rest(&self) {
        let Some(procs) = &self.procs else { return };
        for _ in 0..KILL_ROUNDS_MAX {
            let pids = listed(procs);
            if pids.is_empty() {
                return;
            }
            for pids in pids.chunks(PIDFDS_MAX) {
                kill_listed(procs, pids);
            }
        }
    }
}

/// The processes of a cgroup, by its list.
fn listed(procs: &File) -> Vec<i32> {
    let mut list = vec![0_u8; PROCS_BYTES_MAX];
    let len = procs.read_at(&mut list, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(list.get(..len).unwrap_or_default());
    let pids = text.lines().filter_map(|line| line.parse().ok());
    pids.filter(|pid| *pid > 1).collect()
}

/// Kills processes that were listed. They are no children of ours: by now a number may be that of
/// somebody else's process. So each is held first, and killed only if the list has it still.
fn kill_listed(procs: &File, pids: &[i32]) {
    let hold = |pid: &i32| Some((*pid, open_pid(Pid::from_raw(*pid)).ok()?));
    let held: Vec<(i32, OwnedFd)> = pids.iter().filter_map(hold).collect();
    let still = listed(procs);
    for (_, process) in held.iter().filter(|(pid, _)| still.contains(pid)) {
        // It fails only for a process that has ended.
        let _ended = kill_held(process);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Write;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};

    use nix::sys::signal::{Signal, kill};

    use super::*;

    /// A process that ends only if it is killed.
    fn sleeper() -> Child {
        Command::new("sleep").arg("infinity").spawn().unwrap()
    }

    fn pid(child: &Child) -> i32 {
        child.id().cast_signed()
    }

    /// A list as a cgroup has it.
    fn list(children: &[&Child]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        for child in children {
            writeln!(file, "{}", pid(child)).unwrap();
        }
        file
    }

    #[test]
    fn a_number_that_went_to_another_process_is_not_killed() {
        let (mut ours, mut anothers) = (sleeper(), sleeper());
        // Both numbers were read; by the time of the signal the second is no longer of the cgroup.
        kill_listed(&list(&[&ours]), &[pid(&ours), pid(&anothers)]);
        assert_eq!(ours.wait().unwrap().signal(), Some(9));
        // It would have ended by the first kill, and not by this.
        kill(Pid::from_raw(pid(&anothers)), Signal::SIGTERM).unwrap();
        assert_eq!(anothers.wait().unwrap().signal(), Some(15));
    }

    #[test]
    fn a_list_names_processes_and_nothing_else() {
        let mut file = tempfile::tempfile().unwrap();
        write!(file, "0\n1\n-1\nword\n4194304\n2\n").unwrap();
        assert_eq!(listed(&file), [4_194_304, 2]);
    }
}
