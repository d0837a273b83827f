//! An overlay of some directories, mounted nowhere: it is gone with the descriptor.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use tempfile::TempDir;

/// A detached overlay mount.
pub(crate) struct Overlay {
    mount: OwnedFd,
    /// A lower layer for those that have one alone, of which overlayfs merges nothing.
    _empty: TempDir,
}

impl Overlay {
    /// Merges `lowers`, top first, read-only unless there is an upper and a work directory.
    pub(crate) fn new(lowers: &[PathBuf], upper_and_work: Option<(&Path, &Path)>) -> Self {
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        let set = |key: &str, path: &Path| {
            rustix::mount::fsconfig_set_string(context.as_fd(), key, path).unwrap();
        };
        for lower in lowers {
            set("lowerdir+", lower);
        }
        let empty = tempfile::tempdir().unwrap();
        if lowers.len() == 1 && upper_and_work.is_none() {
            set("lowerdir+", empty.path());
        }
        if let Some((upper, work)) = upper_and_work {
            set("upperdir", upper);
            set("workdir", work);
        }
        rustix::mount::fsconfig_create(context.as_fd()).unwrap();
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let attributes = MountAttrFlags::empty();
        let mount = rustix::mount::fsmount(context.as_fd(), flags, attributes).unwrap();
        Self {
            mount,
            _empty: empty,
        }
    }

    /// A path to the root of the mount, for this process.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/.", self.mount.as_raw_fd()))
    }
}
