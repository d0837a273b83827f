//! One agent on one machine's groups: the directories that are its own, and the lock on them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::config::Config;

/// Makes the agent's directories and takes them for itself.
///
/// # Errors
/// They cannot be made, or another agent has them.
pub(crate) fn lock(config: &Config) -> anyhow::Result<Flock<File>> {
    let groups = config.state_dir.join("groups");
    for dir in [&*config.state_dir, &*config.run_dir, &groups] {
        private_dir(dir).with_context(|| format!("make the directory {}", dir.display()))?;
    }
    // The first record's directory survives a power cut only if the one that holds it does.
    let synced = File::open(&*config.state_dir).and_then(|dir| dir.sync_all());
    synced.with_context(|| format!("sync {}", config.state_dir.display()))?;
    let path = config.state_dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = file.with_context(|| format!("open {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => bail!(
            "another agent uses {}: end it first, or give this one a state_dir of its own",
            config.state_dir.display()
        ),
        Err((_, errno)) => Err(errno).with_context(|| format!("lock {}", path.display())),
    }
}

/// Makes a directory that only root may enter, or makes it so: layers hold other people's setuid
/// programs, and groups their secrets.
fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))
}
