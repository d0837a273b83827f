//! Reading a ledger from its begin: every record that is whole and follows from those before it.
//!
//! ```text
//! bytes after the last whole record      the mark says
//!   all zero                               not further: the end
//!   all zero                               further: acknowledged records are missing
//!   a frame whose checksum is wrong        not further: torn by a power cut, never acknowledged
//!   a frame whose checksum is wrong        further: acknowledged records are damaged
//!   a frame that does not follow           (whatever): somebody wrote it
//! ```

use crate::carried::{Carried, CarriedError};
use crate::chain::{self, Hash, LedgerId};
use crate::record::{Carry, DecodeError, Fact, Record, SCHEMA};

use super::error::OpenError;
use super::frame::{self, FrameError};
use super::mark::{MARK, Mark};
use super::segment::{
    FORMAT, HEADER_BYTES, Header, HeaderError, Named, carried_name, carried_number,
};
use super::storage::Files;

/// What a ledger holds, in order.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// What is carried on of segments that were retired. Comes first, if at all.
    Carried(&'a Carried),
    /// A record.
    Record(Entered<'a>),
}

/// A record as it stands in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered<'a> {
    /// The record.
    pub record: &'a Record,
    /// Its canonical bytes.
    pub body: &'a [u8],
    /// Of which ledger.
    pub ledger: LedgerId,
    /// In which segment.
    pub segment: u32,
    /// The chain's head before it.
    pub before: Hash,
    /// The chain's head after it.
    pub head: Hash,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which file.
    pub file: String,
    /// The first record that it may concern.
    pub from_seq: u64,
    /// What is wrong.
    pub what: String,
}

/// What a ledger holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Which ledger; `None` if there is none.
    pub ledger: Option<LedgerId>,
    /// The number of the first record that is there.
    pub first_seq: u64,
    /// The head before it.
    pub first_head: Hash,
    /// The number of the last record.
    pub seq: u64,
    /// The head after it.
    pub head: Hash,
    /// The latest epoch.
    pub epoch: u32,
    /// What is carried on of retired segments: the last of these, and what proves it.
    pub carried: Option<(u32, Carry)>,
    /// The latest mark.
    pub mark: Option<Mark>,
    /// Whatever is not as it was written, oldest first.
    pub damages: Vec<Damage>,
    pub(super) last: Option<LastSegment>,
    /// Whole files that have to be set aside.
    pub(super) spoilt: Vec<u32>,
    /// Segments that are retired, and are there all the same.
    pub(super) retired: Vec<Named>,
    /// Whether a record says that what is carried on is what was carried on.
    proven: bool,
}

/// The segment that is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastSegment {
    pub(super) number: u32,
    /// Where the next frame goes, if the segment can be gone on with.
    pub(super) end: Option<u64>,
    /// Bytes up to which something torn lies behind the end.
    pub(super) torn: u64,
    pub(super) bytes: u64,
}

