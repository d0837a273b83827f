//! What is carried on of segments that are retired, so that no total falls when they go.
//!
//! Sessions of groups that are over become sums. Of groups that are not, the records stay as they
//! were, and so do price books. The chain's head at the end of the retired segments is where the
//! chain goes on; a record behind it has this file's hash, so that a head published later proves
//! what was carried on, as it proves any record.

use burstlet_model::{ErrorKind, WallTime};
use ethnum::I256;
use sha2::{Digest as _, Sha256};

use crate::chain::{self, Hash, LedgerId};
use crate::record::{
    BODY_BYTES_MAX, Carry, DecodeError, EncodeError, Reader, Record, TEXT_BYTES_MAX, Writer,
};

/// The format that this code writes.
pub const FORMAT: u16 = 1;
/// Tags that are labels, and values of each.
const TAGS_MAX: usize = 256;
/// Sums of one file.
const TOTALS_MAX: usize = 1 << 20;
/// Labels of one sum.
const LABELS_MAX: usize = 16;
/// Records of one file.
const RECORDS_MAX: usize = 1 << 24;
const MAGIC: &[u8; 8] = b"BURSTCAR";

/// What segments came to, up to one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Of which ledger.
    pub ledger: LedgerId,
    /// The last segment that it stands for.
    pub segment: u32,
    /// The last record of that segment.
    pub seq: u64,
    /// The chain's head after it.
    pub head: Hash,
    /// The latest epoch until then.
    pub epoch: u32,
    /// From here on the ledger has every session; those that are in sums ended before.
    pub since: WallTime,
    /// Random bytes, so that nobody can guess the sums from the hash.
    pub salt: [u8; 16],
    /// Records that did not fit: orphans, of another boot, backwards, late; and sessions with a tag
    /// that had too many values.
    pub(crate) counts: [u64; 5],
    /// The tags that are labels, with the values that were seen.
    pub(crate) tags: Vec<(String, Vec<String>)>,
    /// What sessions came to that are over.
    pub(crate) totals: Vec<Total>,
    /// Records that are not summed.
    pub(crate) records: Vec<Record>,
}

/// What a series of `/metrics/billing` came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) metric: String,
    pub(crate) labels: Vec<String>,
    /// In the metric's smallest unit.
    pub(crate) value: I256,
}

/// Why a file does not say what is carried on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarriedError {
    /// A newer Burstlet wrote it.
    #[error("it is of format {0}")]
    Newer(u16),
    /// It is not what was written.
    #[error("it is damaged")]
    Damaged,
    /// It is not what was written.
    #[error("it is damaged")]
    Decode(#[from] DecodeError),
}

impl CarriedError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Newer(_) => ErrorKind::Unsupported,
            Self::Damaged | Self::Decode(_) => ErrorKind::Invalid,
        }
    }
}

impl Carried {
    /// The file's bytes, and the record that has their hash.
    ///
    /// # Errors
    /// There is more than the format has room for.
    pub fn encode(&self) -> Result<(Vec<u8>, Carry), EncodeError> {
        let mut to = Writer::default();
        self.write_head(&mut to)?;
        let mut hash = seal(&to.0);
        to.count("records", self.records.len(), RECORDS_MAX)?;
        for record in &self.records {
            let body = record.encode()?;
            to.count("body", body.len(), BODY_BYTES_MAX)?;
            to.raw(&body);
            hash = chain::next(&hash, &chain::leaf(&body));
        }
        to.raw(&hash);
        let through = self.seq;
        Ok((to.0, Carry { through, hash }))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is not whole, or of a newer format.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Carry), CarriedError> {
        let mut from = Reader::new(bytes);
        let mut carried = Self::read_head(&mut from)?;
        let head = bytes.len() - from.left();
        let mut hash = seal(bytes.get(..head).ok_or(CarriedError::Damaged)?);
        for _ in 0..from.count("records", RECORDS_MAX)? {
            let length = from.count("body", BODY_BYTES_MAX)?;
            let body = from.bytes("body", length)?;
            hash = chain::next(&hash, &chain::leaf(body));
            carried.records.push(Record::decode(body)?);
        }
        if from.array::<32>("hash")? != hash {
            return Err(CarriedError::Damaged);
        }
        from.end()?;
        let through = carried.seq;
        Ok((carried, Carry { through, hash }))
    }

