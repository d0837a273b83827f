use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::ErrorKind;

use super::address::AddressRefused;
use super::challenge::ChallengeError;
use super::docker_config::DockerConfigError;
use crate::DocumentError;
use crate::content::ContentError;

/// Why something could not be had from a registry.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{action} from {host}: {problem}")]
pub struct RegistryError {
    /// What was asked for: `manifest library/busybox:latest`, `blob sha256:…`.
    pub action: String,
    /// Who was asked.
    pub host: String,
    /// What happened.
    pub problem: Problem,
}

/// What happened at one registry. Each text says what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Problem {
    /// The registry wants to know who asks, and we have nothing to say or were not believed.
    #[error(
        "unauthorised{}; give credentials with the request, in the registry's configuration or in docker's config.json", sent(*.0)
    )]
    Unauthorized(bool),
    /// The registry knows who asks and refuses.
    #[error("denied: these credentials may not pull this image{}", quoted(.0))]
    Denied(String),
    /// No such repository, tag or blob, or none that this caller may see.
    #[error("not found: check the name and the tag; a private image may need credentials")]
    NotFound,
    /// Too many requests.
    #[error("rate limited{}; try later, give credentials or configure a mirror", after(.0))]
    RateLimited(Option<Duration>),
    /// The registry failed.
    #[error("the registry answered {status}{}; ask its operator if it goes on", quoted(.message))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The registry's first error text, shortened and without control characters.
        message: String,
    },
    /// The certificate or the handshake failed.
    #[error(
        "TLS failed: {0}; for a private authority set ca_file, for a registry without TLS plain_http, in its configuration"
    )]
    Tls(String),
    /// The name does not resolve.
    #[error("the name does not resolve: {0}; check the spelling and this machine's DNS")]
    Dns(String),
    /// The address is one that an image may not lead us to.
    #[error(transparent)]
    Address(AddressRefused),
    /// Nothing listens, or the connection broke.
    #[error("the connection failed: {0}; check that the registry runs and can be reached")]
    Connect(String),
    /// No answer, or too slow a one.
    #[error("no progress within {} s; the registry or the network is too slow", .0.as_secs())]
    Timeout(Duration),
    /// A redirect or token server that we do not follow.
    #[error("it leads to {to}, which is not followed: {rule}")]
    Redirect {
        /// Where it leads, without query.
        to: String,
        /// The rule that forbids it and the way out.
        rule: &'static str,
    },
    /// An answer is larger than anything of its kind.
    #[error("the {what} is larger than the {max} bytes allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it may be.
        max: u64,
    },
    /// An answer is not what the protocol says.
    #[error("the answer does not follow the registry protocol: {0}")]
    Protocol(String),
    /// The authentication challenge is not understood.
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    /// The document is not an image that we run.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The bytes are not those that were named, or cannot be kept.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Configured credentials or certificates cannot be read.
    #[error("{0}")]
    Local(String, #[source] Arc<dyn Error + Send + Sync>),
    /// Docker's configuration or a helper of it failed.
    #[error(transparent)]
    DockerConfig(#[from] DockerConfigError),
}

impl RegistryError {
    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.problem {
            Problem::Unauthorized(_) => ErrorKind::Unauthenticated,
            Problem::Denied(_) => ErrorKind::PermissionDenied,
            Problem::NotFound => ErrorKind::NotFound,
            Problem::RateLimited(_)
            | Problem::Status { .. }
            | Problem::Tls(_)
            | Problem::Dns(_)
            | Problem::Connect(_) => ErrorKind::Unavailable,
            Problem::Address(_) | Problem::Redirect { .. } => ErrorKind::PermissionDenied,
            Problem::Timeout(_) => ErrorKind::DeadlineExceeded,
            Problem::TooLarge { .. } | Problem::Protocol(_) | Problem::Challenge(_) => {
                ErrorKind::Invalid
            }
            Problem::Document(error) => error.kind(),
            Problem::Content(error) => error.kind(),
            Problem::Local(..) => ErrorKind::FailedPrecondition,
            Problem::DockerConfig(error) => error.kind(),
        }
    }
}

impl Problem {
    /// Whether the same request may succeed a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::RateLimited(_) | Self::Dns(_) | Self::Connect(_) | Self::Timeout(_) => true,
            Self::Status { status, .. } => matches!(status, 408 | 500..=599),
            _ => false,
        }
    }

    /// Whether the whole host is out of order or lies, so that others should be asked first.
    pub(super) const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Dns(_)
                | Self::Connect(_)
                | Self::Timeout(_)
                | Self::Tls(_)
                | Self::RateLimited(_)
                | Self::Status { status: 500.., .. }
                | Self::Content(ContentError::Digest { .. } | ContentError::Size { .. })
        )
    }

    /// Whether it is this machine that failed, so that asking elsewhere is of no use.
    pub(super) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Content(ContentError::Io { .. }) | Self::Local(..)
        )
    }
}

impl From<reqwest::Error> for Problem {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(refused) = find::<AddressRefused>(&error) {
            return Self::Address(refused.clone());
        }
        if let Some(tls) = find::<rustls::Error>(&error) {
            return Self::Tls(tls.to_string());
        }
        if let Some(dns) = find::<super::http::DnsError>(&error) {
            return Self::Dns(dns.to_string());
        }
        if error.is_timeout() {
            return Self::Timeout(super::http::CONNECT_DEADLINE);
        }
        Self::Connect(innermost(&error))
    }
}

/// Finds a cause by its type. An `io::Error` hides the error that it wraps from `source`.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<std::io::Error>()
            .and_then(|io| io.get_ref());
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The last cause, which names the system's reason.
fn innermost(error: &dyn Error) -> String {
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        last = error.to_string();
        next = error.source();
    }
    last
}

fn sent(credentials: bool) -> &'static str {
    if credentials {
        ": the credentials were not accepted"
    } else {
        ": no credentials for it"
    }
}

fn quoted(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(" ({message})")
    }
}

fn after(delay: &Option<Duration>) -> String {
    delay.map_or_else(String::new, |delay| format!(" for {} s", delay.as_secs()))
}
