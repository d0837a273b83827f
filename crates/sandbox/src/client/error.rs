//! What can go wrong on the agent's side.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use burstlet_model::{ErrorKind, GroupUid};

use crate::protocol::{Failure, FrameError};

/// Why something could not be done through the launcher or a keeper.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The launcher's binary could not be executed.
    #[error("execute the launcher {path}")]
    Spawn {
        /// The binary.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The launcher could not start. What it said is in the text.
    #[error("start the launcher: {said}")]
    LauncherFailed {
        /// Its output.
        said: String,
    },
    /// Nobody listens at a socket that should be served.
    #[error("connect to {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The group has no keeper any more: its containers are gone.
    #[error("group {0} has no keeper")]
    NoKeeper(GroupUid),
    /// The connection ended before the answer came. The request may or may not have been done.
    #[error("the connection to the keeper ended")]
    Lost,
    /// The answer did not come in time. The request may still be done.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The keeper or launcher refused or failed.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// A message could not be made or understood.
    #[error("talk with the keeper")]
    Frame(#[from] FrameError),
    /// A message could not be sent.
    #[error("send to the keeper")]
    Send(#[source] io::Error),
    /// Something that a plan names outside the launcher's reach could not be opened.
    #[error("open {path} for the keeper")]
    Outside {
        /// What.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The plan names more than one message can carry.
    #[error("the plan names {0} files outside the launcher's reach, more than a message carries")]
    TooManyOutside(usize),
    /// The answer is not of the kind that the request has.
    #[error("the keeper gave another answer than was asked for")]
    WrongAnswer,
}

impl ClientError {
    /// The class of this failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { .. } | Self::Lost | Self::Send(_) => ErrorKind::Unavailable,
            Self::NoKeeper(_) => ErrorKind::NotFound,
            Self::Late(_) => ErrorKind::DeadlineExceeded,
            Self::Refused(failure) => failure.class.kind(),
            Self::TooManyOutside(_) => ErrorKind::Invalid,
            Self::Outside { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ErrorKind::FailedPrecondition
            }
            Self::Spawn { .. }
            | Self::LauncherFailed { .. }
            | Self::Frame(_)
            | Self::Outside { .. }
            | Self::WrongAnswer => ErrorKind::Internal,
        }
    }
}
