//! From canonical bytes to a record. What is not exactly canonical is refused.

use std::collections::BTreeMap;

use burstlet_model::{
    BootTime, Bytes, ContainerName, ErrorKind, GroupName, GroupUid, MilliCpu, Name, Namespace,
    Stamp, WallTime,
};

use super::bytes::Reader;
use super::code::{Kind, schema};
use super::fact::{
    Allocation, BookText, Carry, Fact, Gap, Opened, Pull, Restart, SessionFact, Used,
};
use super::{
    BOOK_BYTES_MAX, BUCKETS, BootId, Histogram, IMAGES_MAX, Moment, Record, SCHEMA, Samples,
    SessionId, TAGS_MAX, TEXT_BYTES_MAX,
};

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A newer Burstlet wrote it.
    #[error(
        "read a ledger record: its schema is {schema}, this version knows schemas up to {SCHEMA}; run the newer version that wrote it"
    )]
    Newer {
        /// Its schema.
        schema: u8,
    },
    /// There never was such a schema.
    #[error("read a ledger record: there is no schema 0")]
    NoSchema,
    /// It ends too early.
    #[error("read a ledger record: it ends within its {0}")]
    Short(&'static str),
    /// It goes on after its end.
    #[error("read a ledger record: {0} bytes follow its end")]
    Trailing(usize),
    /// A length is beyond its bound.
    #[error("read a ledger record: its {what} has {count}, at most {max} are allowed")]
    TooLong {
        /// Of what.
        what: &'static str,
        /// How long it says it is.
        count: usize,
        /// How long it may be.
        max: usize,
    },
    /// A number that means nothing.
    #[error("read a ledger record: {code} is no {what}")]
    Unknown {
        /// What it should be.
        what: &'static str,
        /// The number.
        code: u8,
    },
    /// A text that is not what it should be.
    #[error("read a ledger record: its {0} is not valid")]
    Invalid(&'static str),
}

impl DecodeError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Newer { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Invalid,
        }
    }
}

pub(super) fn record(body: &[u8]) -> Result<Record, DecodeError> {
    let mut from = Reader::new(body);
    let written = match from.u8("schema")? {
        0 => return Err(DecodeError::NoSchema),
        known @ 1..=SCHEMA => known,
        newer => return Err(DecodeError::Newer { schema: newer }),
    };
    let kind = from.code("kind")?;
    let record = Record {
        seq: from.u64("sequence number")?,
        epoch: from.u32("epoch")?,
        salt: from.array("salt")?,
        at: Moment {
            boot_id: BootId(from.array("boot id")?),
            stamp: Stamp {
                boot: BootTime(from.u64("boot time")?),
                wall: WallTime(from.i64("wall time")?),
            },
        },
        fact: fact(&mut from, kind)?,
    };
    from.end()?;
    match schema(&record.fact) == written {
        true => Ok(record),
        false => Err(DecodeError::Invalid("schema")),
    }
}

fn fact(from: &mut Reader<'_>, kind: Kind) -> Result<Fact, DecodeError> {
    match kind {
        Kind::EpochBegan => Ok(Fact::EpochBegan {
            version: text(from, "version")?,
        }),
        Kind::EpochEnded => Ok(Fact::EpochEnded),
        Kind::ClockStepped => Ok(Fact::ClockStepped),
        Kind::BookInstalled => book(from),
        Kind::Carried => Ok(Fact::Carried(Carry {
            through: from.u64("last record")?,
            hash: from.array("hash")?,
        })),
        _ => {
            let uid = from.text("group uid", TEXT_BYTES_MAX)?;
            let uid = GroupUid::new(uid).map_err(|_| DecodeError::Invalid("group uid"))?;
            let start = from.u32("start")?;
            Ok(Fact::Session {
                id: SessionId { uid, start },
                fact: session(from, kind)?,
            })
        }
    }
}

fn book(from: &mut Reader<'_>) -> Result<Fact, DecodeError> {
    Ok(Fact::BookInstalled(BookText {
        name: text(from, "book name")?,
        version: from.array("book version")?,
        effective: WallTime(from.i64("effective date")?),
        text: from.text("book text", BOOK_BYTES_MAX)?.to_owned(),
    }))
}

