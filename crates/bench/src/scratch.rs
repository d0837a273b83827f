//! A place of our own, and no trace of it afterwards: mounts are made in a mount namespace that
//! ends with the run.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tokio::runtime::Runtime;

/// The kernel's list of controllers that cgroup v2 has, where both versions are mounted.
const HYBRID_CONTROLLERS: &str = "/sys/fs/cgroup/unified/cgroup.controllers";

/// A directory that goes with the run.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// Makes it on a disk, where images are in real life.
    pub(crate) fn new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("burstlet-bench-")
            .tempdir_in("/var/tmp")
            .context("make a directory in /var/tmp")?;
        let scratch = Self { dir };
        scratch.take_controllers_from_v2()?;
        Ok(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A directory in it.
    pub(crate) fn dir(&self, name: &str) -> Result<std::path::PathBuf> {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// crun does not work on a host where v2 has some controllers and v1 the others. Mounting
    /// those of v2 as v1 takes them away from v2.
    fn take_controllers_from_v2(&self) -> Result<()> {
        let controllers = std::fs::read_to_string(HYBRID_CONTROLLERS).unwrap_or_default();
        for controller in controllers.split_whitespace() {
            let at = self.dir(&format!("cgroup-{controller}"))?;
            let flags = MsFlags::empty();
            mount(Some("none"), &at, Some("cgroup"), flags, Some(controller))
                .with_context(|| format!("mount the cgroup controller {controller}"))?;
        }
        Ok(())
    }
}

/// What measuring groups begins with: a mount namespace of our own, a place in it, and what runs the
/// API's calls.
pub(crate) fn begin(rounds: u32) -> Result<(Scratch, Runtime)> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "namespaces and cgroups need root: run it by sudo"
    );
    ensure!(rounds > 0, "--rounds must be at least 1");
    leave_the_hosts_mounts()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    Ok((Scratch::new()?, runtime))
}

/// Gives this process a mount namespace of its own.
fn leave_the_hosts_mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("make a mount namespace")?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("keep mounts to ourselves")
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let controllers = std::fs::read_dir(self.path())
            .into_iter()
            .flatten()
            .flatten();
        for entry in controllers {
            if entry.file_name().to_string_lossy().starts_with("cgroup-") {
                // It goes with the mount namespace at the latest.
                let _ = nix::mount::umount2(&entry.path(), nix::mount::MntFlags::MNT_DETACH);
            }
        }
    }
}
