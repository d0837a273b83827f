//! Images that do not come from a registry: an OCI layout (a directory, or a tar archive of one)
//! and what `docker save` writes.
//!
//! Each is read as the same thing: a few documents, and blobs by digest. The store then takes an
//! image out of an [`Import`] as it takes one from a registry, and verifies every digest and size
//! itself; nothing here is believed. No name out of an archive ever becomes a path: the archive
//! stays one file, of which blobs are ranges.

mod archive;
mod docker;
mod layout;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use burstlet_model::{Digest, ErrorKind, ImageRef};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::tree::{Tree, kind};
use crate::unpack::LayerFault;
use crate::{DOCUMENT_BYTES_MAX, Descriptor};

/// Images of one archive or layout.
pub const IMPORTED_IMAGES_MAX: usize = 256;

/// An archive or layout that images can be taken from.
#[derive(Debug)]
pub struct Import {
    images: Vec<ImportedImage>,
    blobs: Blobs,
}

/// An image that an archive or layout holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedImage {
    /// What it is called there; may be nothing.
    pub references: Vec<ImageRef>,
    /// Its manifest, or an index of several.
    pub document: Descriptor,
}

/// A blob to be read once; what it hashes to is the reader's to verify.
#[derive(Debug)]
pub struct ImportedBlob {
    source: Source,
    at: u64,
    size: u64,
}

/// Why an import is refused.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The archive or layout cannot be read.
    #[error("read {what}")]
    Read {
        /// Which part.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The archive is not a strict tar archive.
    #[error("read the image archive")]
    Archive(#[source] LayerFault),
    /// The archive is packed as a whole.
    #[error("the image archive is compressed: decompress it first")]
    Compressed,
    /// Neither an OCI layout nor a docker archive.
    #[error(
        "neither an OCI image layout (index.json) nor a docker archive (manifest.json) is there"
    )]
    NotAnImage,
    /// A document of the archive or layout is not what it should be.
    #[error("{document} is malformed: {detail}")]
    Malformed {
        /// Which document.
        document: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A part that a document names is not there.
    #[error("{0} is named but not there")]
    Missing(String),
    /// A bound is exceeded.
    #[error("there are more than {max} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: u64,
    },
}

impl ImportError {
    /// What class of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::Internal,
            Self::Archive(fault) => fault.kind(),
            Self::TooMany { .. } => ErrorKind::ResourceExhausted,
            Self::Compressed | Self::NotAnImage | Self::Malformed { .. } | Self::Missing(_) => {
                ErrorKind::Invalid
            }
        }
    }
}

impl Import {
    /// Opens an OCI layout in a directory.
    ///
    /// # Errors
    /// The directory cannot be read, or holds no OCI layout.
    pub fn layout(directory: &Path) -> Result<Self, ImportError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(directory, flags, Mode::empty());
        let root = root.map_err(|errno| read_failed(directory.display(), errno.into()))?;
        let blobs = Blobs::of(Store::Directory(Tree::new(root)));
        layout::open(blobs)
    }

    /// Opens an archive of an OCI layout, or one that `docker save` wrote. Archives that are both
    /// are read as the OCI layout. The file is read in full.
    ///
    /// # Errors
    /// The file is not a strict tar archive, or holds neither.
    pub fn archive(file: File) -> Result<Self, ImportError> {
        let members = archive::members(&file)?;
        let has_index = members.contains_key(layout::INDEX.as_bytes());
        let has_manifest = members.contains_key(docker::MANIFEST.as_bytes());
        let blobs = Blobs::of(Store::Archive {
            file: Arc::new(file),
            members,
        });
        match (has_index, has_manifest) {
            (true, _) => layout::open(blobs),
            (false, true) => docker::open(blobs),
            (false, false) => Err(ImportError::NotAnImage),
        }
    }

    /// The images, in the order of the archive's own documents.
    #[must_use]
    pub fn images(&self) -> &[ImportedImage] {
        &self.images
    }

    /// A blob by its digest.
    ///
    /// # Errors
    /// The blob is not there or cannot be opened.
    pub fn blob(&self, digest: &Digest) -> Result<ImportedBlob, ImportError> {
        self.blobs.open(digest)
    }
}

impl ImportedBlob {
    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for ImportedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.size - self.at).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(rest);
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        let length = match &self.source {
            Source::File { file, start } => file.read_at(buffer, start + self.at)?,
            Source::Memory(bytes) => {
                let at = usize::try_from(self.at).unwrap_or(usize::MAX);
                bytes.get(at..).unwrap_or_default().read(buffer)?
            }
        };
        self.at += length as u64;
        Ok(length)
    }
}

