//! Which device a node is, as the kernel says of an open one: what was looked at is what is used.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use burstlet_model::{DeviceKind, DeviceNumber};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{fstat, major, minor};

/// The device that an open node is; nothing if it is something else.
///
/// # Errors
/// The kernel does not tell.
pub fn number(node: BorrowedFd<'_>) -> io::Result<Option<DeviceNumber>> {
    let stat = fstat(node)?;
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFCHR => DeviceKind::Char,
        libc::S_IFBLK => DeviceKind::Block,
        _ => return Ok(None),
    };
    let part = |number: u64| u32::try_from(number).map_err(io::Error::other);
    Ok(Some(DeviceNumber {
        kind,
        major: part(major(stat.st_rdev))?,
        minor: part(minor(stat.st_rdev))?,
    }))
}

/// Those of `paths` below the directory `root` that are devices. None of them is reached by a link,
/// which the owner of the directory could have put there.
pub(crate) fn below<'p>(
    root: &Path,
    paths: impl Iterator<Item = &'p PathBuf>,
) -> io::Result<BTreeMap<PathBuf, DeviceNumber>> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root: OwnedFd = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(root)?
        .into();
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let mut found = BTreeMap::new();
    for path in paths {
        let node = match openat2(&root, path, how) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
            opened => opened?,
        };
        if let Some(number) = number(node.as_fd())? {
            found.insert(path.clone(), number);
        }
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn devices_are_told_from_what_is_none() {
        let of = |path: &str| number(std::fs::File::open(path).unwrap().as_fd()).unwrap();
        assert_eq!(of("/dev/null"), Some("c 1:3".parse().unwrap()));
        assert_eq!(of("/dev/zero"), Some("c 1:5".parse().unwrap()));
        assert_eq!(of("/dev"), None);
        assert_eq!(of("/proc/self/stat"), None);
    }

    #[test]
    fn no_link_leads_to_a_device() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        symlink("/dev/null", dir.path().join("link")).unwrap();
        symlink("/dev", dir.path().join("dev")).unwrap();
        let paths = ["/file", "/link", "/dev/null", "/file/x", "/none"].map(PathBuf::from);
        assert_eq!(below(dir.path(), paths.iter()).unwrap(), BTreeMap::new());
        let devices = ["/null", "/pts/none"].map(PathBuf::from);
        let found = below(Path::new("/dev"), devices.iter()).unwrap();
        assert_eq!(found, [("/null".into(), "c 1:3".parse().unwrap())].into());
    }
}
