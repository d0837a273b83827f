//! A blob on its way in.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{ContentError, io_error, remove_if_there};
use crate::Descriptor;
use crate::digest::Hasher;

const REHASH_CHUNK_BYTES: usize = 256 << 10;

/// A blob that is being received. Its bytes are hashed as they come; dropping it keeps them for a
/// later attempt.
pub struct Partial {
    path: PathBuf,
    file: File,
    blob: Descriptor,
    hasher: Hasher,
    written: u64,
}

impl Partial {
    pub(super) fn open(path: PathBuf, blob: Descriptor) -> Result<Self, ContentError> {
        let file = open_locked(&path)?;
        let mut partial = Self {
            path,
            file,
            blob,
            hasher: Hasher::default(),
            written: 0,
        };
        partial.rehash()?;
        if partial.written > partial.blob.size {
            partial.restart()?;
        }
        Ok(partial)
    }

    /// What is being received.
    #[must_use]
    pub const fn blob(&self) -> &Descriptor {
        &self.blob
    }

    /// How many bytes are here: where to continue.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// There would be more bytes than the descriptor says, or the disk fails.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        let after = self.written.saturating_add(bytes.len() as u64);
        if after > self.blob.size {
            return Err(self.wrong_size(self.blob.size.saturating_add(1)));
        }
        self.file
            .write_all(bytes)
            .map_err(io_error("write", &self.path))?;
        self.hasher.update(bytes);
        self.written = after;
        Ok(())
    }

    /// Drops what was received and begins again.
    ///
    /// # Errors
    /// The disk fails.
    pub fn restart(&mut self) -> Result<(), ContentError> {
        let reset = self.file.set_len(0).and_then(|()| self.file.rewind());
        reset.map_err(io_error("truncate", &self.path))?;
        self.hasher = Hasher::default();
        self.written = 0;
        Ok(())
    }

    /// Checks that all is here and is what was named. Bytes that are not are removed, so that
    /// the next attempt begins anew.
    ///
    /// # Errors
    /// Bytes are missing, or they hash to something else.
    pub fn verify(mut self) -> Result<Received, ContentError> {
        if self.written != self.blob.size {
            return Err(self.wrong_size(self.written));
        }
        let got = std::mem::take(&mut self.hasher).finish();
        if got != self.blob.digest {
            remove_if_there(&self.path)?;
            return Err(ContentError::Digest {
                expected: self.blob.digest,
                got,
            });
        }
        self.file.rewind().map_err(io_error("rewind", &self.path))?;
        Ok(Received {
            path: self.path,
            file: self.file,
        })
    }

    fn wrong_size(&self, got: u64) -> ContentError {
        ContentError::Size {
            digest: self.blob.digest.clone(),
            expected: self.blob.size,
            got,
        }
    }

    /// Reads what an earlier attempt left, to continue its hash.
    fn rehash(&mut self) -> Result<(), ContentError> {
        let mut chunk = vec![0; REHASH_CHUNK_BYTES];
        let read_error = || io_error("read", &self.path);
        loop {
            let count = self.file.read(&mut chunk).map_err(read_error())?;
            if count == 0 {
                break;
            }
            self.hasher.update(chunk.get(..count).unwrap_or_default());
            self.written += count as u64;
            if self.written > self.blob.size {
                break;
            }
        }
        let end = self.file.seek(SeekFrom::Start(self.written));
        end.map(drop).map_err(read_error())
    }
}

/// Opens the file for this process alone. Whoever held it may have removed it meanwhile; then
/// there is a new one to be made.
fn open_locked(path: &Path) -> Result<File, ContentError> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .map_err(io_error("open", path))?;
        let links = file
            .lock()
            .and_then(|()| file.metadata())
            .map(|meta| meta.nlink());
        if links.map_err(io_error("lock", path))? > 0 {
            return Ok(file);
        }
    }
}

/// A blob that was received whole and verified, at its beginning.
pub struct Received {
    path: PathBuf,
    file: File,
}

impl Received {
    /// A descriptor of the bytes, positioned at the first.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn file(&self) -> Result<File, ContentError> {
        self.file
            .try_clone()
            .map_err(io_error("duplicate the descriptor of", &self.path))
    }

    /// Removes the bytes: their content has reached where it belongs.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(self) -> Result<(), ContentError> {
        remove_if_there(&self.path)
    }
}
