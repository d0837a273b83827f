//! What the agent asks a keeper to do, as plain data.
//!
//! A plan says everything: the keeper looks nothing up and decides nothing about policy. What lies
//! outside the launcher's small mount namespace (cgroup files, host directories) is named by
//! [`Outside`]: the client opens it where it can be seen, and the keeper gets a file descriptor.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burstlet_model::{ContainerName, DeviceNumber, GroupUid};
use oci_spec::runtime::{Process, Spec};
use serde::{Deserialize, Serialize};

use crate::protocol::text;

/// Most files that one message brings for memory volumes.
pub const MEMORY_FILES_MAX: usize = 128;
/// The most bytes of one such file.
pub const MEMORY_FILE_BYTES_MAX: usize = 4 << 20;
/// Most mounts of one container besides those of its OCI spec.
pub const MOUNTS_MAX: usize = 96;
/// Most lower layers of one root file system: overlayfs takes its list in one page.
pub const LOWERS_MAX: usize = 128;
/// Most files read at a container's end.
pub const FINAL_READS_MAX: usize = 16;
/// Most bytes kept of each file read at a container's end.
pub const FINAL_READ_BYTES_MAX: usize = 4096;
/// The key under which a container's last words are among what was read at its end.
pub const LAST_WORDS: &str = "last-words";
/// What a container may write of last words: more than is kept, so that a program that writes too
/// much does not fail.
pub const LAST_WORDS_BYTES_MAX: u64 = 64 << 10;

/// A group: the namespaces that its containers share, and where its keeper lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupPlan {
    /// The group's identity; the keeper's socket is named by it.
    #[serde(with = "text")]
    pub uid: GroupUid,
    /// The host name that the group's containers see.
    pub hostname: String,
    /// The NIS domain name, if one is set.
    #[serde(default)]
    pub domainname: Option<String>,
    /// The host ids that the group's ids 0.. are; `None` leaves the group in the host's user
    /// namespace.
    #[serde(default)]
    pub user: Option<IdRange>,
    /// Whose network the group uses.
    #[serde(default)]
    pub network: NetworkNamespace,
    /// Whether the containers see each other's processes.
    #[serde(default)]
    pub share_process_namespace: bool,
    /// Sysctls of the group's network and IPC namespaces, by dotted name; ids in them are the
    /// host's. The caller has checked them against its list of safe ones.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// The group's directory below the state directory. Exit records go to `exits/` in it.
    pub dir: PathBuf,
    /// The cgroup that the keeper itself runs in.
    #[serde(default)]
    pub cgroup: Option<CgroupEntry>,
}

/// A range of host ids given to one group's user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The host id that the group's id 0 is.
    pub host_base: u32,
    /// How many ids follow each other from there.
    pub len: u32,
}

impl IdRange {
    /// The host id of the group's id, if the range holds it.
    #[must_use]
    pub fn to_host(self, id: u32) -> Option<u32> {
        (id < self.len)
            .then(|| self.host_base.checked_add(id))
            .flatten()
    }
}

/// Whose network namespace a group uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkNamespace {
    /// A new one, empty until the agent fills it through the descriptor that it is given.
    #[default]
    New,
    /// The host's.
    Host,
}

/// Something that the launcher's mount namespace does not show.
///
/// Callers name a path or give bytes; the client library turns both into passed descriptors, and
/// a keeper accepts nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// A path as the caller sees it.
    Path(PathBuf),
    /// The content of an anonymous file.
    Bytes(Vec<u8>),
    /// The position among the descriptors that came with the message.
    Passed(u32),
}

/// How a process gets into a cgroup without the wait that writing a pid to `cgroup.procs` costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupEntry {
    /// Version 1: the `tasks` file of each hierarchy, to which the process writes `0` itself.
    Tasks(Vec<Outside>),
    /// Version 2: the directory that the process is born in.
    BornIn(Outside),
}

/// The cgroup of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerCgroup {
    /// How the container's processes get in.
    pub entry: CgroupEntry,
    /// A `cgroup.procs` file that lists the container's processes: needed where its process
    /// namespace is not its own, since the end of the first process does not end the others there.
    #[serde(default)]
    pub procs: Option<Outside>,
    /// The trees by which the container is shown its cgroup, if its spec has a mount of kind
    /// `cgroup`.
    #[serde(default)]
    pub shown: Vec<ShownCgroup>,
}

/// One tree of a container's cgroup, as the container is to see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownCgroup {
    /// The directory that it is in the mount. `None` for a tree that is itself the mount, which is
    /// then the only one.
    #[serde(default)]
    pub name: Option<String>,
    /// Links to it, which lie beside it.
    #[serde(default)]
    pub links: Vec<String>,
    /// Whether it is read-only even where the mount is not.
    #[serde(default)]
    pub read_only: bool,
    /// The cgroup's directory.
    pub directory: Outside,
}

