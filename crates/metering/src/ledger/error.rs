//! Why a ledger cannot be opened, and why it does not take a record.

use std::io;

use burstlet_model::ErrorKind;

use crate::record::EncodeError;

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("open the ledger in {0}: another agent has it; one ledger has one agent")]
    Taken(String),
    /// A newer Burstlet wrote it.
    #[error(
        "open the ledger: {file} is of format {format}, this version knows format {known}; run the newer version that wrote it"
    )]
    Newer {
        /// Which file.
        file: String,
        /// Its format or schema.
        format: u16,
        /// The newest known.
        known: u16,
    },
    /// The directory does not do what it should.
    #[error("{what} {path}")]
    Storage {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The first records of this agent cannot be written.
    #[error("begin the epoch of this agent in the ledger")]
    Begin(#[source] AppendError),
}

impl OpenError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Taken(_) => ErrorKind::FailedPrecondition,
            Self::Newer { .. } => ErrorKind::Unsupported,
            Self::Storage { .. } => ErrorKind::Internal,
            Self::Begin(error) => error.kind(),
        }
    }
}

/// Why a record was not taken. It is not in the ledger, or nobody can tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// It does not fit the format.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The segment is full, and there is no room for another.
    #[error("append to the ledger: the last segment is full and there is no reserve: {0}")]
    Full(String),
    /// The disk failed before. Nothing is taken until the ledger is opened anew, which finds out
    /// what is on it.
    #[error("append to the ledger: its disk has failed: {0}")]
    Poisoned(String),
    /// Old segments cannot be retired; they count as before.
    #[error("retire old segments of the ledger: {0}")]
    Retire(String),
    /// The ledger was closed.
    #[error("append to the ledger: it is closed")]
    Closed,
}

impl AppendError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Encode(error) => error.kind(),
            Self::Full(_) => ErrorKind::ResourceExhausted,
            Self::Poisoned(_) => ErrorKind::Internal,
            Self::Retire(_) | Self::Closed => ErrorKind::Unavailable,
        }
    }
}