    /// What stands for all but the records; they follow in a chain, so that a tenant can be shown
    /// his own.
    pub(crate) fn sealed(&self) -> Result<Hash, EncodeError> {
        let mut to = Writer::default();
        self.write_head(&mut to)?;
        Ok(seal(&to.0))
    }

    fn write_head(&self, to: &mut Writer) -> Result<(), EncodeError> {
        to.raw(MAGIC);
        to.raw(&FORMAT.to_le_bytes());
        to.raw(&[0, 0]);
        to.u32(self.segment);
        to.raw(&self.ledger.0);
        to.u64(self.seq);
        to.raw(&self.head);
        to.u32(self.epoch);
        to.i64(self.since.0);
        to.raw(&self.salt);
        self.counts.iter().for_each(|count| to.u64(*count));
        to.count("tags", self.tags.len(), TAGS_MAX)?;
        for (tag, values) in &self.tags {
            to.text("tag name", tag, TEXT_BYTES_MAX)?;
            to.count("tag values", values.len(), TAGS_MAX)?;
            for value in values {
                to.text("tag value", value, TEXT_BYTES_MAX)?;
            }
        }
        to.count("totals", self.totals.len(), TOTALS_MAX)?;
        for total in &self.totals {
            to.text("metric", &total.metric, TEXT_BYTES_MAX)?;
            to.count("labels", total.labels.len(), LABELS_MAX)?;
            for label in &total.labels {
                to.text("label", label, TEXT_BYTES_MAX)?;
            }
            to.raw(&total.value.to_le_bytes());
        }
        Ok(())
    }

    fn read_head(from: &mut Reader<'_>) -> Result<Self, CarriedError> {
        if from.array("magic")? != *MAGIC {
            return Err(CarriedError::Damaged);
        }
        let format = u16::from_le_bytes(from.array("format")?);
        if format != FORMAT {
            return Err(CarriedError::Newer(format));
        }
        from.array::<2>("padding")?;
        let mut carried = Self {
            segment: from.u32("segment")?,
            ledger: LedgerId(from.array("ledger")?),
            seq: from.u64("sequence number")?,
            head: from.array("head")?,
            epoch: from.u32("epoch")?,
            since: WallTime(from.i64("wall time")?),
            salt: from.array("salt")?,
            ..Self::default()
        };
        for count in &mut carried.counts {
            *count = from.u64("count")?;
        }
        for _ in 0..from.count("tags", TAGS_MAX)? {
            let tag = from.text("tag name", TEXT_BYTES_MAX)?.to_owned();
            carried
                .tags
                .push((tag, texts(from, "tag value", TAGS_MAX)?));
        }
        for _ in 0..from.count("totals", TOTALS_MAX)? {
            carried.totals.push(Total {
                metric: from.text("metric", TEXT_BYTES_MAX)?.to_owned(),
                labels: texts(from, "label", LABELS_MAX)?,
                value: I256::from_le_bytes(from.array("value")?),
            });
        }
        Ok(carried)
    }
}

/// What stands for everything but the records.
fn seal(head: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([2]);
    hasher.update(head);
    hasher.finalize().into()
}

fn texts(
    from: &mut Reader<'_>,
    what: &'static str,
    max: usize,
) -> Result<Vec<String>, DecodeError> {
    let count = from.count(what, max)?;
    let text = |_| from.text(what, TEXT_BYTES_MAX).map(str::to_owned);
    (0..count).map(text).collect()
}
