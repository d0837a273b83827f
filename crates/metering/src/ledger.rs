//! The durable, chained list of all records.
//!
//! ```text
//! append ─┐             ┌─ one write, one fdatasync ─► observer ─► each append is answered
//! append ─┼─► writer ───┤
//! append ─┘  (a thread) └─ segment full? the reserve becomes the next segment
//! ```
//!
//! What is acknowledged survives a power cut. A disk that fails to sync poisons the ledger: nothing
//! more is acknowledged until it is opened anew and reads what is really there. Opening tells a
//! ledger that is fresh from one that is whole, one whose last unacknowledged write was torn, and
//! one of which something acknowledged is gone.
//!
//! Old segments are retired as a whole ([`Writer::retire`]): what they came to is written beside the
//! chain, a record has its hash, and then they may go.
//!
//! A ledger has one writer: the directory is locked, and every record carries its writer's epoch.

mod error;
mod frame;
mod handle;
mod mark;
mod repair;
mod scan;
mod segment;
mod status;
mod storage;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
mod writer;

pub use error::{AppendError, OpenError};
pub use handle::Ledger;
pub use mark::Mark;
pub use scan::{Damage, Entered, Found, Scan, scan};
pub use status::{Opening, Outcome, Receipt, Status, Syncs};
pub use storage::{Directory, Files, Inspected, Storage};
pub use writer::{
    APPEND_BYTES_MAX, Observer, Options, SEGMENT_BYTES, SEGMENT_BYTES_MIN, Shown, Writer,
};
