//! Gives what is on a volume to a pod's `fsGroup`: the group owns it, may do what the owner may, and
//! owns what is made there later.
//!
//! The root of the volume is given last, so that it says whether all of it is: what an agent did not
//! come to the end of, the next one goes on with. Links are given as links, never followed.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, chownat, fchmod, fchown, fstat, openat,
    statat,
};
use rustix::io::Errno;

/// What the group may do with a file, and with a directory.
const FILE_MODE: u32 = 0o060;
const DIRECTORY_MODE: u32 = 0o2070;
/// The bits of a mode that are kept: a change of the owner takes away what lets a file run as its
/// owner, and is meant to.
const KEPT_MODE: u32 = 0o1777;
/// Directories within directories; deeper ones are refused.
const DEPTH_MAX: u32 = 128;

/// Gives the tree at `root` to `gid`; if not `always`, only where its root does not say that it is
/// given. A file that is a volume by itself is left alone. Blocks.
pub(super) fn give(root: &Path, gid: u32, always: bool) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = match openat(CWD, root, flags, Mode::empty()) {
        Err(Errno::NOTDIR) => return Ok(()),
        opened => opened?,
    };
    let stat = fstat(&dir)?;
    let is_given = stat.st_gid == gid && stat.st_mode & DIRECTORY_MODE == DIRECTORY_MODE;
    if is_given && !always {
        return Ok(());
    }
    give_directory(&dir, &stat, gid, DEPTH_MAX)
}

fn give_directory(dir: &OwnedFd, stat: &Stat, gid: u32, depth: u32) -> io::Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        let text = format!("more than {DEPTH_MAX} directories within each other");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            give_entry(dir, name, gid, depth)?;
        }
    }
    give_open(dir, stat, gid, DIRECTORY_MODE)
}

fn give_entry(dir: &OwnedFd, name: &CStr, gid: u32, depth: u32) -> io::Result<()> {
    match try_to_give(dir, name, gid, depth) {
        // Another pod of the claim may write to it meanwhile: it is gone, or a link now.
        Err(error) if is_changed(&error) => Ok(()),
        given => given,
    }
}

fn is_changed(error: &io::Error) -> bool {
    let changed = [Errno::NOENT, Errno::LOOP, Errno::NOTDIR];
    Errno::from_io_error(error).is_some_and(|errno| changed.contains(&errno))
}

fn try_to_give(dir: &OwnedFd, name: &CStr, gid: u32, depth: u32) -> io::Result<()> {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    // What is no file by now must not be waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let child = openat(dir, name, flags | OFlags::DIRECTORY, Mode::empty())?;
            let stat = fstat(&child)?;
            give_directory(&child, &stat, gid, depth)
        }
        FileType::RegularFile => {
            let file = openat(dir, name, flags, Mode::empty())?;
            let stat = fstat(&file)?;
            give_open(&file, &stat, gid, FILE_MODE)
        }
        _ => {
            let gid = Some(Gid::from_raw(gid));
            Ok(chownat(dir, name, None, gid, AtFlags::SYMLINK_NOFOLLOW)?)
        }
    }
}

fn give_open(what: impl AsFd, stat: &Stat, gid: u32, mode: u32) -> io::Result<()> {
    let wanted = (stat.st_mode & KEPT_MODE) | mode;
    if stat.st_gid == gid && stat.st_mode & 0o7777 == wanted {
        return Ok(());
    }
    fchown(&what, None, Some(Gid::from_raw(gid)))?;
    Ok(fchmod(&what, Mode::from_raw_mode(wanted))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    /// A group that whoever runs the test may give files to.
    fn own_group() -> u32 {
        nix::unistd::getegid().as_raw()
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn private(path: &Path) {
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn a_tree_is_given_as_often_as_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("volume");
        fs::create_dir_all(root.join("a/b")).unwrap();
        let file = root.join("a/b/file");
        fs::write(&file, "x").unwrap();
        private(&file);
        give(&root, own_group(), false).unwrap();
        assert_eq!(mode(&file), 0o660);
        assert_eq!(mode(&root.join("a/b")) & DIRECTORY_MODE, DIRECTORY_MODE);
        assert_eq!(mode(&root) & DIRECTORY_MODE, DIRECTORY_MODE);
        private(&file);
        give(&root, own_group(), false).unwrap();
        assert_eq!(mode(&file), 0o600, "what is given is left alone");
        give(&root, own_group(), true).unwrap();
        assert_eq!(mode(&file), 0o660);
    }

    #[test]
    fn nothing_beyond_the_tree_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("volume");
        fs::create_dir(&root).unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "x").unwrap();
        private(&outside);
        symlink(&outside, root.join("link")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        give(&root, own_group(), true).unwrap();
        assert_eq!(mode(&outside), 0o600, "a link was followed");
    }

    #[test]
    fn a_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        private(&file);
        give(&file, own_group(), true).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().to_owned();
        for _ in 0..DEPTH_MAX {
            path.push("d");
        }
        fs::create_dir_all(&path).unwrap();
        let error = give(dir.path(), own_group(), true).unwrap_err();
        assert!(error.to_string().contains("within each other"), "{error}");
        give(&dir.path().join("d"), own_group(), true).unwrap();
    }
}
