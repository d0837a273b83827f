//! Why an unpacking failed, as the agent sees it.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use burstlet_model::ErrorKind;

use super::fault::LayerFault;

/// Why a layer is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The layer itself is refused.
    #[error("unpack the layer")]
    Layer(#[source] LayerFault),
    /// The directory to unpack into cannot be opened.
    #[error("open the directory {path} to unpack into")]
    Target {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The unpacker does not start.
    #[error("start the unpacker {program}")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The unpacker's user namespace cannot be given its ids.
    #[error("map user and group ids 0 to 65535 for the unpacker")]
    IdMap {
        /// Why.
        source: io::Error,
    },
    /// The conversation with the unpacker broke.
    #[error("talk to the unpacker")]
    Channel {
        /// Why.
        source: io::Error,
    },
    /// The unpacker ended without a report.
    #[error("the unpacker ended ({status}) without a report; it said: {said:?}")]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// The end of its standard error.
        said: String,
    },
    /// The unpacker's report is not one.
    #[error("the unpacker's report cannot be read: {detail}")]
    Report {
        /// What is wrong with it.
        detail: String,
    },
    /// The unpacker was too slow and was killed.
    #[error("the layer was not unpacked within {} s", deadline.as_secs())]
    Deadline {
        /// How long it had.
        deadline: Duration,
    },
    /// A directory could not be marked.
    #[error("set {attribute} on the layer's directory {path:?}")]
    Mark {
        /// The escaped path within the layer.
        path: String,
        /// The mark.
        attribute: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl UnpackError {
    /// What class of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Layer(fault) => fault.kind(),
            Self::Deadline { .. } => ErrorKind::DeadlineExceeded,
            Self::IdMap { .. } => ErrorKind::Unsupported,
            Self::Target { .. }
            | Self::Start { .. }
            | Self::Channel { .. }
            | Self::Died { .. }
            | Self::Report { .. }
            | Self::Mark { .. } => ErrorKind::Internal,
        }
    }
}