/// Reads a ledger; `each` is shown every record in order.
///
/// # Errors
/// It cannot be read, or a newer version wrote it. Damage is no error: it is reported.
pub fn scan(files: &impl Files, mut each: impl FnMut(Found<'_>)) -> Result<Scan, OpenError> {
    let names = files.list().map_err(|source| failed("list", "", source))?;
    let mut found: Vec<Named> = names.iter().filter_map(|name| Named::parse(name)).collect();
    found.sort_unstable();
    let mut scan = Scan::default();
    if names.iter().any(|name| name == MARK) {
        let bytes = files.read(MARK).map_err(|e| failed("read", MARK, e))?;
        scan.mark = Mark::latest(&bytes);
    }
    scan.carry(files, &names, &mut each)?;
    let retired = scan.carried.map_or(0, |(number, _)| number);
    (scan.retired, found) = found.into_iter().partition(|named| named.number <= retired);
    for (at, named) in found.iter().enumerate() {
        scan.note_missing_before(*named);
        let name = named.file();
        let bytes = files.read(&name).map_err(|e| failed("read", &name, e))?;
        let is_last = at + 1 == found.len();
        scan.segment(*named, &bytes, is_last, &mut each)?;
    }
    scan.compare_with_chain();
    scan.compare_with_mark();
    Ok(scan)
}

fn failed(what: &'static str, name: &str, source: std::io::Error) -> OpenError {
    OpenError::Storage {
        what,
        path: format!("the ledger's file {name}"),
        source,
    }
}

impl Scan {
    /// Begins where the last retired segment ended.
    fn carry(
        &mut self,
        files: &impl Files,
        names: &[String],
        each: &mut impl FnMut(Found<'_>),
    ) -> Result<(), OpenError> {
        let numbers = names.iter().filter_map(|name| carried_number(name));
        let Some(number) = numbers.max() else {
            return Ok(());
        };
        let name = carried_name(number);
        let bytes = files.read(&name).map_err(|e| failed("read", &name, e))?;
        match Carried::decode(&bytes) {
            Ok((carried, carry)) if carried.segment == number => {
                self.ledger = Some(carried.ledger);
                self.first_seq = carried.seq + 1;
                self.first_head = carried.head;
                (self.seq, self.head, self.epoch) = (carried.seq, carried.head, carried.epoch);
                self.carried = Some((number, carry));
                each(Found::Carried(&carried));
            }
            Err(CarriedError::Newer(format)) => {
                return Err(OpenError::Newer {
                    file: name,
                    format,
                    known: crate::carried::FORMAT,
                });
            }
            Ok(_) | Err(_) => self.damages.push(Damage {
                file: name,
                from_seq: 1,
                what: "what is carried on of retired segments is damaged".to_owned(),
            }),
        }
        Ok(())
    }

    /// What is carried on must be what a record says was carried on.
    fn compare_with_chain(&mut self) {
        if let Some((number, carry)) = self.carried.filter(|_| !self.proven) {
            self.damages.push(Damage {
                file: carried_name(number),
                from_seq: 1,
                what: format!(
                    "no record says that this is what came up to record {}",
                    carry.through
                ),
            });
        }
    }

    fn segment(
        &mut self,
        named: Named,
        bytes: &[u8],
        is_last: bool,
        each: &mut impl FnMut(Found<'_>),
    ) -> Result<(), OpenError> {
        let mut last = LastSegment {
            number: named.number,
            end: None,
            torn: 0,
            bytes: bytes.len() as u64,
        };
        match self.begin(named, bytes)? {
            Some(header) => {
                self.follow(named, &header);
                let (end, error) = self.frames(named, bytes, each)?;
                let torn = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
                let acknowledged = self.mark.is_some_and(|mark| mark.seq > self.seq);
                let may_be_torn = is_last && !named.damaged && !acknowledged;
                match error {
                    FrameError::End => last.end = Some(end as u64),
                    FrameError::Torn if may_be_torn => {
                        last.end = Some(end as u64);
                        last.torn = torn as u64;
                    }
                    error => self.spoil(named, format!("after record {}: {error}", self.seq)),
                }
            }
            None => self.spoil(named, HeaderError::Damaged.to_string()),
        }
        if named.damaged {
            last.end = None;
        }
        self.last = Some(last);
        Ok(())
    }

    fn begin(&self, named: Named, bytes: &[u8]) -> Result<Option<Header>, OpenError> {
        match Header::decode(bytes) {
            Ok(header) if header.number != named.number => Ok(None),
            Ok(header) if self.ledger.is_some_and(|ledger| ledger != header.ledger) => Ok(None),
            Ok(header) => Ok(Some(header)),
            Err(HeaderError::Newer(format)) => Err(OpenError::Newer {
                file: named.file(),
                format,
                known: FORMAT,
            }),
            Err(HeaderError::Damaged) => Ok(None),
        }
    }

    /// The chain goes on with a segment's header; where the segment before was damaged it goes on
    /// behind the hole.
    fn follow(&mut self, named: Named, header: &Header) {
        if self.ledger.is_none() {
            self.ledger = Some(header.ledger);
            self.first_seq = header.first_seq;
            self.first_head = header.head;
            if header.first_seq != 1 {
                let what = format!(
                    "records 1 to {} are gone",
                    header.first_seq.saturating_sub(1)
                );
                self.damage(named, what);
            } else if header.head != chain::genesis(header.ledger) {
                self.damage(named, "the chain does not begin as it should".to_owned());
            }
        } else if header.first_seq != self.seq + 1 || header.head != self.head {
            let what = format!(
                "it goes on with record {} where {} was expected",
                header.first_seq,
                self.seq + 1
            );
            self.damage(named, what);
        }
        self.seq = header.first_seq.saturating_sub(1);
        self.head = header.head;
    }

    /// Reads frames up to the first that is none, and says where and why.
    fn frames(
        &mut self,
        named: Named,
        bytes: &[u8],
        each: &mut impl FnMut(Found<'_>),
    ) -> Result<(usize, FrameError), OpenError> {
        let mut at = HEADER_BYTES;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let frame = match frame::read(rest, &self.head, self.seq + 1) {
                Ok(frame) => frame,
                Err(FrameError::Body(DecodeError::Newer { schema })) => {
                    return Err(OpenError::Newer {
                        file: named.file(),
                        format: schema.into(),
                        known: SCHEMA.into(),
                    });
                }
                Err(error) => return Ok((at, error)),
            };
            let before = std::mem::replace(&mut self.head, frame.head);
            self.seq += 1;
            self.epoch = self.epoch.max(frame.record.epoch);
            at += frame.bytes;
            if let Fact::Carried(carry) = &frame.record.fact {
                self.proven |= self.carried.is_some_and(|(_, carried)| carried == *carry);
            }
            each(Found::Record(Entered {
                record: &frame.record,
                body: frame.body,
                ledger: self.ledger.unwrap_or_default(),
                segment: named.number,
                before,
                head: frame.head,
            }));
            let marked = self.mark.filter(|mark| mark.seq == self.seq);
            if marked.is_some_and(|mark| mark.head != self.head) {
                let what = format!("record {} is not the one that was marked", self.seq);
                self.damage(named, what);
            }
        }
    }

    fn note_missing_before(&mut self, named: Named) {
        if let Some(last) = self.last
            && named.number > last.number + 1
        {
            let what = format!(
                "segments {} to {} are gone",
                last.number + 1,
                named.number - 1
            );
            self.damage(named, what);
        }
    }

    /// What was acknowledged and is not there.
    fn compare_with_mark(&mut self) {
        let Some(mark) = self.mark else {
            return;
        };
        let other = self.ledger.is_some_and(|ledger| ledger != mark.ledger);
        self.epoch = self.epoch.max(mark.epoch);
        if other {
            self.damages.push(Damage {
                file: MARK.to_owned(),
                from_seq: 1,
                what: "it is of another ledger".to_owned(),
            });
            self.mark = None;
        } else if mark.seq > self.seq {
            let what = format!("records {} to {} are gone", self.seq + 1, mark.seq);
            match self.last {
                Some(LastSegment {
                    number,
                    end: Some(_),
                    ..
                }) => {
                    let damaged = false;
                    self.spoil(Named { number, damaged }, what);
                    self.last = self.last.map(|last| LastSegment { end: None, ..last });
                }
                _ => self.damages.push(Damage {
                    file: MARK.to_owned(),
                    from_seq: self.seq + 1,
                    what,
                }),
            }
        }
    }

    /// A segment that cannot be gone on with.
    fn spoil(&mut self, named: Named, what: String) {
        self.damage(named, what);
        if !named.damaged {
            self.spoilt.push(named.number);
        }
    }

    fn damage(&mut self, named: Named, what: String) {
        self.damages.push(Damage {
            file: named.file(),
            from_seq: self.seq + 1,
            what,
        });
    }

    /// Where the next record follows: behind all that is or was there.
    pub(super) fn next(&self) -> (u64, Hash) {
        match self.mark {
            Some(mark) if mark.seq > self.seq => (mark.seq + 1, mark.head),
            _ => (self.seq + 1, self.head),
        }
    }

    /// The number of the segment after all that there are.
    pub(super) fn next_number(&self) -> u32 {
        let carried = self.carried.map_or(0, |(number, _)| number);
        self.last.map_or(carried, |last| last.number) + 1
    }
}
