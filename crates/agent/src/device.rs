//! Nodes of this host's devices. What was looked at is held open, so that it is what is used.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use burstlet_model::{DeviceNumber, ErrorKind};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// A node of a device.
#[derive(Debug)]
pub(crate) struct Node {
    path: PathBuf,
    number: DeviceNumber,
    fd: OwnedFd,
}

/// Why a path is not a node that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NodeError {
    /// Nothing is there, as long as its driver is not.
    #[error("there is no {0}: its driver makes it")]
    Absent(PathBuf),
    /// What it leads to could be another device tomorrow.
    #[error("{0} is a link, or behind one: name the device itself")]
    Link(PathBuf),
    /// Something else is there.
    #[error("{0} is no device")]
    Other(PathBuf),
    /// It cannot be looked at.
    #[error("look at {path}: {errno}")]
    Errno {
        /// Where.
        path: PathBuf,
        /// What the kernel says.
        errno: Errno,
    },
}

impl NodeError {
    /// What class of failure it is.
    pub(crate) const fn kind(&self) -> ErrorKind {
        match self {
            Self::Absent(_) | Self::Link(_) | Self::Other(_) => ErrorKind::FailedPrecondition,
            Self::Errno { .. } => ErrorKind::Internal,
        }
    }
}

impl Node {
    /// Looks at what is at `path`. The device itself is not opened, which could do something.
    ///
    /// # Errors
    /// It is not a device, or cannot be looked at.
    pub(crate) fn open(path: &Path) -> Result<Self, NodeError> {
        let failed = |errno| match errno {
            Errno::NOENT | Errno::NOTDIR => NodeError::Absent(path.to_owned()),
            Errno::LOOP => NodeError::Link(path.to_owned()),
            errno => NodeError::Errno {
                path: path.to_owned(),
                errno,
            },
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let links = ResolveFlags::NO_SYMLINKS;
        let fd = rustix::fs::openat2(CWD, path, flags, Mode::empty(), links).map_err(failed)?;
        let number = burstlet_sandbox::device::number(fd.as_fd())
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let number = number.ok_or_else(|| NodeError::Other(path.to_owned()))?;
        Ok(Self {
            path: path.to_owned(),
            number,
            fd,
        })
    }

    /// Where it was found.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The device that it is.
    pub(crate) const fn number(&self) -> DeviceNumber {
        self.number
    }

    /// Who may do what with it, in bits.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(crate) fn mode(&self) -> Result<u32, NodeError> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|errno| NodeError::Errno {
            path: self.path.clone(),
            errno,
        })?;
        Ok(Mode::from_raw_mode(stat.st_mode).bits())
    }

    /// Another path of it for as long as it is held.
    pub(crate) fn held(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_devices_themselves_are_nodes() {
        let null = Node::open(Path::new("/dev/null")).unwrap();
        assert_eq!(null.number().to_string(), "c 1:3");
        assert_eq!(null.path(), Path::new("/dev/null"));
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        symlink("/dev/null", place("link")).unwrap();
        symlink("/dev", place("dev")).unwrap();
        std::fs::write(place("file"), "").unwrap();
        let found = |name: &str| Node::open(&place(name)).unwrap_err();
        assert_eq!(found("link"), NodeError::Link(place("link")));
        assert_eq!(found("dev/null"), NodeError::Link(place("dev/null")));
        assert_eq!(found("file"), NodeError::Other(place("file")));
        assert_eq!(found("none"), NodeError::Absent(place("none")));
        assert_eq!(found("file/x"), NodeError::Absent(place("file/x")));
    }

    #[test]
    fn what_was_looked_at_is_held() {
        let zero = Node::open(Path::new("/dev/zero")).unwrap();
        let held = std::fs::read_link(zero.held()).unwrap();
        assert_eq!(held, Path::new("/dev/zero"));
    }
}
