//! How a ledger was found, and how it is.

use burstlet_model::Stamp;

use crate::chain::{Hash, LedgerId};

use super::mark::Mark;
use super::scan::Damage;

/// The proof that records are in the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The number of the last of them.
    pub seq: u64,
    /// The chain's head after it.
    pub head: Hash,
}

/// How a ledger was found when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// In short.
    pub outcome: Outcome,
    /// Everything that is not as it was written, now or since an earlier agent.
    pub damages: Vec<Damage>,
    /// How far the ledger was durable when it was marked last, and when that was: the last proof
    /// that agent and machine were up.
    pub last_mark: Option<Mark>,
    /// The last record that an earlier agent wrote.
    pub seq: u64,
}

/// How a ledger was found, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was none.
    Fresh,
    /// Whole.
    Loaded,
    /// A power cut tore the last write, which had not been acknowledged; it was cut off.
    TornTail {
        /// Of which file.
        file: String,
        /// How much of it.
        bytes: u64,
    },
    /// Acknowledged records are damaged or gone. What is whole of a damaged file still counts; the
    /// file was set aside as it was, and the chain goes on behind the hole.
    Corrupt {
        /// The files under their new names.
        set_aside: Vec<String>,
    },
}

/// How a ledger is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Which ledger.
    pub ledger: LedgerId,
    /// Which epoch: how often it was opened.
    pub epoch: u32,
    /// The last durable record.
    pub seq: u64,
    /// The chain's head after it.
    pub head: Hash,
    /// Segments.
    pub segments: u64,
    /// Whether there is room for the next segment, whatever the disk says.
    pub has_reserve: bool,
    /// Why not.
    pub reserve_trouble: Option<String>,
    /// Records written in this epoch.
    pub records: u64,
    /// Bytes written in this epoch.
    pub bytes: u64,
    /// When the last of them was durable.
    pub last_commit: Stamp,
    /// How long the syncs of this epoch took.
    pub syncs: Syncs,
    /// Writes and syncs that failed.
    pub sync_errors: u64,
    /// Why nothing is taken any more.
    pub poisoned: Option<String>,
}

/// How long writes took until they were durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Syncs {
    /// How many took at most as long as [`Syncs::BOUNDS_NS`] says; not cumulative. The last place
    /// is for those that took longer.
    pub buckets: [u64; 11],
    /// How many there were.
    pub count: u64,
    /// How long all of them took, in nanoseconds.
    pub sum_ns: u64,
}

impl Syncs {
    /// The upper bounds of the buckets, in nanoseconds.
    pub const BOUNDS_NS: [u64; 10] = [
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        50_000_000,
        250_000_000,
        1_000_000_000,
    ];

    pub(super) fn count(&mut self, ns: u64) {
        let place = Self::BOUNDS_NS.iter().position(|bound| ns <= *bound);
        let place = place.unwrap_or(Self::BOUNDS_NS.len());
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }
}
