//! Many groups' cgroups with a process in each, and no trace of them afterwards.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use burstlet_cgroup::{CgroupRoot, Cgroups, Devices, Hierarchy, JoinPaths, Limits};
use burstlet_model::{Bytes, GroupUid, MilliCpu};

use crate::history;

/// How long the kernel may take to free a cgroup whose process has ended.
const PATIENCE: Duration = Duration::from_secs(10);
/// A shell has one thread, so that it can put itself into cgroups of v1 without waiting.
const JOIN: &str = "for file; do echo 0 >\"$file\" || exit 1; done; exec sleep 3600";

/// Groups that stand around.
pub(crate) struct Crowd {
    cgroups: Cgroups,
    uids: Vec<GroupUid>,
    sleepers: Vec<Child>,
    gone: bool,
}

impl Crowd {
    pub(crate) fn gather(count: usize) -> Result<Self> {
        let hierarchy = Hierarchy::detect().context("find the cgroup hierarchies")?;
        let root = CgroupRoot::new(format!("bench-{}", std::process::id()));
        let cgroups = Cgroups::open(hierarchy, root.context("name the cgroups")?);
        let mut crowd = Self {
            cgroups: cgroups.context("make the cgroups' root")?,
            uids: Vec::with_capacity(count),
            sleepers: Vec::with_capacity(count),
            gone: false,
        };
        for number in 0..count {
            crowd.join(&history::uid(number)?)?;
        }
        Ok(crowd)
    }

    pub(crate) const fn cgroups(&self) -> &Cgroups {
        &self.cgroups
    }

    pub(crate) fn uids(&self) -> &[GroupUid] {
        &self.uids
    }

    /// Ends the processes and removes the cgroups.
    pub(crate) fn disperse(mut self) -> Result<()> {
        self.clear()
    }

    fn join(&mut self, uid: &GroupUid) -> Result<()> {
        let limits = Limits {
            cpu_request: MilliCpu(10),
            cpu_limit: None,
            memory_limit: Some(Bytes(64 << 20)),
            pids_limit: 16,
            oom_group: false,
            devices: Devices::Listed(Vec::new()),
        };
        // What is made in part is removed with the rest.
        self.uids.push(uid.clone());
        let made = self.cgroups.create_group(uid, &limits);
        made.with_context(|| format!("make the cgroup of {uid}"))?;
        let sleeper = Command::new("sh")
            .args(["-c", JOIN, "sh"])
            .args(files(self.cgroups.keeper(uid).join_paths()))
            .stdin(Stdio::null())
            .spawn();
        self.sleepers.push(sleeper.context("start a process")?);
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.gone, true) {
            return Ok(());
        }
        let ended: io::Result<()> = self.sleepers.iter_mut().try_for_each(|sleeper| {
            sleeper.kill()?;
            sleeper.wait().map(drop)
        });
        for uid in &self.uids {
            let removed = self.cgroups.group(uid).remove(PATIENCE);
            removed.with_context(|| format!("remove the cgroup of {uid}"))?;
        }
        let removed = self.cgroups.remove_root(PATIENCE);
        removed.context("remove the cgroups' root")?;
        ended.context("end the processes")
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        if let Err(fault) = self.clear() {
            eprintln!("bench: {fault:#}");
        }
    }
}

/// The files that a process writes `0` to in order to be in a cgroup.
fn files(join: JoinPaths) -> Vec<PathBuf> {
    match join {
        JoinPaths::V1 { tasks } => tasks,
        JoinPaths::V2 { directory } => vec![directory.join("cgroup.procs")],
    }
}
