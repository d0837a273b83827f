use std::io;
use std::path::PathBuf;
use std::time::Duration;

use burstlet_model::ErrorKind;

/// What went wrong with a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The configured root is not a relative path of plain names.
    #[error(
        "{0:?} is not a cgroup root: write 1 to 4 names of A-Z a-z 0-9 . _ -, joined by '/', such as burstlet"
    )]
    Root(String),
    /// No hierarchy, or not all that is needed, is mounted.
    #[error(
        "no cgroup controller for {} is mounted: mount cgroup2, or the v1 hierarchies, at /sys/fs/cgroup",
        .0.join(", ")
    )]
    Missing(Vec<&'static str>),
    /// Nothing would keep a container from devices that are not its own.
    #[error(
        "this machine's cgroups do not list the devices that may be opened, as those of version 2"
    )]
    DevicesNotListed,
    /// A controller exists but cannot be given to our root.
    #[error("enable the cgroup controller {controller} in {path}")]
    Enable {
        /// The controller.
        controller: &'static str,
        /// The `cgroup.subtree_control` written to.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The cgroup exists already.
    #[error("the cgroup {0} exists already")]
    Exists(PathBuf),
    /// A directory could not be made.
    #[error("make the cgroup {path}")]
    Make {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A control file could not be written.
    #[error("write {value:?} to {path}")]
    Write {
        /// The control file.
        path: PathBuf,
        /// What was to be written.
        value: String,
        /// Why not.
        source: io::Error,
    },
    /// A control file could not be read.
    #[error("read {path}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A control file has a content that we do not understand.
    #[error("{path} has no {field}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        field: &'static str,
    },
    /// Processes are left although all were killed, again and again.
    #[error("{left} processes in {path} outlived SIGKILL for {patience:?}")]
    Unkillable {
        /// The cgroup.
        path: PathBuf,
        /// How many are left.
        left: usize,
        /// How long it was tried.
        patience: Duration,
    },
    /// The cgroup has processes, so it cannot be removed.
    #[error("the cgroup {path} still has {processes} processes")]
    Busy {
        /// The cgroup.
        path: PathBuf,
        /// How many.
        processes: usize,
    },
    /// A directory could not be removed.
    #[error("remove the cgroup {path}")]
    Remove {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl CgroupError {
    /// The class of this failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Root(_) => ErrorKind::Invalid,
            Self::Missing(_) | Self::Enable { .. } | Self::DevicesNotListed => {
                ErrorKind::Unsupported
            }
            Self::Exists(_) => ErrorKind::AlreadyExists,
            Self::Busy { .. } => ErrorKind::FailedPrecondition,
            Self::Unkillable { .. } => ErrorKind::DeadlineExceeded,
            Self::Make { source, .. } | Self::Read { source, .. } => of_io(source),
            Self::Write { source, .. } | Self::Remove { source, .. } => of_io(source),
            Self::Content { .. } => ErrorKind::Internal,
        }
    }

    pub(crate) fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Read {
            path: path.into(),
            source,
        }
    }

    pub(crate) fn write(
        path: impl Into<PathBuf>,
        value: impl Into<String>,
        source: io::Error,
    ) -> Self {
        Self::Write {
            path: path.into(),
            value: value.into(),
            source,
        }
    }
}

/// A limit below what is in use answers EBUSY; a cgroup that is gone answers ENOENT or ENODEV.
fn of_io(source: &io::Error) -> ErrorKind {
    match source.raw_os_error() {
        Some(nix::libc::ENOENT | nix::libc::ENODEV) => ErrorKind::NotFound,
        Some(nix::libc::EBUSY) => ErrorKind::FailedPrecondition,
        Some(nix::libc::EACCES | nix::libc::EPERM | nix::libc::EROFS) => {
            ErrorKind::PermissionDenied
        }
        Some(nix::libc::EAGAIN | nix::libc::ENOSPC | nix::libc::ENOMEM) => {
            ErrorKind::ResourceExhausted
        }
        _ => ErrorKind::Internal,
    }
}
