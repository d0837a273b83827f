//! How a record lies in a segment: its length, a checksum, its body, and the chain's head after it.

use crate::chain::{self, Hash};
use crate::record::{BODY_BYTES_MAX, DecodeError, Record};

/// Bytes around a body.
pub(super) const FRAME_BYTES: usize = 4 + 4 + 32;

/// Appends a body and the head after it to `to`.
pub(super) fn write(to: &mut Vec<u8>, body: &[u8], head: &Hash) {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    to.extend(length.to_le_bytes());
    to.extend(checksum(body, head).to_le_bytes());
    to.extend(body);
    to.extend(head);
}

/// A record as it lies in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) record: Record,
    pub(super) body: &'a [u8],
    pub(super) head: Hash,
    pub(super) bytes: usize,
}

/// Why there is no whole frame at a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// Nothing was written here.
    #[error("nothing was written here")]
    End,
    #[error("its length or its checksum is wrong")]
    Torn,
    #[error("its hash does not follow from the records before it")]
    Chain,
    #[error("its number is {found}, not {expected}")]
    Sequence { expected: u64, found: u64 },
    #[error(transparent)]
    Body(#[from] DecodeError),
}

/// Reads the frame at the begin of `bytes`, which has to follow `head` and to be number `seq`.
pub(super) fn read<'a>(bytes: &'a [u8], head: &Hash, seq: u64) -> Result<Frame<'a>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Err(FrameError::End);
    };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length == 0 && bytes.iter().all(|byte| *byte == 0) {
        return Err(FrameError::End);
    }
    if length > BODY_BYTES_MAX {
        return Err(FrameError::Torn);
    }
    let (sum, rest) = rest.split_first_chunk().ok_or(FrameError::Torn)?;
    let (body, rest) = rest.split_at_checked(length).ok_or(FrameError::Torn)?;
    let (found, _) = rest.split_first_chunk::<32>().ok_or(FrameError::Torn)?;
    if u32::from_le_bytes(*sum) != checksum(body, found) {
        return Err(FrameError::Torn);
    }
    let expected = chain::next(head, &chain::leaf(body));
    if expected != *found {
        return Err(FrameError::Chain);
    }
    let record = Record::decode(body)?;
    if record.seq != seq {
        return Err(FrameError::Sequence {
            expected: seq,
            found: record.seq,
        });
    }
    Ok(Frame {
        record,
        body,
        head: expected,
        bytes: FRAME_BYTES + length,
    })
}

fn checksum(body: &[u8], head: &Hash) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(body), head)
}