/// Where a blob's bytes are.
#[derive(Debug)]
enum Source {
    File { file: Arc<File>, start: u64 },
    Memory(Arc<[u8]>),
}

/// Where the members of an import are.
#[derive(Debug)]
enum Store {
    Directory(Tree),
    Archive {
        file: Arc<File>,
        members: archive::Members,
    },
}

/// The members of an import, and what their digests are where their names do not say.
#[derive(Debug)]
struct Blobs {
    store: Store,
    /// Blobs that stand elsewhere than where an OCI layout has them.
    named: HashMap<Digest, String>,
    /// Documents that stand nowhere, because we wrote them.
    written: HashMap<Digest, Arc<[u8]>>,
}

impl Blobs {
    fn of(store: Store) -> Self {
        Self {
            store,
            named: HashMap::new(),
            written: HashMap::new(),
        }
    }

    fn open(&self, digest: &Digest) -> Result<ImportedBlob, ImportError> {
        if let Some(bytes) = self.written.get(digest) {
            let (source, size) = (Source::Memory(Arc::clone(bytes)), bytes.len() as u64);
            return Ok(ImportedBlob {
                source,
                at: 0,
                size,
            });
        }
        match self.named.get(digest) {
            Some(name) => self.member(name),
            None => self.member(&format!("blobs/sha256/{}", digest.hex())),
        }
    }

    /// A member by its name.
    fn member(&self, name: &str) -> Result<ImportedBlob, ImportError> {
        match &self.store {
            Store::Archive { file, members } => {
                let range = members
                    .get(name.as_bytes())
                    .ok_or_else(|| ImportError::Missing(format!("{name:?}")))?;
                let source = Source::File {
                    file: Arc::clone(file),
                    start: range.start,
                };
                Ok(ImportedBlob {
                    source,
                    at: 0,
                    size: range.end - range.start,
                })
            }
            Store::Directory(tree) => {
                let file = tree
                    .open_file(name.as_bytes())
                    .map_err(|errno| match errno {
                        Errno::NOENT => ImportError::Missing(format!("{name:?}")),
                        errno => read_failed(name, errno.into()),
                    })?;
                let size = regular_size(&file).map_err(|errno| read_failed(name, errno.into()))?;
                let file = Arc::new(File::from(file));
                Ok(ImportedBlob {
                    source: Source::File { file, start: 0 },
                    at: 0,
                    size,
                })
            }
        }
    }

    /// A document by its name.
    fn document(&self, name: &'static str) -> Result<Vec<u8>, ImportError> {
        let blob = self.member(name)?;
        if blob.size() > DOCUMENT_BYTES_MAX {
            let max = DOCUMENT_BYTES_MAX;
            return Err(ImportError::TooMany {
                what: "bytes in one document",
                max,
            });
        }
        let mut bytes = Vec::new();
        blob.take(DOCUMENT_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|source| read_failed(name, source))?;
        Ok(bytes)
    }

    /// Adds a document that we wrote.
    fn write(&mut self, bytes: Vec<u8>, media_type: &str) -> Descriptor {
        let digest = crate::digest_of(&bytes);
        let size = bytes.len() as u64;
        self.written.insert(digest.clone(), Arc::from(bytes));
        Descriptor {
            digest,
            size,
            media_type: media_type.to_owned(),
        }
    }
}

fn regular_size(file: &OwnedFd) -> Result<u64, Errno> {
    let found = rustix::fs::fstat(file)?;
    if kind(&found) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    u64::try_from(found.st_size).map_err(|_| Errno::INVAL)
}

fn read_failed(what: impl std::fmt::Display, source: io::Error) -> ImportError {
    ImportError::Read {
        what: what.to_string(),
        source,
    }
}

fn malformed(document: &'static str, detail: impl std::fmt::Display) -> ImportError {
    ImportError::Malformed {
        document,
        detail: detail.to_string(),
    }
}

/// A document of the import as the type that reads it, no key twice.
fn parse<T: serde::de::DeserializeOwned>(
    document: &'static str,
    bytes: &[u8],
) -> Result<T, ImportError> {
    let value = burstlet_strict_json::parse(bytes).map_err(|error| malformed(document, error))?;
    serde_json::from_value(value).map_err(|error| malformed(document, error))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
