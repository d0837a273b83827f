//! A directory as a root: names are resolved below it by the kernel, whatever its symbolic links
//! say, and trees in it are removed without following anything.

mod measure;
mod remove;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::unpack::EntryRule;
use crate::unpack::name::PATH_BYTES_MAX;

pub use measure::{TreeSize, measure_tree};
pub(crate) use remove::remove_at;
pub use remove::{RemoveTreeError, remove_tree};

/// Symbolic links followed for one name, as many as the kernel follows.
const LINKS_MAX: u32 = 40;
/// Attempts of a lookup that the kernel wants repeated.
const LOOKUPS_MAX: u32 = 8;
/// What a directory gets that no entry describes.
pub(crate) const IMPLICIT_MODE: u32 = 0o755;

/// An open directory that names are resolved below.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
}

/// Why a name's directory cannot be reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParentError {
    Rule(EntryRule),
    Errno(Errno),
}

/// A directory that the way to a name needed.
pub(crate) struct Made {
    /// Where, through whatever links led there.
    pub(crate) path: Vec<u8>,
    /// It took a whiteout's place.
    pub(crate) was_whiteout: bool,
}

impl Tree {
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// The directory at `path`, open for reading; links on the way stay below the root.
    pub(crate) fn open_directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.lookup(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// The directory that an existing name lies in.
    pub(crate) fn parent(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.lookup(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// A file at `path`, links followed below the root. A fifo is opened without waiting.
    pub(crate) fn open_file(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.lookup(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// The directory that a new name lies in, made with all that leads to it where it is missing.
    pub(crate) fn parent_made(&self, path: &[u8]) -> Result<(OwnedFd, Vec<Made>), ParentError> {
        match self.parent(path) {
            Ok(parent) => return Ok((parent, Vec::new())),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut way = Way::new(path);
        let mut made = Vec::new();
        while let Some(component) = way.ahead.pop() {
            let next = way.next(&component)?;
            match self.parent(&next) {
                Ok(_) => way.behind = next,
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    let parent = self.parent(&way.behind)?;
                    self.make_or_follow(parent.as_fd(), &component, &mut way, &mut made)?;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok((self.parent(&way.behind)?, made))
    }

    fn make_or_follow(
        &self,
        parent: BorrowedFd<'_>,
        component: &[u8],
        way: &mut Way,
        made: &mut Vec<Made>,
    ) -> Result<(), ParentError> {
        let was_whiteout = match stat(parent, component)? {
            None => false,
            Some(found) if is_whiteout(&found) => {
                rustix::fs::unlinkat(parent, component, AtFlags::empty())?;
                true
            }
            Some(found) if kind(&found) == FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, component, Vec::new())?;
                return way.follow(target.as_bytes());
            }
            Some(_) => return Err(ParentError::Rule(EntryRule::ParentNotADirectory)),
        };
        rustix::fs::mkdirat(parent, component, Mode::from_raw_mode(IMPLICIT_MODE))?;
        way.behind = way.next(component)?;
        made.push(Made {
            path: way.behind.clone(),
            was_whiteout,
        });
        Ok(())
    }

    fn lookup(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let flags = flags | OFlags::CLOEXEC;
        let mut attempts = 0;
        loop {
            let found = rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve);
            attempts += 1;
            match found {
                // A rename elsewhere on the machine raced with a `..` of this lookup.
                Err(Errno::AGAIN) if attempts < LOOKUPS_MAX => {}
                found => return found,
            }
        }
    }
}

/// A walk from the root along components, with links put in their place.
struct Way {
    /// What exists, as a path that may still hold links and `..`.
    behind: Vec<u8>,
    /// The components to come, the next one last.
    ahead: Vec<Vec<u8>>,
    links: u32,
}

impl Way {
    fn new(path: &[u8]) -> Self {
        Self {
            behind: Vec::new(),
            ahead: components(path),
            links: 0,
        }
    }

    fn next(&self, component: &[u8]) -> Result<Vec<u8>, ParentError> {
        let mut next = self.behind.clone();
        if !next.is_empty() {
            next.push(b'/');
        }
        next.extend_from_slice(component);
        if next.len() > PATH_BYTES_MAX {
            return Err(ParentError::Rule(EntryRule::LinkLoop));
        }
        Ok(next)
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), ParentError> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(ParentError::Rule(EntryRule::LinkLoop));
        }
        if target.starts_with(b"/") {
            self.behind.clear();
        }
        self.ahead.extend(components(target));
        Ok(())
    }
}

/// The components of a path, the first one last.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."));
    parts.rev().map(<[u8]>::to_vec).collect()
}

impl From<Errno> for ParentError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::LOOP => Self::Rule(EntryRule::LinkLoop),
            Errno::NAMETOOLONG => Self::Rule(EntryRule::LinkLoop),
            Errno::NOTDIR => Self::Rule(EntryRule::ParentNotADirectory),
            errno => Self::Errno(errno),
        }
    }
}

/// What stands at `name`, links not followed; `None` where nothing does.
pub(crate) fn stat(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The type of what was found.
pub(crate) fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

/// Whether overlayfs takes it as a whiteout.
pub(crate) fn is_whiteout(found: &Stat) -> bool {
    kind(found) == FileType::CharacterDevice && found.st_rdev == 0
}

#[cfg(test)]
mod tests;
