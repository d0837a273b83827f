//! Blobs by digest.
//!
//! ```text
//! partial/<digest>-<source>   growing, resumable, bounded by age
//!         │ size and digest verified, fsync
//!         ▼
//! blobs/<digest>              complete and right, or absent
//! ```
//!
//! A blob's path is built from a parsed [`Digest`] only. Documents stay here for as long as their
//! image does; packed layers pass through and are removed once unpacked.

mod durable;
mod partial;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use burstlet_model::{Digest, ErrorKind};

pub(crate) use durable::{
    create_dir, names, remove_if_there, remove_temporary, write as write_durably, write_soon,
};
pub use partial::{Partial, Received};

use crate::{Descriptor, digest_of};

/// A partial download that nobody continued for this long is given up.
pub const PARTIAL_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Why a blob could not be kept or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ContentError {
    /// The file system failed.
    #[error("{action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The bytes are not those that were named.
    #[error(
        "the content is {got}, not {expected}: it was changed on its way; try again, or ask the registry's operator"
    )]
    Digest {
        /// What was asked for.
        expected: Digest,
        /// What the bytes hash to.
        got: Digest,
    },
    /// There are more or fewer bytes than were named.
    #[error("{digest} has {got} bytes, its descriptor says {expected}")]
    Size {
        /// The blob.
        digest: Digest,
        /// What the descriptor says.
        expected: u64,
        /// What there is; one more than expected if there was still more to come.
        got: u64,
    },
    /// The blob is not here.
    #[error("{0} is not in the store")]
    Absent(Digest),
}

/// Checks that `bytes` are what `blob` describes.
///
/// # Errors
/// They are more, fewer or others.
pub(crate) fn check(blob: &Descriptor, bytes: &[u8]) -> Result<(), ContentError> {
    let (digest, expected) = (blob.digest.clone(), blob.size);
    let got = bytes.len() as u64;
    if got != expected {
        return Err(ContentError::Size {
            digest,
            expected,
            got,
        });
    }
    match digest_of(bytes) {
        got if got == digest => Ok(()),
        got => Err(ContentError::Digest {
            expected: digest,
            got,
        }),
    }
}

impl ContentError {
    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    ErrorKind::ResourceExhausted
                }
                _ => ErrorKind::Internal,
            },
            Self::Digest { .. } | Self::Size { .. } => ErrorKind::Invalid,
            Self::Absent(_) => ErrorKind::NotFound,
        }
    }
}

/// Makes the `map_err` of a file operation.
pub(crate) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> ContentError + use<> {
    let path = path.to_owned();
    move |source| ContentError::Io {
        action,
        path,
        source: Arc::new(source),
    }
}

/// The blobs of one directory. Every function blocks on the disk.
#[derive(Clone, Debug)]
pub struct ContentStore {
    blobs: PathBuf,
    partial: PathBuf,
}

impl ContentStore {
    /// Opens or makes the store below `dir`, and removes what a crash or an abandoned download
    /// left. `now` is compared with the files' times.
    ///
    /// # Errors
    /// The directories cannot be made or read.
    pub fn open(dir: &Path, now: SystemTime) -> Result<Self, ContentError> {
        let store = Self {
            blobs: dir.join("blobs"),
            partial: dir.join("partial"),
        };
        create_dir(&store.blobs)?;
        create_dir(&store.partial)?;
        remove_temporary(&store.blobs)?;
        store.remove_stale(now)?;
        Ok(store)
    }

    /// The blob's bytes, verified again.
    ///
    /// # Errors
    /// It is absent, larger than `max`, unreadable, or damaged since it was kept.
    pub fn read(&self, digest: &Digest, max: u64) -> Result<Vec<u8>, ContentError> {
        let path = self.path(digest);
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContentError::Absent(digest.clone()));
            }
            opened => opened.map_err(io_error("open", &path))?,
        };
        let mut bytes = Vec::new();
        let read = file.take(max + 1).read_to_end(&mut bytes);
        let got = read.map_err(io_error("read", &path))? as u64;
        if got > max {
            let digest = digest.clone();
            return Err(ContentError::Size {
                digest,
                expected: max,
                got,
            });
        }
        verify(&bytes, digest)?;
        Ok(bytes)
    }

    /// Keeps `bytes`, which must hash to `digest`. When this returns they survive a power cut.
    ///
    /// # Errors
    /// The bytes hash to something else, or cannot be written.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), ContentError> {
        verify(bytes, digest)?;
        let path = self.path(digest);
        if path.exists() && self.read(digest, bytes.len() as u64).is_ok() {
            return Ok(());
        }
        write_durably(&path, bytes)
    }

    /// Removes a blob if it is there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, digest: &Digest) -> Result<(), ContentError> {
        remove_if_there(&self.path(digest))
    }

    /// The digests of all blobs.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Digest>, ContentError> {
        let names = names(&self.blobs)?;
        let digests = names
            .into_iter()
            .map(|name| Digest::new(format!("sha256:{name}")));
        Ok(digests.filter_map(Result::ok).collect())
    }

    /// Begins or continues to receive a blob from `source`. What another source sent is not
    /// continued, so that one source cannot spoil another's download.
    ///
    /// # Errors
    /// The partial file cannot be opened or read.
    pub fn partial(&self, blob: &Descriptor, source: &str) -> Result<Partial, ContentError> {
        let source = digest_of(source.as_bytes());
        let (source, _) = source.hex().split_at(16);
        let name = format!("{}-{source}", blob.digest.hex());
        Partial::open(self.partial.join(name), blob.clone())
    }

    /// Removes partial downloads that nobody continued for [`PARTIAL_AGE_MAX`].
    ///
    /// # Errors
    /// The directory cannot be read or a file not be removed.
    pub fn remove_stale(&self, now: SystemTime) -> Result<(), ContentError> {
        for name in names(&self.partial)? {
            let path = self.partial.join(name);
            let touched = fs::symlink_metadata(&path).and_then(|meta| meta.modified());
            let touched = touched.map_err(io_error("look at", &path))?;
            if now
                .duration_since(touched)
                .is_ok_and(|age| age > PARTIAL_AGE_MAX)
            {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }
}

fn verify(bytes: &[u8], expected: &Digest) -> Result<(), ContentError> {
    let got = digest_of(bytes);
    if got == *expected {
        return Ok(());
    }
    Err(ContentError::Digest {
        expected: expected.clone(),
        got,
    })
}

#[cfg(test)]
mod tests;
