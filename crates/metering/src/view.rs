//! What Prometheus sees of the ledger: a fold over its records, rendered as text.
//!
//! Totals by namespace begin at zero, never fall, and are told again by the ledger when the agent
//! starts anew; bills can be read off them by raw difference. What a session is charged is added
//! when it is closed; what lasts is counted up to a moment ago ([`LAG_SECONDS`]), so that an exit
//! of which the agent has not heard yet cannot make a total fall. Series of single groups stay for
//! a while after their end, and are bounded.

mod budgets;
mod carry;
mod contribution;
mod exposition;
mod groups;
mod page;
mod series;
mod tags;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use burstlet_model::{BootTime, ErrorKind, GroupUid, Stamp, WallTime};

pub use exposition::Format;
pub use groups::{RETAINED_GROUPS_MAX, RETAINED_SECONDS};
pub use tags::{OTHER, TAG_LABELS_MAX, TAG_VALUES_MAX};

use crate::book::{Book, BookError, Shelf, ShelfError};
use crate::budget::{Accounts, Budget, State};
use crate::ledger::Status;
use crate::rating::{Rated, RatingError};
use crate::record::{BookText, Fact, Moment, Opened, Record, SessionFact, SessionId};
use crate::sessions::{Session, Sessions};
use contribution::Contribution;
use groups::Groups;
use series::Sums;
use tags::Tags;

/// How far what lasts is counted behind now: longer than an exit takes to reach the ledger.
pub const LAG_SECONDS: u64 = 2;

/// Why a record could not be taken into the sums.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A price book of the ledger cannot be read.
    #[error("read the price book {name} of the ledger")]
    Book {
        /// Its name.
        name: String,
        /// Why.
        source: BookError,
    },
    /// A price book of the ledger does not fit those before it.
    #[error("use the price book {name} of the ledger")]
    Shelf {
        /// Its name.
        name: String,
        /// Why.
        source: ShelfError,
    },
    /// A sum that is carried on is of a metric that is not known.
    #[error("carry on the sums of {metric}, which this version does not know")]
    Metric {
        /// Its name.
        metric: String,
    },
    /// How the budgets stand cannot be told.
    #[error("tell how the budgets stand")]
    Budgets(#[source] RatingError),
    /// A session cannot be rated.
    #[error("rate the session {session}")]
    Rating {
        /// The session.
        session: SessionId,
        /// Why.
        source: RatingError,
    },
}

impl ViewError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// The ledger's records, folded.
#[derive(Clone, Debug, Default)]
pub struct View {
    sessions: Sessions,
    shelf: Shelf,
    tags: Tags,
    /// What closed sessions come to.
    closed: Sums,
    groups: Groups,
    accounts: Accounts,
    /// What was shown last: no total is ever shown smaller.
    shown: Sums,
    /// Sessions that ended before are in totals only.
    since: Option<WallTime>,
}

impl View {
    /// Nothing yet; these tags become labels.
    #[must_use]
    pub fn new(tag_labels: impl IntoIterator<Item = String>) -> Self {
        Self {
            tags: Tags::new(tag_labels),
            ..Self::default()
        }
    }

    /// The same, with these budgets.
    #[must_use]
    pub fn with_budgets(mut self, budgets: Vec<Budget>) -> Self {
        self.accounts = Accounts::new(budgets);
        self
    }

    /// Takes note of a record.
    ///
    /// # Errors
    /// The record stands, but has no price.
    pub fn apply(&mut self, record: &Record) -> Result<(), ViewError> {
        if record.seq <= self.sessions.seq() {
            return Ok(());
        }
        match &record.fact {
            Fact::BookInstalled(text) => {
                self.sessions.apply(record);
                self.install(text, record.at.stamp.wall)
            }
            Fact::Session { id, fact } => self.session(id, fact, record),
            _ => {
                self.sessions.apply(record);
                Ok(())
            }
        }
    }

    /// The sessions.
    #[must_use]
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// From when on it has every session; sessions that ended before are in totals only. `None` if
    /// it has all there ever were.
    #[must_use]
    pub const fn since(&self) -> Option<WallTime> {
        self.since
    }

    /// The price books.
    #[must_use]
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// How the budgets stand.
    ///
    /// # Errors
    /// A session that lasts cannot be rated.
    pub fn budgets(&self, now: Moment) -> Result<Vec<State>, RatingError> {
        let (accounts, open) = self.accounts();
        accounts.states(&open, &self.shelf, now)
    }

    /// What the budgets' states follow from.
    pub(crate) fn accounts(&self) -> (Accounts, Vec<Arc<Session>>) {
        let open = self.sessions.shared_open().cloned();
        (self.accounts.clone(), open.collect())
    }

