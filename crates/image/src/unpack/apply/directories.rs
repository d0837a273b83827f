//! Directories to come back to when everything else is in place.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use super::metadata::times;
use crate::tree::Tree;
use crate::unpack::fault::{LayerFault, Limit};
use crate::unpack::limits::OPAQUE_DIRECTORIES_MAX;
use crate::unpack::protocol::{HexPath, OPAQUE_BYTES_MAX};
use crate::unpack::tar::Timestamp;

/// Directories whose times are set last, since whatever is made in them changes these, and those
/// that hide the layers below.
#[derive(Default)]
pub(super) struct Directories {
    timed: Vec<Directory>,
    opaque: Vec<Directory>,
    opaque_bytes: usize,
    /// How often a directory with this inode number was removed; those listed have a row.
    removals: HashMap<u64, u32>,
}

/// By the end, a later entry may have made the path mean another directory; so it is known by its
/// inode as well, and, since a file system uses the number of a removed one again, by how often
/// that was removed before.
struct Directory {
    path: Vec<u8>,
    inode: u64,
    removals: u32,
    mtime: Timestamp,
}

impl Directories {
    /// Sets this directory's time at the end; the last word on a directory counts.
    pub(super) fn time(
        &mut self,
        path: &[u8],
        directory: &OwnedFd,
        mtime: Timestamp,
    ) -> Result<(), LayerFault> {
        let directory = self.known(path, directory, mtime)?;
        self.timed.push(directory);
        Ok(())
    }

    /// Lists this directory as one that hides those of the layers below.
    pub(super) fn hide_below(
        &mut self,
        path: &[u8],
        directory: &OwnedFd,
    ) -> Result<(), LayerFault> {
        self.opaque_bytes += path.len();
        let too_many = self.opaque.len() as u64 >= OPAQUE_DIRECTORIES_MAX;
        if too_many || self.opaque_bytes > OPAQUE_BYTES_MAX {
            return Err(LayerFault::TooLarge {
                limit: Limit::OpaqueDirectories,
                max: OPAQUE_DIRECTORIES_MAX,
            });
        }
        let directory = self.known(path, directory, Timestamp::default())?;
        self.opaque.push(directory);
        Ok(())
    }

    /// A directory with this inode number is no more; another may get the number.
    pub(super) fn removed(&mut self, inode: u64) {
        if let Some(removals) = self.removals.get_mut(&inode) {
            *removals = removals.saturating_add(1);
        }
    }

    /// Sets the times and names the opaque directories.
    pub(super) fn finish(self, tree: &Tree) -> Result<Vec<HexPath>, LayerFault> {
        for directory in &self.timed {
            if let Some(open) = self.still_there(directory, tree) {
                rustix::fs::futimens(&open, &times(directory.mtime)).map_err(|errno| {
                    LayerFault::store(&directory.path, "set the directory's time", errno)
                })?;
            }
        }
        let opaque = self.opaque.iter();
        let still_there = opaque.filter(|it| self.still_there(it, tree).is_some());
        Ok(still_there.map(|it| HexPath(it.path.clone())).collect())
    }

    fn known(
        &mut self,
        path: &[u8],
        directory: &OwnedFd,
        mtime: Timestamp,
    ) -> Result<Directory, LayerFault> {
        let found = rustix::fs::fstat(directory)
            .map_err(|errno| LayerFault::store(path, "look at the directory", errno))?;
        Ok(Directory {
            path: path.to_vec(),
            inode: found.st_ino,
            removals: *self.removals.entry(found.st_ino).or_default(),
            mtime,
        })
    }

    fn still_there(&self, directory: &Directory, tree: &Tree) -> Option<OwnedFd> {
        let removals = self.removals.get(&directory.inode).copied();
        if removals != Some(directory.removals) {
            return None;
        }
        let open = tree.open_directory(&directory.path).ok()?;
        let found = rustix::fs::fstat(&open).ok()?;
        (found.st_ino == directory.inode).then_some(open)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use rustix::fs::{CWD, Mode, OFlags};

    use super::*;

    /// A file system may give the number of a removed directory to the next one, or not; here it
    /// is the same directory, so the number is the same for certain.
    #[test]
    fn a_number_given_again_is_another_directory() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("d")).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let tree = Tree::new(rustix::fs::openat(CWD, root.path(), flags, Mode::empty()).unwrap());
        let open = tree.open_directory(b"d").unwrap();
        let inode = rustix::fs::fstat(&open).unwrap().st_ino;

        let mut directories = Directories::default();
        directories.hide_below(b"d", &open).unwrap();
        directories.removed(inode + 1);
        assert_eq!(directories.finish(&tree).unwrap().len(), 1);

        let mut directories = Directories::default();
        directories.hide_below(b"d", &open).unwrap();
        directories.removed(inode);
        assert!(directories.finish(&tree).unwrap().is_empty());

        let mut directories = Directories::default();
        directories.hide_below(b"d", &open).unwrap();
        directories.removed(inode);
        directories.hide_below(b"d", &open).unwrap();
        assert_eq!(directories.finish(&tree).unwrap().len(), 1);
    }
}
