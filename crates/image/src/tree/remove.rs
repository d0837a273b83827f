//! Removal of a whole tree by descriptors: no link is followed, no file system boundary crossed,
//! and neither depth nor width costs stack, descriptors or memory without bound.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use burstlet_model::ErrorKind;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

/// Names of directories that wait to be removed, over all levels.
const WAITING_MAX: usize = 16 << 10;
/// Of these, in one level.
const WAITING_PER_LEVEL_MAX: usize = 1 << 10;
/// What one read of a directory takes.
const LISTING_BYTES: usize = 32 << 10;

/// Why a tree is still there, in part.
#[derive(Debug, thiserror::Error)]
#[error("remove the tree {path}")]
pub struct RemoveTreeError {
    path: PathBuf,
    source: io::Error,
}

impl RemoveTreeError {
    /// What class of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// Removes `path` with all that is below it, whoever made that: links are removed and not
/// followed, and a mount below `path` is an error. Nothing at `path` is success.
///
/// This blocks for as long as the tree is large.
///
/// # Errors
/// The directory of `path` cannot be opened, or something in it cannot be removed.
pub fn remove_tree(path: &Path) -> Result<(), RemoveTreeError> {
    let failed = |errno: Errno| RemoveTreeError {
        path: path.to_owned(),
        source: errno.into(),
    };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(Errno::INVAL));
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, parent, flags, Mode::empty()) {
        Ok(parent) => remove_at(parent.as_fd(), name.as_bytes(), &mut |_| {}).map_err(failed),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// Removes what is called `name` in `parent`, with all that is in it. Nothing there is success.
/// `gone` is told the inode number of each directory that was removed: from then on the file
/// system may give the number to another.
pub(crate) fn remove_at(
    parent: BorrowedFd<'_>,
    name: &[u8],
    gone: &mut impl FnMut(u64),
) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let directory = match open(parent, name) {
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(Errno::PERM),
        opened => opened?,
    };
    let found = rustix::fs::fstat(&directory)?;
    if found.st_dev != rustix::fs::fstat(parent)?.st_dev {
        return Err(Errno::XDEV);
    }
    remove_children(directory, gone)?;
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    gone(found.st_ino);
    Ok(())
}

/// A directory on the way down.
pub(super) struct Level {
    /// Its name in the level above; nobody needs the top's.
    name: Vec<u8>,
    pub(super) identity: Stat,
    /// Directories in it whose turn is still to come.
    pub(super) waiting: Vec<Vec<u8>>,
}

/// Removes all that is in `top`. Only the descriptor of the level at work is open; the way up is
/// `..`, checked to be where we came from.
fn remove_children(top: OwnedFd, gone: &mut impl FnMut(u64)) -> Result<(), Errno> {
    let mut levels = vec![Level::new(&top, Vec::new())?];
    let mut waiting = 0;
    let mut current = top;
    loop {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else {
            return Ok(());
        };
        if level.waiting.is_empty() {
            let room = WAITING_MAX
                .saturating_sub(waiting)
                .clamp(1, WAITING_PER_LEVEL_MAX);
            level.waiting = sweep(&current, room, gone)?;
            waiting += level.waiting.len();
        }
        if let Some(name) = level.waiting.pop() {
            waiting -= 1;
            let below = open(current.as_fd(), &name)?;
            let below_level = Level::new(&below, name)?;
            if below_level.identity.st_dev != level.identity.st_dev {
                return Err(Errno::XDEV);
            }
            levels.push(below_level);
            current = below;
            continue;
        }
        if depth == 1 {
            return Ok(());
        }
        let Some(done) = levels.pop() else {
            return Ok(());
        };
        let above = open(current.as_fd(), b"..")?;
        if !levels.last().is_some_and(|level| level.is(&above)) {
            return Err(Errno::STALE);
        }
        rustix::fs::unlinkat(&above, done.name.as_slice(), AtFlags::REMOVEDIR)?;
        gone(done.identity.st_ino);
        current = above;
    }
}

impl Level {
    pub(super) fn new(directory: &OwnedFd, name: Vec<u8>) -> Result<Self, Errno> {
        Ok(Self {
            name,
            identity: rustix::fs::fstat(directory)?,
            waiting: Vec::new(),
        })
    }

    pub(super) fn is(&self, directory: &OwnedFd) -> bool {
        rustix::fs::fstat(directory).is_ok_and(|found| {
            (found.st_dev, found.st_ino) == (self.identity.st_dev, self.identity.st_ino)
        })
    }
}

/// Removes what can be removed at once, and names up to `room` directories that are not empty.
/// Naming none means that the directory is empty.
fn sweep(
    directory: &OwnedFd,
    room: usize,
    gone: &mut impl FnMut(u64),
) -> Result<Vec<Vec<u8>>, Errno> {
    let mut full = Vec::new();
    rustix::fs::seek(directory, rustix::fs::SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(LISTING_BYTES);
    let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
    while full.len() < room {
        let Some(entry) = listing.next() else { break };
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let removed = match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => remove_empty(directory.as_fd(), name, gone),
            other => other,
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => full.push(name.to_bytes().to_vec()),
            Err(Errno::NOTDIR) => return Err(Errno::PERM),
            Err(errno) => return Err(errno),
        }
    }
    Ok(full)
}

/// The number is looked up first, and not taken from the listing: on a stacked file system the
/// two differ.
fn remove_empty(
    parent: BorrowedFd<'_>,
    name: &CStr,
    gone: &mut impl FnMut(u64),
) -> Result<(), Errno> {
    let found = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    gone(found.st_ino);
    Ok(())
}

pub(super) fn open(directory: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(directory, name, directory_flags(), Mode::empty())
}

pub(super) fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}
