//! Trees to be mounted, taken from places that a container may have filled with links.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Uid, fchown};

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

/// Makes the directory `path` in the root file system at `root`, with those above it, unless it is
/// there. Links lead nowhere outside.
#[cfg(feature = "launcher")]
pub(crate) fn make_dirs(root: &Path, path: &Path) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root: OwnedFd = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(root)?
        .into();
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let mut above = root.try_clone()?;
    let mut whole = std::path::PathBuf::new();
    for component in path.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        whole.push(name);
        above = match openat2(&root, &whole, how) {
            Err(Errno::ENOENT) => make_beneath(&above, Path::new(name))?,
            other => other?,
        };
    }
    Ok(())
}

/// A link to a directory inside the volume is followed from where it is, so it is bound to the
/// directory that holds it.
fn beneath(dir: &OwnedFd, name: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(dir, name, how)
}

/// A missing directory is made, its owner and mode those of the directory it is in: who may write
/// to a volume may write to each part of it.
fn make_beneath(dir: &OwnedFd, name: &Path) -> io::Result<OwnedFd> {
    let parent = fstat(dir)?;
    match mkdirat(dir, name, Mode::from_bits_truncate(0o700)) {
        Err(Errno::EEXIST) => return Ok(beneath(dir, name)?),
        made => made?,
    }
    // By descriptor: what has the name now may be a link that a container has put there.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let made = openat2(dir, name, how)?;
    let (uid, gid) = (Uid::from_raw(parent.st_uid), Gid::from_raw(parent.st_gid));
    fchown(&made, Some(uid), Some(gid))?;
    fchmod(&made, Mode::from_bits_truncate(parent.st_mode & 0o7777))?;
    Ok(made)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

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
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode();
        assert_eq!(mode(&volume.path().join("in")), mode(volume.path()));
        let escape = open_tree(volume.path(), Some(Path::new("a/../../b"))).unwrap_err();
        assert_eq!(escape.kind(), io::ErrorKind::InvalidInput);
    }

    #[cfg(feature = "launcher")]
    #[test]
    fn directories_are_made_inside_the_root() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("out")).unwrap();
        make_dirs(root.path(), Path::new("/in/one/two")).unwrap();
        assert!(root.path().join("in/one/two").is_dir());
        assert!(make_dirs(root.path(), Path::new("/out/of/it")).is_err());
        assert!(!Path::new("/etc/of").exists());
    }
}