fn session(from: &mut Reader<'_>, kind: Kind) -> Result<SessionFact, DecodeError> {
    Ok(match kind {
        Kind::Opened => SessionFact::Opened(Box::new(opened(from)?)),
        Kind::Entered => SessionFact::Entered(from.code("state")?),
        Kind::Resized => SessionFact::Resized(allocation(from)?),
        Kind::Used => SessionFact::Used(used(from)?),
        Kind::Pulled => SessionFact::Pulled(Pull {
            number: from.u32("pull number")?,
            image: text(from, "image")?,
            ns: from.u64("pull time")?,
            bytes: from.u64("pull bytes")?,
        }),
        Kind::Restarted => SessionFact::Restarted(Restart {
            container: ContainerName::new(from.text("container", TEXT_BYTES_MAX)?)
                .map_err(|_| DecodeError::Invalid("container"))?,
            number: from.u32("restart number")?,
        }),
        Kind::Adopted => SessionFact::Adopted,
        Kind::Missed => SessionFact::Missed(Gap {
            from: BootTime(from.u64("gap's begin")?),
            to: BootTime(from.u64("gap's end")?),
            reason: from.code("gap's reason")?,
        }),
        Kind::Closed => SessionFact::Closed(from.code("reason")?),
        Kind::Sampled => SessionFact::Sampled(Samples {
            cpu: histogram(from)?,
            memory: histogram(from)?,
        }),
        Kind::EpochBegan
        | Kind::EpochEnded
        | Kind::ClockStepped
        | Kind::BookInstalled
        | Kind::Carried => return Err(DecodeError::Invalid("kind")),
    })
}

fn opened(from: &mut Reader<'_>) -> Result<Opened, DecodeError> {
    let namespace = Namespace::new(from.text("namespace", TEXT_BYTES_MAX)?)
        .map_err(|_| DecodeError::Invalid("namespace"))?;
    let name =
        Name::new(from.text("name", TEXT_BYTES_MAX)?).map_err(|_| DecodeError::Invalid("name"))?;
    Ok(Opened {
        group: GroupName { namespace, name },
        owner: text(from, "owner")?,
        tags: tags(from)?,
        images: images(from)?,
        os: text(from, "operating system")?,
        arch: text(from, "architecture")?,
        scheduling: from.code("scheduling")?,
        isolation: text(from, "isolation")?,
        allocation: allocation(from)?,
    })
}

/// Tags come in the order of their names, each once: one meaning has one form.
fn tags(from: &mut Reader<'_>) -> Result<BTreeMap<String, String>, DecodeError> {
    let mut tags = BTreeMap::new();
    for _ in 0..from.count("tags", TAGS_MAX)? {
        let (key, value) = (text(from, "tag name")?, text(from, "tag value")?);
        if tags.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(DecodeError::Invalid("order of tags"));
        }
        tags.insert(key, value);
    }
    Ok(tags)
}

fn images(from: &mut Reader<'_>) -> Result<Vec<String>, DecodeError> {
    let count = from.count("images", IMAGES_MAX)?;
    (0..count).map(|_| text(from, "image")).collect()
}

fn allocation(from: &mut Reader<'_>) -> Result<Allocation, DecodeError> {
    Ok(Allocation {
        cpu: MilliCpu(from.u64("cpu")?),
        memory: Bytes(from.u64("memory")?),
        ephemeral: Bytes(from.u64("ephemeral storage")?),
        gpus: from.u32("gpus")?,
        gpu_model: text(from, "gpu model")?,
        ports: from.u32("ports")?,
        volumes: Bytes(from.u64("volumes")?),
    })
}

/// Buckets come in order, each once and not empty: one meaning has one form.
fn histogram(from: &mut Reader<'_>) -> Result<Histogram, DecodeError> {
    let mut histogram = Histogram::default();
    for _ in 0..from.count("buckets", BUCKETS.into())? {
        let (bucket, count) = (from.u16("bucket")?, from.u32("samples")?);
        if !histogram.push(bucket, count) {
            return Err(DecodeError::Invalid("order of buckets"));
        }
    }
    Ok(histogram)
}

fn used(from: &mut Reader<'_>) -> Result<Used, DecodeError> {
    Ok(Used {
        cpu_us: from.u64("cpu used")?,
        memory_byte_ns: from.u128("memory used")?,
        memory_sampled_ns: from.u64("memory sampled")?,
        memory_peak: from.u64("memory peak")?,
        net_received: from.u64("bytes received")?,
        net_sent: from.u64("bytes sent")?,
        is_final: from.code("finality")?,
    })
}

fn text(from: &mut Reader<'_>, what: &'static str) -> Result<String, DecodeError> {
    from.text(what, TEXT_BYTES_MAX).map(str::to_owned)
}
