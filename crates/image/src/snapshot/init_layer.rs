//! The read-only layer on top of every image: the places where Burstlet mounts and writes are
//! directories and files here, whatever they are in the image.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::SnapshotError;
use super::tree::{Found, ImageTree};
use crate::unpack::OPAQUE_ATTRIBUTE;

/// Directories that are mounted over; nothing of the image's shows through.
const MOUNT_POINTS: &[&str] = &["dev", "proc", "sys"];
/// Files in `/etc` that a container gets its own of.
const FILES: &[&str] = &["hosts", "hostname", "resolv.conf"];
/// What `/etc` is where the image has none.
const ETC_DEFAULT: Found = Found {
    mode: 0o755,
    uid: 0,
    gid: 0,
};
const EPOCH: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The init layers of a node. They differ in one thing: a merged directory looks as its uppermost
/// part does, so `/etc` must look as the image's own.
#[derive(Debug)]
pub(super) struct InitLayers {
    directory: PathBuf,
}

impl InitLayers {
    pub(super) fn open(directory: &Path) -> Result<Self, SnapshotError> {
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(directory)
            .map_err(|source| failed(directory, source))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// The init layer for an image; made if it is the first of its kind.
    pub(super) fn of(&self, image: &ImageTree) -> Result<PathBuf, SnapshotError> {
        let etc = image
            .directory(b"etc")
            .map_err(SnapshotError::Image)?
            .unwrap_or(ETC_DEFAULT);
        let name = format!("etc-{:04o}-{}-{}", etc.mode, etc.uid, etc.gid);
        let layer = self.directory.join(name);
        if !layer
            .try_exists()
            .map_err(|source| failed(&layer, source))?
        {
            self.make(&layer, &etc)?;
        }
        Ok(layer)
    }

    /// Makes a layer aside and renames it, so that it is there whole or not at all; two makers at
    /// once make the same.
    fn make(&self, layer: &Path, etc: &Found) -> Result<(), SnapshotError> {
        let stage = tempfile::Builder::new()
            .prefix(".stage-")
            .tempdir_in(&self.directory)
            .map_err(|source| failed(layer, source))?;
        fill(stage.path(), etc).map_err(|errno| SnapshotError::make(layer, errno))?;
        match std::fs::rename(stage.path(), layer) {
            Ok(()) => {
                drop(stage.keep());
                sync(&self.directory).map_err(|source| failed(&self.directory, source))
            }
            Err(_) if layer.is_dir() => Ok(()),
            Err(source) => Err(failed(layer, source)),
        }
    }
}

fn fill(layer: &Path, etc: &Found) -> Result<(), Errno> {
    for name in MOUNT_POINTS {
        let path = layer.join(name);
        rustix::fs::mkdir(&path, Mode::empty())?;
        let directory = open(&path, OFlags::DIRECTORY)?;
        rustix::fs::fsetxattr(&directory, OPAQUE_ATTRIBUTE, b"y", XattrFlags::empty())?;
        describe(&directory, &ETC_DEFAULT)?;
    }
    let path = layer.join("etc");
    rustix::fs::mkdir(&path, Mode::RWXU)?;
    for name in FILES {
        let flags = OFlags::CREATE | OFlags::EXCL;
        describe(
            &open(&path.join(name), flags)?,
            &Found {
                mode: 0o644,
                ..ETC_DEFAULT
            },
        )?;
    }
    describe(&open(&path, OFlags::DIRECTORY)?, etc)?;
    describe(&open(layer, OFlags::DIRECTORY)?, &ETC_DEFAULT)
}

fn open(path: &Path, flags: OFlags) -> Result<File, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::RUSR).map(File::from)
}

fn describe(file: &File, looks: &Found) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(looks.uid), Gid::from_raw(looks.gid));
    rustix::fs::fchown(file, Some(uid), Some(gid))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(looks.mode))?;
    let times = Timestamps {
        last_access: EPOCH,
        last_modification: EPOCH,
    };
    rustix::fs::futimens(file, &times)
}

/// Makes the layer and its name durable: containers start from it after a crash as well.
fn sync(directory: &Path) -> io::Result<()> {
    let directory = File::open(directory)?;
    rustix::fs::syncfs(&directory)?;
    Ok(())
}

fn failed(path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::Make {
        path: path.to_owned(),
        source,
    }
}
