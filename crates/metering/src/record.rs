//! One fact about a group's life, or about the ledger itself, with its moment.
//!
//! This is the whole vocabulary that money is derived from. A fact is never changed once it is
//! written; what supersedes it is a later fact. Counters in facts are totals of their session, so
//! that a fact which is told twice changes nothing.

mod bytes;
mod code;
mod decode;
mod encode;
mod fact;
mod opening;
mod samples;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

use std::fmt;

use burstlet_model::{GroupUid, Stamp};

pub(crate) use bytes::{Reader, Writer};
pub use decode::DecodeError;
pub use encode::EncodeError;
pub use fact::{
    Allocation, BookText, Carry, Close, Fact, Gap, GapReason, Opened, Pull, Restart, Scheduling,
    SessionFact, State, Used,
};
pub use samples::{BUCKETS, Histogram, Samples};

/// The latest schema of the bodies that this code knows. Bodies of a newer one are refused.
pub const SCHEMA: u8 = 2;
/// Bytes of the longest body.
pub const BODY_BYTES_MAX: usize = 256 << 10;
/// Bytes of the longest text in a body, the text of a price book excepted.
pub const TEXT_BYTES_MAX: usize = 4 << 10;
/// Bytes of the longest price book.
pub const BOOK_BYTES_MAX: usize = 128 << 10;
/// Tags of one session.
pub const TAGS_MAX: usize = 64;
/// Images of one session.
pub const IMAGES_MAX: usize = 128;

/// One boot of one host: stamps of different boots cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub [u8; 16]);

/// When something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The boot that the stamp's boot clock belongs to.
    pub boot_id: BootId,
    /// Both clocks.
    pub stamp: Stamp,
}

/// One launch of one group: from being asked to run to being at rest again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// The group. Uids are never reused; names are.
    pub uid: GroupUid,
    /// Which launch of it, from 1.
    pub start: u32,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.uid, self.start)
    }
}

/// A fact as its writer hands it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened, which may be before it is written.
    pub at: Moment,
    /// What happened.
    pub fact: Fact,
}

/// A fact as it stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// Which agent wrote it: grows by one with every start of an agent on this ledger.
    pub epoch: u32,
    /// Random bytes, so that nobody can guess a record from its hash.
    pub salt: [u8; 16],
    /// When it happened.
    pub at: Moment,
    /// What happened.
    pub fact: Fact,
}

impl Record {
    /// The canonical bytes, which are what is hashed.
    ///
    /// # Errors
    /// A text or a list is longer than the format has room for.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode::record(self)
    }

    /// Reads canonical bytes. Exactly what [`Record::encode`] can write is accepted.
    ///
    /// # Errors
    /// The bytes are not a record, or of a newer schema.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        decode::record(body)
    }
}
