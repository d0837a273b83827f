//! From records to sessions: what every group had, in which state, for how long.
//!
//! A pure fold. It reads no clock and forgives nothing silently: what does not fit is counted as an
//! oddity and leaves every session as it was, so that an interval never overlaps another, never
//! goes back, and is never counted twice, whatever is replayed.
//!
//! ```text
//! Opened ─► Queued ─► Pulling ─► Starting ─► Init ─► Running ⇄ BackOff ─► Terminating ─► Closed
//!             └──────────┴──────────┴──────────┴────────┴────────────────────────────────┘
//! ```
//!
//! Lengths are differences of the boot clock within one boot. Wall time only says in which window
//! a nanosecond counts; as each nanosecond has one label, the windows of any partition of time sum
//! to the whole.

mod hours;
mod piece;
mod session;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::record::{Fact, Moment, Record, SessionFact, SessionId};

pub use piece::{Piece, Quantities, Window};
pub use session::{Closed, Reading, Session, Span};

/// Every session that the records tell of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// Shared with copies of this fold, as long as they do not change.
    sessions: BTreeMap<SessionId, Arc<Session>>,
    /// Those that are not closed.
    open: BTreeSet<SessionId>,
    seq: u64,
    /// Whether a price book has come into force.
    has_book: bool,
    oddities: Oddities,
}

/// What did not fit, by kind. All zero in a ledger that agents of this version wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Facts about sessions that were never opened.
    pub orphans: u64,
    /// Facts of another boot than their session's.
    pub other_boot: u64,
    /// Facts that say that something happened before what was known already.
    pub backwards: u64,
    /// Facts that came after the end of their session, or told again what was known.
    pub late: u64,
}

/// What one record did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// A session changed.
    Session(SessionId),
    /// It was about the ledger itself.
    General,
    /// It was known already.
    Replayed,
}

impl Sessions {
    /// Takes note of a record. Records come in the order of their numbers; one that was seen
    /// before changes nothing.
    pub fn apply(&mut self, record: &Record) -> Applied {
        if record.seq <= self.seq {
            return Applied::Replayed;
        }
        self.seq = record.seq;
        match &record.fact {
            Fact::ClockStepped => {
                self.relabel(record.at);
                Applied::General
            }
            Fact::BookInstalled(book) => {
                self.has_book |= book.effective <= record.at.stamp.wall;
                Applied::General
            }
            Fact::EpochBegan { .. } | Fact::EpochEnded | Fact::Carried(_) => Applied::General,
            Fact::Session { id, fact } => {
                self.session_fact(id, fact, record.at);
                Applied::Session(id.clone())
            }
        }
    }

    /// Whether a price book has come into force: from then on there always is one.
    #[must_use]
    pub const fn has_book(&self) -> bool {
        self.has_book
    }

    /// The number of the last record taken note of.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// What did not fit.
    #[must_use]
    pub const fn oddities(&self) -> Oddities {
        self.oddities
    }

    /// One session.
    #[must_use]
    pub fn get(&self, id: &SessionId) -> Option<&Session> {
        self.sessions.get(id).map(AsRef::as_ref)
    }

    /// Every session, by group and start.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values().map(AsRef::as_ref)
    }

    /// Those that are not closed.
    pub fn open(&self) -> impl Iterator<Item = &Session> {
        self.open.iter().filter_map(|id| self.get(id))
    }

    /// The same, to be kept as they are now.
    pub fn shared_open(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.open.iter().filter_map(|id| self.sessions.get(id))
    }

    /// The sessions of one group, oldest first.
    pub fn of_group(&self, uid: &burstlet_model::GroupUid) -> impl Iterator<Item = &Session> {
        self.shared_of_group(uid).map(AsRef::as_ref)
    }

    /// The same, to be kept as they are now.
    pub fn shared_of_group(
        &self,
        uid: &burstlet_model::GroupUid,
    ) -> impl Iterator<Item = &Arc<Session>> {
        let first = SessionId {
            uid: uid.clone(),
            start: 0,
        };
        let last = SessionId {
            uid: uid.clone(),
            start: u32::MAX,
        };
        self.sessions
            .range(first..=last)
            .map(|(_, session)| session)
    }

    /// Begins with what did not fit among records that are gone.
    pub(crate) const fn begin_with(&mut self, oddities: Oddities) {
        self.oddities = oddities;
    }

    /// Forgets sessions that are closed.
    pub(crate) fn forget(&mut self, ids: &[SessionId]) {
        for id in ids.iter().filter(|id| !self.open.contains(id)) {
            self.sessions.remove(id);
        }
    }

    fn session_fact(&mut self, id: &SessionId, fact: &SessionFact, at: Moment) {
        if let SessionFact::Opened(opened) = fact {
            if self.sessions.contains_key(id) {
                self.oddities.late += 1;
                return;
            }
            let session = Session::open(id.clone(), opened, at, self.has_book);
            self.sessions.insert(id.clone(), Arc::new(session));
            self.open.insert(id.clone());
            return;
        }
        let Some(session) = self.sessions.get_mut(id) else {
            self.oddities.orphans += 1;
            return;
        };
        let session = Arc::make_mut(session);
        session.apply(fact, at, &mut self.oddities);
        if session.closed().is_some() {
            self.open.remove(id);
        }
    }

    /// The wall clock was set: what lasts goes on under a new label.
    fn relabel(&mut self, at: Moment) {
        for id in &self.open {
            if let Some(session) = self.sessions.get_mut(id) {
                Arc::make_mut(session).relabel(at);
            }
        }
    }
}