/// One start of one container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerPlan {
    /// The container's name within the group.
    #[serde(with = "text")]
    pub name: ContainerName,
    /// Which start of the container this is; names the exit record.
    pub attempt: u32,
    /// The OCI runtime spec: process, mounts, masked and read-only paths. The keeper fills in the
    /// root path and all namespaces, and refuses a spec with hooks, resources, a cgroup path, a
    /// seccomp section or id mappings, for those are not its spec's to say.
    pub spec: Box<Spec>,
    /// The root file system.
    pub rootfs: RootfsPlan,
    /// Volumes and single files, mounted after the spec's own mounts.
    #[serde(default)]
    pub mounts: Vec<MountPlan>,
    /// The container's cgroup.
    #[serde(default)]
    pub cgroup: Option<ContainerCgroup>,
    /// Counters to read when the container has ended, before anybody can remove its cgroup.
    #[serde(default)]
    pub final_reads: Vec<FinalRead>,
    /// The seccomp program: an array of `sock_filter`. It must allow `read`, `write` and `execve`.
    #[serde(default)]
    pub seccomp: Option<Outside>,
    /// Where the container's output is written.
    #[serde(default)]
    pub log: Option<LogTarget>,
    /// What the container's standard input is.
    #[serde(default)]
    pub stdin: Stdin,
    /// The container whose process namespace it joins. It must run, and its end is the end of all
    /// in there.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub target: Option<ContainerName>,
    /// Whether the container is started at once, or waits for a `start` of its own.
    pub start: bool,
}

/// An overlay file system, mounted where only the keeper and its container see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsPlan {
    /// The read-only layers, top first, with their ids as the image has them. The top one must
    /// hold real `dev`, `proc` and `sys` directories.
    pub lowers: Vec<PathBuf>,
    /// The writable layer, owned by the group's id range. It serves one start only.
    pub upper: PathBuf,
    /// Overlayfs' work directory, empty, on the same file system as `upper`.
    pub work: PathBuf,
}

/// One mount besides those of the OCI spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    /// Where the container sees it.
    pub destination: PathBuf,
    /// What is mounted.
    pub source: MountSource,
    /// Whether it is read-only there.
    #[serde(default)]
    pub read_only: bool,
    /// Further mount options as fstab has them, such as `nosuid` or `rslave`.
    #[serde(default)]
    pub options: Vec<String>,
}

/// What a [`MountPlan`] mounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A directory or file of the host with all that is mounted below it.
    Tree {
        /// The tree's root.
        root: Outside,
        /// A path below the root, resolved without ever leaving it, made if it is missing.
        #[serde(default)]
        sub_path: Option<PathBuf>,
        /// Whether ids on disk are the container's own (so that they are mapped by the mount), or
        /// host ids already.
        #[serde(default)]
        idmap: bool,
    },
    /// What image layers show together, read-only: an image used as a volume. All mounts that name
    /// the same layers share it.
    Layers {
        /// The layers, top first, with their ids as the image has them.
        lowers: Vec<PathBuf>,
        /// A path below the image's root, resolved without ever leaving it. It must be there.
        #[serde(default)]
        sub_path: Option<PathBuf>,
    },
    /// Memory that lives as long as the group: all mounts that name the same volume share it.
    Memory {
        /// The volume's name within the group.
        volume: String,
        /// The most bytes it may hold.
        size_bytes: u64,
        /// The mode of its root directory.
        mode: u32,
        /// The group that owns its root directory, in the group's own ids; 0 if absent.
        #[serde(default)]
        gid: Option<u32>,
        /// A path below the root, resolved without ever leaving it, made if it is missing.
        #[serde(default)]
        sub_path: Option<PathBuf>,
        /// What it begins with, if it is not to be written by its containers.
        #[serde(default)]
        files: Vec<MemoryFile>,
    },
    /// A node of a device of the host, at the path itself and not behind a link. It can be used, and
    /// neither the mount nor the node be changed.
    Device {
        /// The node.
        node: Outside,
        /// The device that it has to be.
        #[serde(serialize_with = "text::shown", deserialize_with = "text::deserialize")]
        number: DeviceNumber,
    },
    /// An empty file in memory, for one start of the container to leave its last words in. What it
    /// holds at the end is among the exit's `finals`, by the key [`LAST_WORDS`].
    LastWords,
}

/// A file of a memory volume, such as a secret: its content goes from memory to memory and is never
/// on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFile {
    /// Below the volume's root; directories are made as needed.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// The group that owns it, in the group's own ids; 0 if absent.
    #[serde(default)]
    pub gid: Option<u32>,
    /// What it holds.
    pub content: Outside,
}

/// One file to read at a container's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalRead {
    /// The key under which the content is given back.
    pub key: String,
    /// The file; it is opened when the container is created.
    pub file: Outside,
}

/// Where and how a container's output is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogTarget {
    /// The directory of this start's log files.
    pub dir: PathBuf,
    /// The size at which the file is rotated.
    pub bytes_max: u64,
    /// How many files are kept, the one being written included.
    pub files_max: u32,
}

/// What a container reads as its standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    #[default]
    Null,
    /// What attached clients send; it stays open when they leave.
    Open,
    /// What the first attached client sends; its end is the end of the input.
    Once,
}

/// One process to run in a running container, isolated as the container's own process is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecPlan {
    /// The caller's name for this process, unique within the group while it runs.
    pub id: String,
    /// The container to run in.
    #[serde(with = "text")]
    pub container: ContainerName,
    /// The process: the container's own with arguments, terminal and environment changed.
    pub process: Process,
}
