//! Which segments are old enough to go, and what has to be carried on of them.
//!
//! A pure function of what is in the ledger and a date. Whole segments go, oldest first, as long as
//! all of their records are older than the date. Groups that last, or of which anything was written
//! since, keep their records; all others become sums.

use std::collections::{BTreeMap, BTreeSet};

use burstlet_model::{ErrorKind, GroupUid, WallTime};

use crate::carried::Carried;
use crate::chain::Hash;
use crate::ledger::{Entered, Files, Found, OpenError, Scan, scan};
use crate::record::{BookText, Fact, Record, Samples, SessionFact, SessionId, Used};
use crate::view::{View, ViewError};

/// Why nothing can be retired.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// The ledger cannot be read.
    #[error("read the ledger for what is to be carried on")]
    Read(#[source] OpenError),
    /// Nothing of a ledger may go that is not as it was written.
    #[error("retire old segments: the ledger is damaged, so all of it stays")]
    Damaged,
    /// It cannot be summed.
    #[error("sum up what is to be carried on")]
    Sum(#[source] Box<ViewError>),
}

impl RetireError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(error) => error.kind(),
            Self::Damaged => ErrorKind::FailedPrecondition,
            Self::Sum(error) => error.kind(),
        }
    }
}

/// What may go, and what is carried on of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retiring {
    /// What is carried on.
    pub carried: Carried,
    /// Sessions that are in sums only from then on.
    pub summed: Vec<SessionId>,
}

/// What may go of a ledger if everything before a date may; `None` if that is no whole segment.
/// Totals are by the tags of `tag_labels`.
///
/// # Errors
/// The ledger cannot be read, is damaged, or cannot be rated.
pub fn retiring(
    files: &impl Files,
    tag_labels: &[String],
    before: WallTime,
    salt: [u8; 16],
) -> Result<Option<Retiring>, RetireError> {
    let Some((segment, end)) = boundary(files, before)? else {
        return Ok(None);
    };
    let mut fold = Fold::new(tag_labels, segment);
    let found = read(files, |found| fold.take(found))?;
    if !found.damages.is_empty() {
        return Err(RetireError::Damaged);
    }
    fold.result.map_err(failed)?;
    let mut kept = fold.later;
    kept.extend(fold.view.sessions().open().map(|s| s.id().uid.clone()));
    let mut carried = Carried {
        ledger: found.ledger.unwrap_or_default(),
        segment,
        seq: end.seq,
        head: end.head,
        epoch: end.epoch,
        since: WallTime(end.latest.0.saturating_add(1)),
        salt,
        ..Carried::default()
    };
    carried.records = records(files, &kept, segment)?;
    let summed = fold.view.sum_up(&kept, &mut carried);
    summed.map_err(failed)?;
    let sessions = fold.view.sessions().iter().map(|session| session.id());
    let summed = sessions.filter(|id| !kept.contains(&id.uid)).cloned();
    Ok(Some(Retiring {
        summed: summed.collect(),
        carried,
    }))
}

/// The end of a segment.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    seq: u64,
    head: Hash,
    epoch: u32,
    /// The latest date in it.
    latest: WallTime,
}

/// The last segment that may go: not the one that is written to.
fn boundary(files: &impl Files, before: WallTime) -> Result<Option<(u32, End)>, RetireError> {
    let mut ends: BTreeMap<u32, End> = BTreeMap::new();
    let mut epoch = 0;
    read(files, |found| match found {
        Found::Carried(carried) => epoch = carried.epoch,
        Found::Record(entered) => {
            epoch = epoch.max(entered.record.epoch);
            let end = ends.entry(entered.segment).or_insert(End {
                latest: WallTime(i64::MIN),
                ..End::default()
            });
            (end.seq, end.head, end.epoch) = (entered.record.seq, entered.head, epoch);
            end.latest = end.latest.max(entered.record.at.stamp.wall);
        }
    })?;
    ends.pop_last();
    let old = ends.into_iter().take_while(|(_, end)| end.latest < before);
    let mut latest = WallTime(i64::MIN);
    let old = old.map(|(number, end)| {
        latest = latest.max(end.latest);
        (number, End { latest, ..end })
    });
    Ok(old.last())
}

