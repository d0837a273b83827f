//! The one writer: frames into segments, one sync for many appends, rotation into the reserve.
//!
//! Free of threads and clocks, so that tests can stop it after any write.

mod retire;

use std::io;

use burstlet_model::BootTime;

use crate::carried::Carried;
use crate::chain::{self, Hash, LedgerId};
use crate::record::{BODY_BYTES_MAX, EncodeError, Entry, Fact, Moment, Record};

use super::error::{AppendError, OpenError};
use super::frame;
use super::mark::{MARK, MARK_BYTES, Mark};
use super::repair::repair;
use super::scan::{Found, Scan, scan};
use super::segment::{self, HEADER_BYTES, Header, RESERVE};
use super::status::{Opening, Receipt, Status};
use super::storage::Storage;

/// Bytes that one append may take.
pub const APPEND_BYTES_MAX: usize = 1 << 20;
/// Bytes of a segment unless the options say otherwise.
pub const SEGMENT_BYTES: u64 = 8 << 20;
/// Bytes of the smallest segment: the longest append fits.
pub const SEGMENT_BYTES_MIN: u64 = (APPEND_BYTES_MAX + BODY_BYTES_MAX) as u64;
/// Marks between two tries to make a reserve, after one that failed.
const RESERVE_RETRY_MARKS: u64 = 10;

/// What a writer is told once.
pub struct Options {
    /// Both clocks, now.
    pub clock: Box<dyn FnMut() -> Moment + Send>,
    /// Random bytes, never used before.
    pub key: Hash,
    /// The agent's version.
    pub version: String,
    /// Bytes of a new segment; see [`SEGMENT_BYTES_MIN`].
    pub segment_bytes: u64,
    /// Whether segments that are retired stay in an archive beside the ledger.
    pub archive: bool,
}

