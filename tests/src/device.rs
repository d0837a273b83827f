//! Nodes of devices below `/dev` that a test makes for itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

/// A node that everybody may open, and that goes with the test.
#[derive(Debug)]
pub struct DeviceNode(PathBuf);

impl DeviceNode {
    /// Makes a node of a character device by its major and minor number.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn make(name: &str, (major, minor): (u64, u64)) -> Self {
        let path = format!("/dev/burstlet-test-{name}-{}", std::process::id());
        let node = Self(PathBuf::from(path));
        let number = makedev(major, minor);
        mknod(&node.0, SFlag::S_IFCHR, Mode::empty(), number).unwrap();
        fs::set_permissions(&node.0, fs::Permissions::from_mode(0o666)).unwrap();
        node
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for DeviceNode {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
