//! Directories to come back to when everything else is in place.

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
}

/// By the end, a later entry may have made the path mean another directory; so it is known by its
/// inode as well.
struct Directory {
    path: Vec<u8>,
    inode: u64,
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
        self.timed.push(Directory::new(path, directory, mtime)?);
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
        self.opaque
            .push(Directory::new(path, directory, Timestamp::default())?);
        Ok(())
    }

    /// Sets the times and names the opaque directories.
    pub(super) fn finish(self, tree: &Tree) -> Result<Vec<HexPath>, LayerFault> {
        for directory in &self.timed {
            if let Some(open) = directory.still_there(tree) {
                rustix::fs::futimens(&open, &times(directory.mtime)).map_err(|errno| {
                    LayerFault::store(&directory.path, "set the directory's time", errno)
                })?;
            }
        }
        let opaque = self
            .opaque
            .into_iter()
            .filter(|it| it.still_there(tree).is_some());
        Ok(opaque.map(|directory| HexPath(directory.path)).collect())
    }
}

impl Directory {
    fn new(path: &[u8], directory: &OwnedFd, mtime: Timestamp) -> Result<Self, LayerFault> {
        let found = rustix::fs::fstat(directory)
            .map_err(|errno| LayerFault::store(path, "look at the directory", errno))?;
        Ok(Self {
            path: path.to_vec(),
            inode: found.st_ino,
            mtime,
        })
    }

    fn still_there(&self, tree: &Tree) -> Option<OwnedFd> {
        let open = tree.open_directory(&self.path).ok()?;
        let found = rustix::fs::fstat(&open).ok()?;
        (found.st_ino == self.inode).then_some(open)
    }
}
