//! The mark: how far the ledger was durable, and that its agent lived, rewritten every second.
//!
//! It lies beside the chain, in two places that are written in turn, so that one of them is always
//! whole. It tells a record that was torn by a power cut from one that was there and is gone, and
//! it is the last proof that the machine was up.

use burstlet_model::{BootTime, Stamp, WallTime};

use crate::chain::{Hash, LedgerId};
use crate::record::{BootId, Moment};

/// The file.
pub(super) const MARK: &str = "mark";
/// Bytes of the file.
pub(super) const MARK_BYTES: u64 = 8192;

/// The distance of the two places: a block, so that no write touches both.
const PLACE_BYTES: u64 = 4096;
const MAGIC: &[u8; 8] = b"BURSTMRK";
const SUMMED: usize = 8 + 8 + 16 + 16 + 8 + 8 + 4 + 8 + 32;

/// How far a ledger was known to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Grows with every mark.
    pub turn: u64,
    /// Of which ledger.
    pub ledger: LedgerId,
    /// When it was made: the agent and the machine were up.
    pub at: Moment,
    /// The agent's epoch.
    pub epoch: u32,
    /// The last durable record.
    pub seq: u64,
    /// The chain's head after it.
    pub head: Hash,
}

impl Mark {
    pub(super) fn place(&self) -> u64 {
        (self.turn % 2) * PLACE_BYTES
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SUMMED + 4);
        bytes.extend(MAGIC);
        bytes.extend(self.turn.to_le_bytes());
        bytes.extend(self.ledger.0);
        bytes.extend(self.at.boot_id.0);
        bytes.extend(self.at.stamp.boot.0.to_le_bytes());
        bytes.extend(self.at.stamp.wall.0.to_le_bytes());
        bytes.extend(self.epoch.to_le_bytes());
        bytes.extend(self.seq.to_le_bytes());
        bytes.extend(self.head);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// The later of the two marks of a file, as far as they are whole.
    pub(super) fn latest(file: &[u8]) -> Option<Self> {
        let places = [0, usize::try_from(PLACE_BYTES).ok()?];
        let marks = places
            .into_iter()
            .filter_map(|at| Self::decode(file.get(at..)?));
        marks.max_by_key(|mark| mark.turn)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (summed, rest) = bytes.split_at_checked(SUMMED)?;
        if u32::from_le_bytes(*rest.first_chunk()?) != crc32c::crc32c(summed) {
            return None;
        }
        let rest = summed.strip_prefix(MAGIC)?;
        let (turn, rest) = rest.split_first_chunk()?;
        let (ledger, rest) = rest.split_first_chunk()?;
        let (boot_id, rest) = rest.split_first_chunk()?;
        let (boot, rest) = rest.split_first_chunk()?;
        let (wall, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        Some(Self {
            turn: u64::from_le_bytes(*turn),
            ledger: LedgerId(*ledger),
            at: Moment {
                boot_id: BootId(*boot_id),
                stamp: Stamp {
                    boot: BootTime(u64::from_le_bytes(*boot)),
                    wall: WallTime(i64::from_le_bytes(*wall)),
                },
            },
            epoch: u32::from_le_bytes(*epoch),
            seq: u64::from_le_bytes(*seq),
            head: *rest.first_chunk()?,
        })
    }
}
