//! Safe unpack of one layer into one directory.
//!
//! A layer is the most hostile input that Burstlet reads: an archive by a stranger, decompressed
//! and turned into files as root. So the agent reads none of it. It starts `burstlet-unpack`,
//! hands it the blob as standard input, the directory to fill as working directory and a socket
//! as standard output, and nothing else:
//!
//! ```text
//!  agent                         burstlet-unpack              burstlet-unpack (pid 1)
//!    │ spawn ─────────────────────► unshare user, pid, mount,
//!    │                              net, ipc, uts, cgroup
//!    │ ◄──────────────── hello ──── wait
//!    │ write uid and gid maps
//!    │ go, job ───────────────────► start itself again ──────► pivot into the directory,
//!    │                              wait for it                drop ids, capabilities, limits,
//!    │                                                         Landlock, seccomp
//!    │                                                         read the job, unpack
//!    │ ◄───────────────────────────────────────────── report ─ end
//!    │ mark opaque directories      end
//! ```
//!
//! * **By descriptor.** Every name is resolved anew below the root by `openat2`, and owner, mode,
//!   times and attributes are set on descriptors. No path string is ever cached.
//! * **One strict reader.** An archive that two tar readers could understand differently is
//!   refused, see [`HeaderRule`].
//! * **As overlayfs wants it.** Layers keep their real ids; a whiteout is a character device 0:0
//!   (which a user namespace may make), an opaque directory carries `trusted.overlay.opaque`
//!   (which it may not, so the agent sets that from the report). All other device nodes become
//!   whiteouts.
//! * **Nothing is synced.** The caller makes the directory durable (one `syncfs`) before it gives
//!   the layer its name, and removes the directory after an error with
//!   [`remove_tree`](crate::remove_tree).

mod apply;
mod client;
mod confine;
mod decode;
mod error;
mod fault;
pub(crate) mod limits;
pub(crate) mod name;
mod protocol;
mod seccomp;
pub(crate) mod tar;

mod worker;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use burstlet_model::Digest;
use serde::{Deserialize, Serialize};

use crate::LayerPacking;

#[cfg(feature = "fuzzing")]
pub(crate) mod inside {
    //! The unpacker without its confinement.
    pub(crate) use super::apply::Applier;
    pub(crate) use super::decode::LayerStream;
    pub(crate) use super::limits::Budget;
    pub(crate) use super::tar::Reader;
}

pub use client::Unpacker;
pub(crate) use client::{BARE_ROOT_ATTRIBUTE, OPAQUE_ATTRIBUTE};
pub use error::UnpackError;
pub use fault::{EntryRule, HeaderRule, LayerFault, Limit, NameRule};
pub use limits::{
    DEPTH_MAX, DISK_BYTES_MAX, ENTRIES_MAX, EXTENSION_BYTES_MAX, HEADER_BYTES_MAX,
    LOGICAL_BYTES_MAX, OPAQUE_DIRECTORIES_MAX, RATIO_FLOOR_BYTES, RATIO_MAX, TRAILING_BYTES_MAX,
    UnpackLimits, ZSTD_WINDOW_LOG_MAX,
};
pub use worker::main as unpacker_main;

/// The highest user or group id that a layer may use: what a group's user namespace maps.
pub const ID_MAX: u32 = 65_535;

/// How long one layer may take.
pub const UNPACK_DEADLINE: Duration = Duration::from_secs(900);

/// How to unpack.
#[derive(Clone, Debug)]
pub struct UnpackerConfig {
    /// The `burstlet-unpack` binary.
    pub program: PathBuf,
    /// What one layer may cost.
    pub limits: UnpackLimits,
    /// How long one layer may take.
    pub deadline: Duration,
    /// What becomes of device nodes.
    pub devices: DevicePolicy,
}

impl UnpackerConfig {
    /// The defaults, with `program` as unpacker.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            limits: UnpackLimits::default(),
            deadline: UNPACK_DEADLINE,
            devices: DevicePolicy::default(),
        }
    }
}

/// What becomes of a layer's device nodes. None is ever created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DevicePolicy {
    /// The name is absent from the image; the containers' `/dev` is Burstlet's own anyway.
    #[default]
    LeaveOut,
    /// The layer is refused.
    Refuse,
}

/// A layer to unpack.
#[derive(Debug)]
pub struct LayerBlob {
    /// The blob; read once from its current position to its end, so a pipe does as well.
    pub file: File,
    /// How it is packed.
    pub packing: LayerPacking,
    /// The digest that the uncompressed stream must have.
    pub diff_id: Digest,
}

/// What an unpacking made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// Entries of the archive.
    pub entries: u64,
    /// Sum of the files' sizes.
    pub logical_bytes: u64,
    /// Estimate of what the tree takes on disk.
    pub disk_bytes: u64,
    /// Device nodes that were left out.
    pub devices_left_out: u64,
    /// Extended attributes that are not on the list of those kept (`user.*` without
    /// `user.overlay.*`, `security.capability`).
    pub attributes_left_out: u64,
}
