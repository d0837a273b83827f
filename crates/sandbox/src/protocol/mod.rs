//! How the agent talks with the launcher and with the keepers.
//!
//! One message is one `SOCK_SEQPACKET` datagram of JSON, with file descriptors beside it. A client
//! sends [`Call`]s; the other side answers each with an [`Answer`] of the same number and sends
//! [`Event`]s of its own accord.
//!
//! The connection that creates a group is handed on to the new keeper, so a group costs one
//! connection: the launcher answers only if it could not fork.
//!
//! ```text
//! client ── CreateGroup ──► launcher ─ fork ─► keeper
//!        ◄─────────── Ready + netns ───────────┘ (same connection from here on)
//!        ── Run, Start, Exec, Attach, … ──────►
//!        ◄─ answers and events ────────────────
//! ```
//!
//! Versions: a field that is not known is ignored and one that is missing has a default, so both
//! sides accept messages of the version before and after theirs. An unknown request is answered
//! with [`FailureClass::Unsupported`], an unknown event is passed over.

use std::path::{Path, PathBuf};

use burstlet_model::GroupUid;

mod frame;
mod message;
#[cfg(feature = "next-version")]
mod next;
pub(crate) mod text;

pub use frame::{
    FrameError, Packed, decode_answer, decode_call, decode_detached, encode, packet_is_detached,
};
pub use message::{
    Answer, AttachmentEnd, Call, ContainerPhase, ContainerView, Event, ExecView, Exit, Failure,
    FailureClass, FinalValue, FromKeeper, Reply, Request, Snapshot, Started,
};

/// The version that this build speaks: the next one in builds that stand for it.
pub const VERSION: u32 = if cfg!(feature = "next-version") { 2 } else { 1 };
/// The longest message sent as a datagram; a longer one travels in an anonymous file.
pub const INLINE_BYTES_MAX: usize = 128 * 1024;
/// The longest message at all.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most file descriptors with one message; the kernel's own bound is 253.
pub const FDS_MAX: usize = 200;

/// Where the launcher of a run directory listens.
#[must_use]
pub fn launcher_socket(run_dir: &Path) -> PathBuf {
    run_dir.join("launcher.sock")
}

/// Where the keeper of a group listens.
#[must_use]
pub fn keeper_socket(run_dir: &Path, uid: &GroupUid) -> PathBuf {
    run_dir.join("keepers").join(format!("{uid}.sock"))
}
