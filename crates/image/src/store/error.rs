use std::path::PathBuf;
use std::sync::Arc;

use burstlet_model::{Digest, ErrorKind};

use crate::content::ContentError;
use crate::import::ImportError;
use crate::registry::RegistryError;
use crate::unpack::UnpackError;
use crate::{ConfigError, DocumentError, SignatureError};

/// Why the store did not do what was asked. Cheap to clone: all who wait for one pull get it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A registry did not give the image.
    #[error(transparent)]
    Registry(#[from] Arc<RegistryError>),
    /// An archive or layout does not have what it should.
    #[error("import the image")]
    Import(#[source] Arc<ImportError>),
    /// An import's document is refused.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Names were given for an import of several images, or of none.
    #[error("names can be given to an import of one image only; this one has {0}")]
    NamesForMany(usize),
    /// The image's configuration is refused.
    #[error("image {id} is refused")]
    Config {
        /// The image's id.
        id: Digest,
        /// Why.
        source: ConfigError,
    },
    /// A layer is refused, or the unpacker failed.
    #[error("unpack layer {blob}")]
    Unpack {
        /// The packed layer's digest.
        blob: Digest,
        /// Why.
        source: Arc<UnpackError>,
    },
    /// The disk failed, or bytes are not what was named.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The image is not here, and the pull policy forbids to fetch it.
    #[error(
        "image {0} is not present and its pull policy is Never; pull it first or change the policy"
    )]
    NotPresent(String),
    /// The image is here, but this namespace has not shown that it may use it.
    #[error(
        "image {0} is present but private, and these credentials do not open it; give the credentials of its registry"
    )]
    NotAllowed(String),
    /// It has to be signed, and is not.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// No such image.
    #[error("no image {0}; list the images to see what there is")]
    NotFound(String),
    /// A short id that several images begin with.
    #[error("{0} is the beginning of more than one image's id; give more digits")]
    Ambiguous(String),
    /// A group needs the image.
    #[error("image {image} is in use by {users}; delete what uses it first")]
    InUse {
        /// The image.
        image: String,
        /// The uids of the groups.
        users: String,
    },
    /// The leases of a group cannot be read, so nothing may be removed until it says what it needs.
    #[error("the lease of group {0} is unreadable, so no image can be removed until it is renewed")]
    LeaseUnknown(String),
    /// The store was written by a version that we do not know.
    #[error("{path} has version {found}, this program knows {known}; run the newer program")]
    Version {
        /// The record.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// A task of ours ended without a result.
    #[error("the task that worked on {0} ended early")]
    Aborted(String),
}

impl StoreError {
    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Import(error) => error.kind(),
            Self::Document(error) => error.kind(),
            Self::NamesForMany(_) => ErrorKind::Invalid,
            Self::Config { source, .. } => source.kind(),
            Self::Unpack { source, .. } => source.kind(),
            Self::Content(error) => error.kind(),
            Self::NotPresent(_) | Self::NotFound(_) => ErrorKind::NotFound,
            Self::NotAllowed(_) => ErrorKind::PermissionDenied,
            Self::Signature(error) => error.kind(),
            Self::Ambiguous(_) => ErrorKind::Invalid,
            Self::InUse { .. } | Self::LeaseUnknown(_) => ErrorKind::FailedPrecondition,
            Self::Version { .. } | Self::Aborted(_) => ErrorKind::Internal,
        }
    }
}

impl From<RegistryError> for StoreError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(Arc::new(error))
    }
}