    /// The page for a scrape.
    ///
    /// # Errors
    /// A session that lasts cannot be rated.
    pub fn page(
        &mut self,
        format: Format,
        now: Moment,
        ledger: &Status,
    ) -> Result<String, ViewError> {
        self.groups.age(now.stamp.wall);
        let mut sums = self.closed.clone();
        let mut live: BTreeMap<GroupUid, Rated> = BTreeMap::new();
        for session in self.sessions.open() {
            let added = contribution::of(session, behind(now), &self.shelf, &self.tags);
            let added = added.map_err(|source| failed(session.id(), source))?;
            sums.add(added.sums);
            live.insert(session.id().uid.clone(), added.rated);
        }
        self.shown.raise(&sums);
        let budgets = self.budgets(now).map_err(ViewError::Budgets)?;
        let shown = page::Shown {
            view: self,
            live: &live,
            budgets: &budgets,
            ledger,
        };
        Ok(page::render(&shown, format))
    }

    /// Takes note of what a copy of this view has shown.
    pub(crate) fn raise(&mut self, copy: &Self) {
        self.shown.raise(&copy.shown);
    }

    /// A book counts from its date on, and never for what was before it was installed: what has
    /// been shown stays as it was.
    fn install(&mut self, text: &BookText, at: WallTime) -> Result<(), ViewError> {
        let book = Book::parse(&text.text).map_err(|source| ViewError::Book {
            name: text.name.clone(),
            source,
        })?;
        let shelf = self
            .shelf
            .with(book, at)
            .map_err(|source| ViewError::Shelf {
                name: text.name.clone(),
                source,
            })?;
        self.shelf = shelf;
        Ok(())
    }

    fn session(
        &mut self,
        id: &SessionId,
        fact: &SessionFact,
        record: &Record,
    ) -> Result<(), ViewError> {
        let is_new = self.sessions.get(id).is_none();
        let before = self.settled(id);
        self.sessions.apply(record);
        if let (SessionFact::Opened(opened), true) = (fact, is_new) {
            self.tags.note(&opened.tags);
            self.began(id, opened)?;
        }
        match (before?, self.settled(id)?) {
            (None, Some((at, added))) => {
                self.groups.ended(&id.uid, at, &added.rated);
                self.closed.add(added.sums);
                self.account(id)?;
            }
            (Some((_, before)), Some((_, after))) => {
                self.groups.amend(&id.uid, &before.rated, &after.rated);
                self.closed.subtract(&before.sums);
                self.closed.add(after.sums);
            }
            _ => {}
        }
        Ok(())
    }

    /// A session that has just ended counts for its budgets.
    fn account(&mut self, id: &SessionId) -> Result<(), ViewError> {
        let session = self.sessions.get(id);
        let Some((session, closed)) = session.and_then(|s| Some((s, s.closed()?))) else {
            return Ok(());
        };
        let end = Moment {
            boot_id: session.boot_id(),
            stamp: closed.at,
        };
        let counted = self.accounts.closed(session, &self.shelf, end);
        counted.map_err(|source| failed(id, source))
    }

    /// A group that has no series any more begins with what its sessions before came to.
    fn began(&mut self, id: &SessionId, opened: &Opened) -> Result<(), ViewError> {
        if !self.groups.knows(&id.uid) {
            let before: Vec<SessionId> = self
                .sessions
                .of_group(&id.uid)
                .map(|session| session.id().clone())
                .collect();
            for before in before {
                if let Some((at, added)) = self.settled(&before)? {
                    self.groups.began(&id.uid, &opened.group);
                    self.groups.ended(&id.uid, at, &added.rated);
                }
            }
        }
        self.groups.began(&id.uid, &opened.group);
        Ok(())
    }

    /// When a closed session ended, and what it comes to.
    fn settled(&self, id: &SessionId) -> Result<Option<(WallTime, Contribution)>, ViewError> {
        let closed = self
            .sessions
            .get(id)
            .and_then(|session| Some((session, session.closed()?)));
        let Some((session, closed)) = closed else {
            return Ok(None);
        };
        let now = Moment {
            boot_id: session.boot_id(),
            stamp: closed.at,
        };
        let added = contribution::of(session, now, &self.shelf, &self.tags);
        let added = added.map_err(|source| failed(id, source))?;
        Ok(Some((closed.at.wall, added)))
    }
}

fn failed(session: &SessionId, source: RatingError) -> ViewError {
    ViewError::Rating {
        session: session.clone(),
        source,
    }
}

/// A moment ago.
fn behind(now: Moment) -> Moment {
    let lag = LAG_SECONDS * 1_000_000_000;
    Moment {
        boot_id: now.boot_id,
        stamp: Stamp {
            boot: BootTime(now.stamp.boot.0.saturating_sub(lag)),
            wall: WallTime(now.stamp.wall.0.saturating_sub_unsigned(lag)),
        },
    }
}
