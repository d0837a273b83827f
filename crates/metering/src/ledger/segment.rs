//! A segment: a file of fixed size, with a header that says where in the chain it begins.

use crate::chain::{Hash, LedgerId};

/// The format that this code writes.
pub(super) const FORMAT: u16 = 1;
/// Where the first frame of a segment begins.
pub(super) const HEADER_BYTES: usize = 128;
/// The file that becomes the next segment.
pub(super) const RESERVE: &str = "reserve";

const MAGIC: &[u8; 8] = b"BURSTLGR";
const SUMMED: usize = 8 + 2 + 2 + 4 + 16 + 8 + 32;
const SEGMENT: &str = "segment-";
const DAMAGED: &str = "damaged-";
const CARRIED: &str = "carried-";

/// Where a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) ledger: LedgerId,
    /// Its number, from 1.
    pub(super) number: u32,
    /// The number of its first record.
    pub(super) first_seq: u64,
    /// The chain's head before its first record.
    pub(super) head: Hash,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("its header is damaged")]
    Damaged,
    #[error("it is of format {0}")]
    Newer(u16),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.ledger.0);
        bytes.extend(self.first_seq.to_le_bytes());
        bytes.extend(self.head);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        let mut header = [0; HEADER_BYTES];
        for (to, from) in header.iter_mut().zip(bytes) {
            *to = from;
        }
        header
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let (summed, rest) = bytes.split_at_checked(SUMMED).ok_or(HeaderError::Damaged)?;
        let sum = rest.first_chunk().ok_or(HeaderError::Damaged)?;
        let rest = summed.strip_prefix(MAGIC).ok_or(HeaderError::Damaged)?;
        if u32::from_le_bytes(*sum) != crc32c::crc32c(summed) {
            return Err(HeaderError::Damaged);
        }
        Self::fields(rest).ok_or(HeaderError::Damaged)?
    }

    /// What follows the magic; `None` if it is too short.
    fn fields(rest: &[u8]) -> Option<Result<Self, HeaderError>> {
        let (format, rest) = rest.split_first_chunk()?;
        let (_, rest) = rest.split_first_chunk::<2>()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (ledger, rest) = rest.split_first_chunk()?;
        let (first_seq, rest) = rest.split_first_chunk()?;
        let head = rest.first_chunk()?;
        Some(match u16::from_le_bytes(*format) {
            FORMAT => Ok(Self {
                ledger: LedgerId(*ledger),
                number: u32::from_le_bytes(*number),
                first_seq: u64::from_le_bytes(*first_seq),
                head: *head,
            }),
            newer => Err(HeaderError::Newer(newer)),
        })
    }
}

/// The name of a whole segment.
pub(super) fn name(number: u32) -> String {
    format!("{SEGMENT}{number:010}")
}

/// The name of a segment that was set aside.
pub(super) fn damaged_name(number: u32) -> String {
    format!("{DAMAGED}{number:010}")
}

/// The name of what is carried on of the segments up to this one.
pub(super) fn carried_name(number: u32) -> String {
    format!("{CARRIED}{number:010}")
}

/// The last segment that a file of this name stands for.
pub(super) fn carried_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix(CARRIED)?.parse().ok()?;
    (carried_name(number) == name).then_some(number)
}

/// A file of the ledger by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) number: u32,
    /// It was set aside by an earlier load.
    pub(super) damaged: bool,
}

impl Named {
    /// The segment that a file name speaks of.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (digits, damaged) = match name.strip_prefix(SEGMENT) {
            Some(digits) => (digits, false),
            None => (name.strip_prefix(DAMAGED)?, true),
        };
        let number = digits.parse().ok()?;
        let named = Self { number, damaged };
        (named.file() == name).then_some(named)
    }

    pub(super) fn file(self) -> String {
        match self.damaged {
            true => damaged_name(self.number),
            false => name(self.number),
        }
    }
}
