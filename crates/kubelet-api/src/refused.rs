use burstlet_model::ErrorKind;
use hyper::StatusCode;

/// Why something is not done, in words for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    kind: ErrorKind,
    message: String,
    is_unprocessable: bool,
}

impl Refused {
    /// Goes to the client as it is, so it names nothing that is not the client's business.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            is_unprocessable: false,
        }
    }

    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) const fn status(&self) -> StatusCode {
        if self.is_unprocessable {
            return StatusCode::UNPROCESSABLE_ENTITY;
        }
        match self.kind {
            // A kubelet says so of containers that have not started, too.
            ErrorKind::Invalid | ErrorKind::FailedPrecondition => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::AlreadyExists => StatusCode::CONFLICT,
            ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
            ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorKind::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// It can be read, and yet not be done.
    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self {
            is_unprocessable: true,
            ..Self::invalid(message)
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }
}
