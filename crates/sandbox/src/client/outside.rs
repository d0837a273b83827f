//! Turning what a plan names outside the launcher's reach into descriptors.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{Gid, Uid, fchownat};

use super::ClientError;
use crate::plan::{CgroupEntry, ContainerPlan, GroupPlan, MountSource, Outside};
use crate::protocol::FDS_MAX;
use crate::sys::{memfile, mounts};

/// The descriptors of one message.
#[derive(Default)]
pub(super) struct Table(Vec<OwnedFd>);

impl Table {
    /// Opens what a group's plan names.
    pub(super) fn group(plan: &mut GroupPlan) -> Result<Vec<OwnedFd>, ClientError> {
        let mut table = Self::default();
        if let Some(entry) = &mut plan.cgroup {
            table.entry(entry)?;
        }
        table.done()
    }

    /// Opens what a container's plan names.
    pub(super) fn container(plan: &mut ContainerPlan) -> Result<Vec<OwnedFd>, ClientError> {
        let mut table = Self::default();
        if let Some(cgroup) = &mut plan.cgroup {
            table.entry(&mut cgroup.entry)?;
            if let Some(procs) = &mut cgroup.procs {
                table.pass(procs, open_read)?;
            }
        }
        for read in &mut plan.final_reads {
            table.pass(&mut read.file, open_read)?;
        }
        if let Some(program) = &mut plan.seccomp {
            table.pass(program, open_read)?;
        }
        for mount in &mut plan.mounts {
            if let MountSource::Tree { root, sub_path, .. } = &mut mount.source {
                let sub_path = sub_path.take();
                table.pass(root, |path| open_tree(path, sub_path.as_deref()))?;
            }
        }
        table.done()
    }

    /// Passes a descriptor that is there already. Gives its position.
    pub(super) fn add(&mut self, fd: OwnedFd) -> u32 {
        self.0.push(fd);
        // The position is below FDS_MAX in every message that is sent.
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// All of them, if one message can carry them.
    pub(super) fn done(self) -> Result<Vec<OwnedFd>, ClientError> {
        let len = self.0.len();
        if len > FDS_MAX {
            Err(ClientError::TooManyOutside(len))
        } else {
            Ok(self.0)
        }
    }

    fn entry(&mut self, entry: &mut CgroupEntry) -> Result<(), ClientError> {
        match entry {
            CgroupEntry::BornIn(dir) => self.pass(dir, open_read),
            CgroupEntry::Tasks(files) => files
                .iter_mut()
                .try_for_each(|file| self.pass(file, |path| Ok(open_write(path)?.into()))),
        }
    }

    fn pass(
        &mut self,
        outside: &mut Outside,
        open: impl FnOnce(&Path) -> io::Result<OwnedFd>,
    ) -> Result<(), ClientError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ClientError::Outside { path, source }
        };
        let fd = match &*outside {
            Outside::Path(path) => open(path).map_err(failed(path))?,
            Outside::Bytes(bytes) => memfile::sealed("burstlet", bytes)
                .map_err(failed(Path::new("an anonymous file")))?,
            Outside::Passed(_) => return Ok(()),
        };
        *outside = Outside::Passed(self.add(fd));
        Ok(())
    }
}

/// Whether opening what a plan names may wait for a slow file system.
pub(super) fn may_block(plan: &ContainerPlan) -> bool {
    plan.mounts
        .iter()
        .any(|mount| matches!(mount.source, MountSource::Tree { .. }))
}

fn open_read(path: &Path) -> io::Result<OwnedFd> {
    File::open(path).map(OwnedFd::from)
}

fn open_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// A detached copy of the mount at `root`, or of a path below it that is resolved without ever
/// leaving it, whatever links somebody puts there.
fn open_tree(root: &Path, sub_path: Option<&Path>) -> io::Result<OwnedFd> {
    let Some(sub_path) = sub_path else {
        return mounts::clone_tree(root);
    };
    let flags = (OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).bits();
    let mut dir: OwnedFd = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(root)?
        .into();
    for component in sub_path.components() {
        let Component::Normal(name) = component else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a path below the volume",
            ));
        };
        let name = Path::new(name);
        dir = match beneath(&dir, name) {
            Err(Errno::ENOENT) => make_beneath(&dir, name)?,
            other => other?,
        };
    }
    mounts::clone_tree_at(dir.as_fd())
}

/// A link to a directory inside the volume is followed from where it is, so it is bound to the
/// directory that holds it.
fn beneath(dir: &OwnedFd, name: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(dir, name, how)
}

/// A missing directory is made, its owner that of the directory it is in.
fn make_beneath(dir: &OwnedFd, name: &Path) -> io::Result<OwnedFd> {
    let parent = fstat(dir)?;
    match mkdirat(dir, name, Mode::from_bits_truncate(0o755)) {
        Err(errno) if errno != Errno::EEXIST => return Err(errno.into()),
        _ => {}
    }
    let (uid, gid) = (Uid::from_raw(parent.st_uid), Gid::from_raw(parent.st_gid));
    fchownat(
        dir,
        name,
        Some(uid),
        Some(gid),
        AtFlags::AT_SYMLINK_NOFOLLOW,
    )?;
    Ok(beneath(dir, name)?)
}

/// Makes the layer that belongs on top of every image's: real directories and files where the
/// runtime mounts, so that no link of an image can be there instead.
///
/// # Errors
/// The file system failed.
pub fn prepare_top_layer(dir: &Path) -> io::Result<()> {
    let make = |path: PathBuf| DirBuilder::new().recursive(true).mode(0o755).create(path);
    for name in ["dev", "proc", "sys", "etc"] {
        make(dir.join(name))?;
    }
    for name in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
        fs::write(dir.join(name), "")?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_opened_and_numbered() {
        let mut entry = CgroupEntry::Tasks(vec![
            Outside::Path("/dev/null".into()),
            Outside::Path("/dev/zero".into()),
        ]);
        let mut table = Table::default();
        table.entry(&mut entry).unwrap();
        assert_eq!(
            entry,
            CgroupEntry::Tasks(vec![Outside::Passed(0), Outside::Passed(1)])
        );
        let mut missing = Outside::Path("/nonexistent".into());
        let error = table.pass(&mut missing, open_read).unwrap_err();
        assert_eq!(error.kind(), burstlet_model::ErrorKind::FailedPrecondition);
        assert_eq!(table.done().unwrap().len(), 2);
    }

    #[test]
    fn a_path_below_a_volume_never_leaves_it() {
        let volume = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", volume.path().join("out")).unwrap();
        let dir: OwnedFd = File::open(volume.path()).unwrap().into();
        assert_eq!(beneath(&dir, Path::new("out")).unwrap_err(), Errno::EXDEV);
        assert_eq!(beneath(&dir, Path::new("..")).unwrap_err(), Errno::EXDEV);
        make_beneath(&dir, Path::new("in")).unwrap();
        assert!(volume.path().join("in").is_dir());
        let escape = open_tree(volume.path(), Some(Path::new("a/../../b"))).unwrap_err();
        assert_eq!(escape.kind(), io::ErrorKind::InvalidInput);
    }
}
