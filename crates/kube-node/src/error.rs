use std::path::PathBuf;

use burstlet_model::{ErrorKind, WallTime};

use crate::time;

/// Why the node cannot work.
#[derive(Debug, thiserror::Error)]
pub enum KubeNodeError {
    /// A kubeconfig cannot be read or used.
    #[error("use the kubeconfig {path}")]
    Kubeconfig {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: Box<kube::config::KubeconfigError>,
    },
    /// The kubeconfig, or `HTTPS_PROXY` in the environment, leads to the API server by a proxy.
    #[error("there is no way to the API server by a proxy ({0}): let the node reach it directly")]
    Proxy(String),
    /// A file of the node's credentials cannot be written.
    #[error("write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is neither a kubeconfig nor a way to one.
    #[error("{0} does not exist, and no bootstrap_kubeconfig is configured to ask for one with")]
    NoCredentials(PathBuf),
    /// The node's certificate is good no more, and there is no way to another.
    #[error(
        "the node's certificate in {path} expired at {}: put one that is good in its place, or \
         configure bootstrap_kubeconfig and remove the kubeconfig",
        time::seconds(*until)
    )]
    Expired {
        /// The kubeconfig.
        path: PathBuf,
        /// When.
        until: WallTime,
    },
    /// A key or a certificate request cannot be made.
    #[error("make a certificate request")]
    Request(#[source] rcgen::Error),
    /// The certificate request was denied, or it failed.
    #[error("the certificate request {name} was not granted: {reason}")]
    Denied {
        /// The request.
        name: String,
        /// Why, in the approver's or signer's words.
        reason: String,
    },
    /// Nobody has granted the certificate request yet.
    #[error("the certificate request was not granted in time; it is kept")]
    NotGranted,
    /// Another agent keeps a node of this name alive.
    #[error(
        "node {name} is kept alive by another agent (instance {other}, heard {age_s} s ago); \
         end it first, or give this one another node_name"
    )]
    Twin {
        /// The node.
        name: String,
        /// The other's instance.
        other: String,
        /// When it was last heard.
        age_s: i64,
    },
    /// The API server does not answer as it should.
    #[error("{doing}")]
    Api {
        /// What we were doing.
        doing: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("{0}: no answer in time")]
    NoAnswer(String),
    /// The node has not joined its cluster yet.
    #[error("the node has not joined its cluster yet")]
    NotJoined,
    /// What was granted is no certificate of our key.
    #[error("use the certificate that was granted")]
    Granted,
    /// A thread cannot be started.
    #[error("start the thread that keeps the node alive")]
    Thread(#[source] std::io::Error),
}

impl KubeNodeError {
    /// What class of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Kubeconfig { .. }
            | Self::Proxy(_)
            | Self::NoCredentials(_)
            | Self::Expired { .. } => ErrorKind::Invalid,
            Self::Write { .. } | Self::Request(_) | Self::Thread(_) => ErrorKind::Internal,
            Self::Granted => ErrorKind::Internal,
            Self::NoAnswer(_) | Self::NotGranted => ErrorKind::DeadlineExceeded,
            Self::NotJoined => ErrorKind::Unavailable,
            Self::Denied { .. } => ErrorKind::PermissionDenied,
            Self::Twin { .. } => ErrorKind::FailedPrecondition,
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.code == 403 => ErrorKind::PermissionDenied,
                _ => ErrorKind::Unavailable,
            },
        }
    }
}

/// An answer of the API server that is an error, with what we were doing.
pub(crate) fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> KubeNodeError {
    move |source| KubeNodeError::Api {
        doing: doing.into(),
        source: Box::new(source),
    }
}

/// Whether the API server answered with this status code.
pub(crate) fn is_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}
