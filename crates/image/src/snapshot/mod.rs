//! What a container's root file system is made of, short of mounting it.
//!
//! ```text
//!   upper          the container's own writes      owned by the group's id range
//!   init layer     /dev /proc /sys /etc/{hosts,hostname,resolv.conf}, real and read-only
//!   layer n … 1    the image, shared by all        owned by the image's ids, mapped at the mount
//! ```
//!
//! The keeper mounts it, in its own mount namespace (`lowerdir+` for each lower, top first). The
//! init layer is what makes that safe: overlayfs merges directories with directories only, so
//! whatever an image has at those names (links to elsewhere, files, fifos) is hidden by a real
//! directory or file before anything is mounted there or written to it.
//!
//! The image's tree is read here as well, without mounting: [`ImageTree`] resolves names through
//! the layers as overlayfs would, below the root whatever the links say.

mod init_layer;
mod tree;
pub(crate) mod user;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use burstlet_model::ErrorKind;
use rustix::fs::{AtFlags, CWD, Gid, Mode, Uid};
use rustix::io::Errno;

pub use tree::{ImageTree, ImageTreeError};
pub use user::{ContainerUser, UserError, resolve_user};

use self::init_layer::InitLayers;
use crate::LAYERS_MAX;
use crate::unpack::ID_MAX;

/// Makes the snapshots of containers.
#[derive(Debug)]
pub struct Snapshotter {
    init_layers: InitLayers,
}

/// The first host id of the range that a group's ids are mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdBase(u32);

/// The parts of a container's root file system, all of them directories that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The lower directories, top first: the init layer, then the image's layers. They hold real
    /// ids from 0 and are to be mounted idmapped.
    pub lowers: Vec<PathBuf>,
    /// The upper directory, which holds host ids of the group's range.
    pub upper: PathBuf,
    /// overlayfs' own directory beside it.
    pub work: PathBuf,
}

/// Why a snapshot cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The image has too many layers.
    #[error(
        "the image has {got} layers and {LAYERS_MAX} are supported: rebuild it with fewer (docker build --squash, buildah --squash)"
    )]
    TooManyLayers {
        /// How many it has.
        got: usize,
    },
    /// The group's range does not hold an image's ids.
    #[error("the ids {base} and up do not leave room for {ID_MAX}")]
    IdRange {
        /// The first id.
        base: u32,
    },
    /// The container has a snapshot already.
    #[error("the snapshot {0} exists already")]
    Exists(PathBuf),
    /// The image's layers cannot be read.
    #[error("read the image's layers")]
    Image(#[source] ImageTreeError),
    /// A directory or file cannot be made.
    #[error("make {path}")]
    Make {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SnapshotError {
    /// What class of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooManyLayers { .. } => ErrorKind::Invalid,
            Self::Exists(_) => ErrorKind::AlreadyExists,
            Self::Image(error) => error.kind(),
            Self::IdRange { .. } | Self::Make { .. } => ErrorKind::Internal,
        }
    }

    fn make(path: &Path, errno: Errno) -> Self {
        Self::Make {
            path: path.to_owned(),
            source: errno.into(),
        }
    }
}

impl IdBase {
    /// The range that starts at `base`; it has to reach as far as an image's ids do.
    ///
    /// # Errors
    /// The range would end beyond the highest id.
    pub fn new(base: u32) -> Result<Self, SnapshotError> {
        // The highest value means "no id" to the kernel.
        match base.checked_add(ID_MAX) {
            Some(last) if last < u32::MAX => Ok(Self(base)),
            _ => Err(SnapshotError::IdRange { base }),
        }
    }

    fn host(self, id: u32) -> u32 {
        self.0 + id.min(ID_MAX)
    }
}

impl Snapshotter {
    /// A snapshotter that keeps its init layers, of which there are as many as there are owners
    /// and modes of `/etc`, in `directory`.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(directory: &Path) -> Result<Self, SnapshotError> {
        Ok(Self {
            init_layers: InitLayers::open(directory)?,
        })
    }

    /// Makes the snapshot of one container in `directory`, which is made and must not exist yet.
    /// `layers` are the image's directories, lowest first. This blocks for a few system calls.
    ///
    /// After an error, [`remove_tree`](crate::remove_tree) on `directory` removes what was made;
    /// so it does at the container's end.
    ///
    /// # Errors
    /// The image has too many layers, its layers cannot be read or the directories not be made.
    pub fn prepare(
        &self,
        layers: &[PathBuf],
        directory: &Path,
        base: IdBase,
    ) -> Result<Snapshot, SnapshotError> {
        if layers.len() > LAYERS_MAX {
            return Err(SnapshotError::TooManyLayers { got: layers.len() });
        }
        let image = ImageTree::open(layers).map_err(SnapshotError::Image)?;
        let init_layer = self.init_layers.of(&image)?;
        let mut lowers = vec![init_layer];
        lowers.extend(image.layers().map(Path::to_owned));
        make(directory)?;
        let (upper, work) = (directory.join("upper"), directory.join("work"));
        make(&upper)?;
        make(&work)?;
        own(&work, base.host(0), base.host(0), None)?;
        // The root of the mount looks as its uppermost directory does.
        let root = image.root().map_err(SnapshotError::Image)?;
        own(
            &upper,
            base.host(root.uid),
            base.host(root.gid),
            Some(root.mode),
        )?;
        Ok(Snapshot {
            lowers,
            upper,
            work,
        })
    }
}

fn make(path: &Path) -> Result<(), SnapshotError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(SnapshotError::Exists(path.to_owned()))
        }
        Err(source) => Err(SnapshotError::Make {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Owner and mode of a directory that was just made in one of the agent's own.
fn own(path: &Path, uid: u32, gid: u32, mode: Option<u32>) -> Result<(), SnapshotError> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| SnapshotError::make(path, errno))?;
    match mode {
        None => Ok(()),
        Some(mode) => rustix::fs::chmod(path, Mode::from_raw_mode(mode))
            .map_err(|errno| SnapshotError::make(path, errno)),
    }
}

#[cfg(test)]
mod tests;