/// What an observer is shown.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// What is carried on of retired segments: before all records, when the ledger is opened.
    Carried(&'a Carried),
    /// A record.
    Record(&'a Record),
}

/// Shown every record once it is durable, in order: first those that are in the ledger when it is
/// opened, then each new one before it is acknowledged.
pub type Observer = Box<dyn FnMut(Shown<'_>) + Send>;

/// A ledger that is open for writing.
pub struct Writer<S> {
    storage: S,
    options: Options,
    observer: Observer,
    ledger: LedgerId,
    /// The segment that is written to.
    segment: u32,
    segment_bytes: u64,
    /// Where its next frame goes.
    at: u64,
    turn: u64,
    reserve_tried: u64,
    status: Status,
}

/// Frames that wait for their write.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    records: Vec<Record>,
    seq: u64,
    head: Hash,
}

impl Batch {
    /// Adds the record that follows.
    fn push(&mut self, record: Record) -> Result<(), EncodeError> {
        let body = record.encode()?;
        self.head = chain::next(&self.head, &chain::leaf(&body));
        self.seq = record.seq;
        frame::write(&mut self.bytes, &body, &self.head);
        self.records.push(record);
        Ok(())
    }
}

impl<S: Storage> Writer<S> {
    /// Reads what there is, repairs what a power cut tore, sets aside what is damaged, and begins
    /// a new epoch. Waits for the disk.
    ///
    /// # Errors
    /// The storage fails, or a newer version wrote the ledger.
    pub fn open(
        mut storage: S,
        options: Options,
        mut observer: Observer,
    ) -> Result<(Self, Opening), OpenError> {
        let found = scan(&storage, |found: Found<'_>| match found {
            Found::Carried(carried) => observer(Shown::Carried(carried)),
            Found::Record(entered) => observer(Shown::Record(entered.record)),
        })?;
        let outcome = repair(&mut storage, &found)?;
        let fresh = LedgerId(chain::derive(&options.key, b"ledger id", 0));
        let marked = found.mark.map(|mark| mark.ledger);
        let ledger = found.ledger.or(marked).unwrap_or(fresh);
        let (mut seq, mut head) = found.next();
        if seq == 1 {
            head = chain::genesis(ledger);
        }
        seq -= 1;
        let status = Status {
            ledger,
            epoch: found.epoch + 1,
            seq,
            head,
            ..Status::default()
        };
        let mut writer = Self {
            storage,
            options,
            observer,
            ledger,
            segment: 0,
            segment_bytes: 0,
            at: 0,
            turn: found.mark.map_or(0, |mark| mark.turn),
            reserve_tried: 0,
            status,
        };
        writer.take_segment(&found)?;
        writer.begin()?;
        // What cannot be removed now is no worse than before.
        if let Some((number, _)) = found.carried {
            let _ = writer.clear(number);
        }
        let opening = Opening {
            outcome,
            damages: found.damages,
            last_mark: found.mark,
            seq,
        };
        Ok((writer, opening))
    }

    /// How the ledger is.
    #[must_use]
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// Appends each list of entries as a whole. When this returns, those that are not refused are
    /// durable: one sync serves all of them.
    pub fn commit(&mut self, appends: Vec<Vec<Entry>>) -> Vec<Result<Receipt, AppendError>> {
        let mut results = Vec::with_capacity(appends.len());
        let mut batch = self.batch();
        // The first result that the batch will decide.
        let mut undecided = 0;
        for entries in appends {
            let mut result = self.add(&mut batch, &entries);
            if matches!(result, Err(AppendError::Full(_))) && self.status.poisoned.is_none() {
                let done = self.flush(&batch);
                settle(&mut results, undecided, &done);
                undecided = results.len();
                result = done.and_then(|_| self.rotate());
                batch = self.batch();
                result = result.and_then(|_| self.add(&mut batch, &entries));
            }
            results.push(result);
        }
        let done = self.flush(&batch);
        settle(&mut results, undecided, &done);
        results
    }

    /// Marks how far the ledger is durable, and that its agent lives. To be called every second.
    pub fn mark(&mut self) {
        if self.status.poisoned.is_some() {
            return;
        }
        let at = (self.options.clock)();
        self.turn += 1;
        let mark = Mark {
            turn: self.turn,
            ledger: self.ledger,
            at,
            epoch: self.status.epoch,
            seq: self.status.seq,
            head: self.status.head,
        };
        let written = self
            .storage
            .write(MARK, mark.place(), &mark.encode())
            .and_then(|()| self.storage.sync(MARK));
        if let Err(error) = written {
            return self.poison("mark", &error);
        }
        let due = self.turn >= self.reserve_tried + RESERVE_RETRY_MARKS;
        if !self.status.has_reserve && due {
            self.make_reserve();
        }
    }

    /// Says that the agent leaves in order.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn close(&mut self) -> Result<Receipt, AppendError> {
        let at = (self.options.clock)();
        let fact = Fact::EpochEnded;
        let mut results = self.commit(vec![vec![Entry { at, fact }]]);
        self.mark();
        results.pop().unwrap_or(Err(AppendError::Closed))
    }

    fn begin(&mut self) -> Result<(), OpenError> {
        let at = (self.options.clock)();
        let version = self.options.version.clone();
        let fact = Fact::EpochBegan { version };
        let result = self.commit(vec![vec![Entry { at, fact }]]).pop();
        result
            .unwrap_or(Err(AppendError::Closed))
            .map_err(OpenError::Begin)?;
        self.mark();
        Ok(())
    }

    /// Goes on with the last segment, or makes a new one; makes the mark and the reserve.
    fn take_segment(&mut self, found: &Scan) -> Result<(), OpenError> {
        let failed = |what: &'static str| {
            move |source| OpenError::Storage {
                what,
                path: "of the ledger".to_owned(),
                source,
            }
        };
        let names = self.storage.list().map_err(failed("list the files"))?;
        if !names.iter().any(|name| name == MARK) {
            self.storage
                .create(MARK, &[], MARK_BYTES)
                .map_err(failed("make the mark"))?;
        }
        let whole = found.last.and_then(|last| last.end.map(|end| (last, end)));
        if let Some((last, end)) = whole {
            (self.segment, self.at, self.segment_bytes) = (last.number, end, last.bytes);
        } else {
            let header = self.header(found.next_number());
            let bytes = self.options.segment_bytes;
            self.storage
                .create(&segment::name(header.number), &header.encode(), bytes)
                .map_err(failed("make a segment"))?;
            self.entered(header.number, bytes);
        }
        let first = found.carried.map_or(0, |(number, _)| number);
        self.status.segments = u64::from(self.segment.saturating_sub(first)).max(1);
        self.status.has_reserve = names.iter().any(|name| name == RESERVE);
        if !self.status.has_reserve {
            self.make_reserve();
        }
        Ok(())
    }

    fn batch(&self) -> Batch {
        Batch {
            seq: self.status.seq,
            head: self.status.head,
            ..Batch::default()
        }
    }

    /// Adds entries to a batch, all or none.
    fn add(&mut self, batch: &mut Batch, entries: &[Entry]) -> Result<Receipt, AppendError> {
        if let Some(why) = &self.status.poisoned {
            return Err(AppendError::Poisoned(why.clone()));
        }
        let mut more = Batch {
            seq: batch.seq,
            head: batch.head,
            ..Batch::default()
        };
        for entry in entries {
            let seq = more.seq + 1;
            more.push(Record {
                seq,
                epoch: self.status.epoch,
                salt: chain::derive(&self.options.key, b"salt", seq),
                at: entry.at,
                fact: entry.fact.clone(),
            })?;
        }
        if more.bytes.len() > APPEND_BYTES_MAX {
            return Err(AppendError::Encode(EncodeError::TooLong {
                what: "append",
                count: more.bytes.len(),
                max: APPEND_BYTES_MAX,
            }));
        }
        let end = self.at + (batch.bytes.len() + more.bytes.len()) as u64;
        if end > self.segment_bytes {
            let why = format!("segment {} has {} bytes", self.segment, self.segment_bytes);
            return Err(AppendError::Full(why));
        }
        batch.bytes.append(&mut more.bytes);
        batch.records.append(&mut more.records);
        (batch.seq, batch.head) = (more.seq, more.head);
        Ok(Receipt {
            seq: batch.seq,
            head: batch.head,
        })
    }

    /// Writes a batch and syncs it; then it is in the ledger, and the observer is shown it.
    fn flush(&mut self, batch: &Batch) -> Result<Receipt, AppendError> {
        let receipt = Receipt {
            seq: self.status.seq,
            head: self.status.head,
        };
        if batch.records.is_empty() {
            return Ok(receipt);
        }
        let name = segment::name(self.segment);
        let begun = (self.options.clock)().stamp;
        let written = self
            .storage
            .write(&name, self.at, &batch.bytes)
            .and_then(|()| self.storage.sync(&name));
        if let Err(error) = written {
            self.poison(&name, &error);
            return Err(AppendError::Poisoned(format!("{name}: {error}")));
        }
        let ended = (self.options.clock)().stamp;
        self.at += batch.bytes.len() as u64;
        self.status.seq = batch.seq;
        self.status.head = batch.head;
        self.status.records += batch.records.len() as u64;
        self.status.bytes += batch.bytes.len() as u64;
        self.status.last_commit = ended;
        self.status.syncs.count(nanos(begun.boot, ended.boot));
        for record in &batch.records {
            (self.observer)(Shown::Record(record));
        }
        Ok(Receipt {
            seq: batch.seq,
            head: batch.head,
        })
    }

    /// Goes on in a new segment: the reserve, or one made now.
    fn rotate(&mut self) -> Result<Receipt, AppendError> {
        let header = self.header(self.segment + 1);
        let name = segment::name(header.number);
        let made = match self.status.has_reserve {
            true => self
                .storage
                .write(RESERVE, 0, &header.encode())
                .and_then(|()| self.storage.sync(RESERVE))
                .and_then(|()| self.storage.rename(RESERVE, &name)),
            false => self
                .storage
                .create(&name, &header.encode(), self.options.segment_bytes),
        };
        match made {
            Ok(()) => {}
            Err(error) if self.status.has_reserve => {
                self.poison(RESERVE, &error);
                return Err(AppendError::Poisoned(format!("{RESERVE}: {error}")));
            }
            Err(error) => return Err(AppendError::Full(error.to_string())),
        }
        let bytes = match self.status.has_reserve {
            true => self.reserve_bytes(&name),
            false => self.options.segment_bytes,
        };
        self.entered(header.number, bytes);
        self.status.segments += 1;
        self.status.has_reserve = false;
        self.make_reserve();
        Ok(Receipt {
            seq: self.status.seq,
            head: self.status.head,
        })
    }

    /// An earlier agent may have made the reserve, of another size.
    fn reserve_bytes(&self, name: &str) -> u64 {
        self.storage
            .read(name)
            .map_or(0, |bytes| bytes.len() as u64)
    }

    const fn header(&self, number: u32) -> Header {
        Header {
            ledger: self.ledger,
            number,
            first_seq: self.status.seq + 1,
            head: self.status.head,
        }
    }

    const fn entered(&mut self, number: u32, bytes: u64) {
        self.segment = number;
        self.segment_bytes = bytes;
        self.at = HEADER_BYTES as u64;
    }

    /// The room for the next segment is taken while there is room.
    fn make_reserve(&mut self) {
        self.reserve_tried = self.turn;
        let made = self
            .storage
            .create(RESERVE, &[], self.options.segment_bytes);
        self.status.has_reserve = made.is_ok();
        self.status.reserve_trouble = made.err().map(|error| error.to_string());
    }

    fn poison(&mut self, file: &str, error: &io::Error) {
        self.status.sync_errors += 1;
        self.status.poisoned = Some(format!("{file}: {error}"));
    }
}

/// What a flush came to decides the appends that went into it; those that were refused before stay
/// refused.
fn settle(
    results: &mut [Result<Receipt, AppendError>],
    undecided: usize,
    done: &Result<Receipt, AppendError>,
) {
    let Err(error) = done else {
        return;
    };
    for result in results.iter_mut().skip(undecided) {
        if result.is_ok() {
            *result = Err(error.clone());
        }
    }
}

const fn nanos(from: BootTime, to: BootTime) -> u64 {
    to.0.saturating_sub(from.0)
}
