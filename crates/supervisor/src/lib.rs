//! The loop that owns a container group.
//!
//! [`Groups`] is every group of the node. Each group belongs to one task; everybody else holds a
//! [`GroupHandle`]: a bounded channel of commands and the latest [`Snapshot`]. What the machine
//! must do is asked of one trait, [`host::Host`].
//!
//! ```text
//! command ─┐                      ┌─► effects (tasks on the Host) ─┐
//! exit ────┼─► seen ─► decide ────┤                                ├─► seen ...
//! outcome ─┘   (pure)  (pure)     └─► record, snapshot, journal    ┘
//! ```
//!
//! Read `decide` to learn what a group does, `run` to learn when, `seen` to learn from what. This
//! crate knows no kernel, no wire and no file; it reads no clock but the host's.

mod backoff;
mod capacity;
mod change;
mod config;
mod decide;
mod event_log;
mod groups;
mod handle;
pub mod host;
mod journal;
mod meter;
mod probe_counts;
mod quota;
pub mod record;
mod refusal;
mod room;
mod run;
mod seen;
mod snapshot;
pub mod stream;
mod streams;
mod verb;

pub use capacity::{
    Capacity, DeviceUse, Lack, Place, Queue, QueueFull, Rank, RoomUse, Shortage, TooLittle, Wants,
};
pub use config::Config;
pub use groups::{CreateRequest, Groups, Listing};
pub use handle::{Condition, GroupHandle};
pub use journal::{Change, ChangeKind, Changes, Expired};
pub use probe_counts::ProbeCount;
pub use quota::{Quota, Quotas};
pub use refusal::Refusal;
pub use snapshot::Snapshot;
pub use verb::{Admission, Verb};
