//! From a record to its canonical bytes.

use burstlet_model::ErrorKind;

use super::bytes::Writer;
use super::code::{Kind, schema};
use super::fact::{Allocation, BookText, Fact, Opened, SessionFact, Used};
use super::{
    BODY_BYTES_MAX, BOOK_BYTES_MAX, BUCKETS, Histogram, IMAGES_MAX, Record, TAGS_MAX,
    TEXT_BYTES_MAX,
};

/// Why a fact cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Something has no room in the format.
    #[error("write a ledger record: its {what} has {count}, at most {max} fit")]
    TooLong {
        /// What.
        what: &'static str,
        /// How long it is.
        count: usize,
        /// How long it may be.
        max: usize,
    },
}

impl EncodeError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

pub(super) fn record(record: &Record) -> Result<Vec<u8>, EncodeError> {
    let mut to = Writer::default();
    to.u8(schema(&record.fact));
    to.code(Kind::of(&record.fact));
    to.u64(record.seq);
    to.u32(record.epoch);
    to.raw(&record.salt);
    to.raw(&record.at.boot_id.0);
    to.u64(record.at.stamp.boot.0);
    to.i64(record.at.stamp.wall.0);
    fact(&mut to, &record.fact)?;
    match to.0.len() {
        count if count > BODY_BYTES_MAX => Err(EncodeError::TooLong {
            what: "body",
            count,
            max: BODY_BYTES_MAX,
        }),
        _ => Ok(to.0),
    }
}

fn fact(to: &mut Writer, fact: &Fact) -> Result<(), EncodeError> {
    match fact {
        Fact::EpochBegan { version } => to.text("version", version, TEXT_BYTES_MAX),
        Fact::EpochEnded | Fact::ClockStepped => Ok(()),
        Fact::BookInstalled(text) => book(to, text),
        Fact::Carried(carry) => {
            to.u64(carry.through);
            to.raw(&carry.hash);
            Ok(())
        }
        Fact::Session { id, fact } => {
            to.text("group uid", id.uid.as_str(), TEXT_BYTES_MAX)?;
            to.u32(id.start);
            session(to, fact)
        }
    }
}

fn book(to: &mut Writer, book: &BookText) -> Result<(), EncodeError> {
    to.text("book name", &book.name, TEXT_BYTES_MAX)?;
    to.raw(&book.version);
    to.i64(book.effective.0);
    to.text("book text", &book.text, BOOK_BYTES_MAX)
}

fn session(to: &mut Writer, fact: &SessionFact) -> Result<(), EncodeError> {
    match fact {
        SessionFact::Opened(opened) => self::opened(to, opened)?,
        SessionFact::Entered(state) => to.code(*state),
        SessionFact::Resized(allocation) => self::allocation(to, allocation)?,
        SessionFact::Used(used) => self::used(to, used),
        SessionFact::Pulled(pull) => {
            to.u32(pull.number);
            to.text("image", &pull.image, TEXT_BYTES_MAX)?;
            to.u64(pull.ns);
            to.u64(pull.bytes);
        }
        SessionFact::Restarted(restart) => {
            to.text("container", restart.container.as_str(), TEXT_BYTES_MAX)?;
            to.u32(restart.number);
        }
        SessionFact::Adopted => {}
        SessionFact::Missed(gap) => {
            to.u64(gap.from.0);
            to.u64(gap.to.0);
            to.code(gap.reason);
        }
        SessionFact::Closed(reason) => to.code(*reason),
        SessionFact::Sampled(samples) => {
            histogram(to, &samples.cpu)?;
            histogram(to, &samples.memory)?;
        }
    }
    Ok(())
}

fn opened(to: &mut Writer, opened: &Opened) -> Result<(), EncodeError> {
    to.text("namespace", opened.group.namespace.as_str(), TEXT_BYTES_MAX)?;
    to.text("name", opened.group.name.as_str(), TEXT_BYTES_MAX)?;
    to.text("owner", &opened.owner, TEXT_BYTES_MAX)?;
    to.count("tags", opened.tags.len(), TAGS_MAX)?;
    for (key, value) in &opened.tags {
        to.text("tag name", key, TEXT_BYTES_MAX)?;
        to.text("tag value", value, TEXT_BYTES_MAX)?;
    }
    to.count("images", opened.images.len(), IMAGES_MAX)?;
    for image in &opened.images {
        to.text("image", image, TEXT_BYTES_MAX)?;
    }
    to.text("operating system", &opened.os, TEXT_BYTES_MAX)?;
    to.text("architecture", &opened.arch, TEXT_BYTES_MAX)?;
    to.code(opened.scheduling);
    to.text("isolation", &opened.isolation, TEXT_BYTES_MAX)?;
    allocation(to, &opened.allocation)
}

fn allocation(to: &mut Writer, allocation: &Allocation) -> Result<(), EncodeError> {
    to.u64(allocation.cpu.0);
    to.u64(allocation.memory.0);
    to.u64(allocation.ephemeral.0);
    to.u32(allocation.gpus);
    to.text("gpu model", &allocation.gpu_model, TEXT_BYTES_MAX)?;
    to.u32(allocation.ports);
    to.u64(allocation.volumes.0);
    Ok(())
}

fn histogram(to: &mut Writer, histogram: &Histogram) -> Result<(), EncodeError> {
    let counts = histogram.counts();
    to.count("buckets", counts.len(), BUCKETS.into())?;
    for (bucket, count) in counts {
        to.u16(bucket);
        to.u32(count);
    }
    Ok(())
}

fn used(to: &mut Writer, used: &Used) {
    to.u64(used.cpu_us);
    to.u128(used.memory_byte_ns);
    to.u64(used.memory_sampled_ns);
    to.u64(used.memory_peak);
    to.u64(used.net_received);
    to.u64(used.net_sent);
    to.code(used.is_final);
}
