use crate::{Bytes, ImageRef, Secret};

use super::PullPolicy;

/// A volume of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// A DNS label, unique within the group.
    pub name: String,
    /// What it holds.
    pub source: VolumeSource,
}

/// What a volume holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// Empty at first, lives as long as the group does.
    EmptyDir {
        /// On disk or in memory.
        medium: Medium,
        /// The most it may hold.
        size_limit: Option<Bytes>,
    },
    /// Files with given contents, read-only, on disk.
    ConfigData(Vec<DataFile>),
    /// Files with secret contents, read-only, in memory only.
    SecretData(Vec<DataFile>),
    /// The file system of an image, read-only.
    Image {
        /// Which image.
        reference: ImageRef,
        /// When to ask the registry.
        pull_policy: PullPolicy,
    },
    /// An export of an NFS server.
    Nfs {
        /// Host name or address.
        server: String,
        /// Absolute path on the server.
        path: String,
        /// Mounted read-only.
        read_only: bool,
    },
    /// A path of the host, within the operator's allow-list.
    HostPath {
        /// Absolute, without `..`.
        path: String,
        /// What must be there, or is made.
        kind: HostPathType,
    },
    /// A path of the host that outlives the group, within the operator's list of those that clusters
    /// may use. Ids on it are the group's own.
    Persistent {
        /// Absolute, without `..`.
        path: String,
        /// What must be there, or is made.
        kind: HostPathType,
        /// Mounted read-only.
        read_only: bool,
        /// What is on it is given to the group's `fsGroup`.
        follows_fs_group: bool,
        /// How much was set aside for the claim that it is of.
        capacity: Option<Bytes>,
    },
}

/// What an `emptyDir` is kept on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// The node's disk.
    Disk,
    /// A tmpfs, counted as the group's memory.
    Memory,
}

/// A file of a config or secret volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Relative, without `..`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// The contents.
    pub data: Secret<Vec<u8>>,
}

/// Kubernetes' `hostPath.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPathType {
    /// No check.
    Unchecked,
    /// A directory must be there.
    Directory,
    /// A directory is made if nothing is there.
    DirectoryOrCreate,
    /// A file must be there.
    File,
    /// An empty file is made if nothing is there.
    FileOrCreate,
    /// A unix socket must be there.
    Socket,
    /// A character device must be there.
    CharDevice,
    /// A block device must be there.
    BlockDevice,
}
