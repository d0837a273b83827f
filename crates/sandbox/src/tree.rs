//! Trees to be mounted, taken from places that a container may have filled with links.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{Gid, Uid, fchownat};

use crate::sys::mounts;

/// A detached copy of the mount at `root`, or of a path below it that is resolved without ever
/// leaving it, whatever links somebody puts there. Directories that are missing are made.
pub(crate) fn open_tree(root: &Path, sub_path: Option<&Path>) -> io::Result<OwnedFd> {
    let or_make = |dir: &OwnedFd, name: &Path| match beneath(dir, name) {
        Err(Errno::ENOENT) => make_beneath(dir, name),
        other => Ok(other?),
    };
    open_tree_by(root, sub_path, or_make)
}

/// As [`open_tree`], but nothing is made: what `sub_path` names must be there.
#[cfg(feature = "launcher")]
pub(crate) fn open_existing_tree(root: &Path, sub_path: Option<&Path>) -> io::Result<OwnedFd> {
    open_tree_by(root, sub_path, |dir, name| Ok(beneath(dir, name)?))
}

fn open_tree_by(
    root: &Path,
    sub_path: Option<&Path>,
    step: impl Fn(&OwnedFd, &Path) -> io::Result<OwnedFd>,
) -> io::Result<OwnedFd> {
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
        dir = step(&dir, Path::new(name))?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs::File;

    use super::*;

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