/// The ledger up to the boundary, folded, and which groups are told of behind it.
struct Fold {
    view: View,
    segment: u32,
    later: BTreeSet<GroupUid>,
    result: Result<(), ViewError>,
}

impl Fold {
    fn new(tag_labels: &[String], segment: u32) -> Self {
        Self {
            view: View::new(tag_labels.iter().cloned()),
            segment,
            later: BTreeSet::new(),
            result: Ok(()),
        }
    }

    fn take(&mut self, found: Found<'_>) {
        let taken = match found {
            Found::Carried(carried) => self.view.carry(carried),
            Found::Record(entered) if entered.segment <= self.segment => {
                self.view.apply(entered.record)
            }
            Found::Record(Entered { record, .. }) => {
                if let Fact::Session { id, .. } = &record.fact {
                    self.later.insert(id.uid.clone());
                }
                Ok(())
            }
        };
        if self.result.is_ok() {
            self.result = taken;
        }
    }
}

/// The records up to the boundary that stay as they are.
fn records(
    files: &impl Files,
    kept: &BTreeSet<GroupUid>,
    segment: u32,
) -> Result<Vec<Record>, RetireError> {
    let mut records = Vec::new();
    let mut keep = |record: &Record| {
        if stays(record, kept) {
            records.push(record.clone());
        }
    };
    read(files, |found| match found {
        Found::Carried(carried) => carried.records.iter().for_each(&mut keep),
        Found::Record(entered) if entered.segment <= segment => keep(entered.record),
        Found::Record(_) => {}
    })?;
    thin(&mut records);
    Ok(records)
}

fn stays(record: &Record, kept: &BTreeSet<GroupUid>) -> bool {
    match &record.fact {
        Fact::BookInstalled(BookText { .. }) | Fact::ClockStepped => true,
        Fact::EpochBegan { .. } | Fact::EpochEnded | Fact::Carried(_) => false,
        Fact::Session { id, .. } => kept.contains(&id.uid),
    }
}

/// Of what a session had used by and by, and of its samples, only the end counts.
fn thin(records: &mut Vec<Record>) {
    let mut later = Later::default();
    let backwards = records.iter().rev();
    let mut stays: Vec<bool> = backwards.map(|record| later.lacks(record)).collect();
    stays.reverse();
    let mut stays = stays.into_iter();
    records.retain(|_| stays.next().unwrap_or(true));
}

/// What the records behind one say of totals that only grow.
#[derive(Default)]
struct Later {
    used: BTreeMap<SessionId, Used>,
    samples: BTreeMap<SessionId, Samples>,
}

impl Later {
    /// Whether a record says what those behind it do not.
    fn lacks(&mut self, record: &Record) -> bool {
        let Fact::Session { id, fact } = &record.fact else {
            return true;
        };
        match fact {
            SessionFact::Used(used) => {
                let known = self.used.get(id);
                let joined = known.map_or(*used, |known| known.join(used));
                let says_more = known != Some(&joined);
                self.used.insert(id.clone(), joined);
                says_more
            }
            SessionFact::Sampled(samples) => {
                let known = self.samples.get(id);
                let mut joined = known.cloned().unwrap_or_default();
                joined.raise(samples);
                let says_more = known != Some(&joined);
                self.samples.insert(id.clone(), joined);
                says_more
            }
            _ => true,
        }
    }
}

fn read(files: &impl Files, each: impl FnMut(Found<'_>)) -> Result<Scan, RetireError> {
    scan(files, each).map_err(RetireError::Read)
}

fn failed(error: ViewError) -> RetireError {
    RetireError::Sum(Box::new(error))
}
