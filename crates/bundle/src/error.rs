use burstlet_model::ErrorKind;
use oci_spec::OciSpecError;

use crate::seccomp::ProfileError;

/// Why a container cannot be described. Paths are those of the group's specification.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Neither the specification nor the image says what to run.
    #[error("{path}: the image has no entry point and no command: say what to run")]
    NoCommand {
        /// The field that would say it.
        path: String,
    },
    /// A text has a NUL, which ends every text that a process is given.
    #[error("{path}: the text has a NUL character")]
    Nul {
        /// The field.
        path: String,
    },
    /// The working directory is not absolute.
    #[error("{path}: {text:?} is not an absolute path")]
    NotAbsolute {
        /// The field.
        path: String,
        /// What it says.
        text: String,
    },
    /// A variable asks for something that this group does not have.
    #[error("{path}: the group has no {fact}")]
    NoFact {
        /// The field.
        path: String,
        /// What was asked for.
        fact: &'static str,
    },
    /// The container must not run as root, and would.
    #[error(
        "{path}: the container would run as root: set runAsUser, or use an image with another user"
    )]
    Root {
        /// The field that forbids it.
        path: String,
    },
    /// An id that the group's user namespace does not have.
    #[error("{path}: id {id} is not within the group's ids 0 to {max}")]
    Id {
        /// The field.
        path: String,
        /// The id.
        id: u32,
        /// The largest that there is.
        max: u32,
    },
    /// Not the name of a capability.
    #[error("{path}: {name:?} is not a capability")]
    Capability {
        /// The field.
        path: String,
        /// The name.
        name: String,
    },
    /// Device nodes that nothing would keep from being opened.
    #[error(
        "{path}: MKNOD needs a user namespace, or cgroups that list devices, which this machine's do not: a device of the host could be opened"
    )]
    Devices {
        /// The field.
        path: String,
    },
    /// A kernel parameter that would reach beyond the group, or that is no parameter.
    #[error("{path}: the sysctl {name:?} is refused: {rule}")]
    Sysctl {
        /// The field.
        path: String,
        /// The parameter.
        name: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A part of the OCI specification could not be put together.
    #[error("put the OCI runtime specification together")]
    Oci(#[from] OciSpecError),
    /// The seccomp profile cannot be used.
    #[error("the seccomp profile cannot be used")]
    Seccomp(#[from] ProfileError),
}

impl BundleError {
    /// The class of this failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Root { .. } | Self::NoFact { .. } | Self::Devices { .. } => {
                ErrorKind::FailedPrecondition
            }
            Self::Seccomp(error) => error.kind(),
            Self::Oci(_) => ErrorKind::Internal,
            Self::NoCommand { .. }
            | Self::Nul { .. }
            | Self::NotAbsolute { .. }
            | Self::Id { .. }
            | Self::Capability { .. }
            | Self::Sysctl { .. } => ErrorKind::Invalid,
        }
    }
}
