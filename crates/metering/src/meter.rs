//! The view of a ledger that is being written, shared by who writes and who asks.
//!
//! The writer tells every record as soon as it is durable. Who asks takes a copy of what is known,
//! which shares all sessions that did not change since, and computes on that: no question, however
//! large, keeps a record waiting.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use burstlet_model::{GroupUid, Stamp, WallTime};
use tokio::sync::watch;

use crate::book::{Book, Shelf};
use crate::budget::{self, Budget};
use crate::focus::{self, ExportError, Form, Invoice};
use crate::ledger::{Shown, Status};
use crate::rating::{RatingError, Running, running};
use crate::record::{BootId, Moment, SessionId};
use crate::sessions::{Session, Sessions, Window};
use crate::usage::{self, Committed, Dimension, Filter, Report};
use crate::view::{Format, View, ViewError};

/// A handle of the shared view. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    shared: Arc<Shared>,
}

/// What a group costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCost {
    /// All of its sessions together.
    pub running: Running,
    /// The currency.
    pub currency: String,
}

#[derive(Debug, Default)]
struct Shared {
    boot_id: BootId,
    view: Mutex<View>,
    ledger: OnceLock<watch::Receiver<Status>>,
}

impl Meter {
    /// Nothing yet, on this boot; these tags become labels, and these budgets are watched.
    #[must_use]
    pub fn new(
        boot_id: BootId,
        tag_labels: impl IntoIterator<Item = String>,
        budgets: Vec<Budget>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                boot_id,
                view: Mutex::new(View::new(tag_labels).with_budgets(budgets)),
                ledger: OnceLock::new(),
            }),
        }
    }

    /// Takes note of what the ledger holds.
    ///
    /// # Errors
    /// It stands, but has no price.
    pub fn apply(&self, shown: Shown<'_>) -> Result<(), ViewError> {
        match shown {
            Shown::Carried(carried) => self.view().carry(carried),
            Shown::Record(record) => self.view().apply(record),
        }
    }

    /// Forgets sessions that are carried on as sums, which all ended before a moment.
    pub fn forget(&self, sessions: &[SessionId], since: WallTime) {
        self.view().forget(sessions, since);
    }

    /// See [`View::since`].
    #[must_use]
    pub fn since(&self) -> Option<WallTime> {
        self.view().since()
    }

    /// From where the ledger's state is to be known. Only the first counts.
    pub fn follow(&self, ledger: watch::Receiver<Status>) {
        // A meter has one ledger for life.
        let _ = self.shared.ledger.set(ledger);
    }

    /// How the ledger is.
    #[must_use]
    pub fn ledger(&self) -> Status {
        let ledger = self.shared.ledger.get();
        ledger
            .map(|status| status.borrow().clone())
            .unwrap_or_default()
    }

    /// Reads the sessions as they are. The next record waits meanwhile: for a look, not for a sum.
    pub fn look<T>(&self, read: impl FnOnce(&Sessions) -> T) -> T {
        read(self.view().sessions())
    }

    /// The price books.
    #[must_use]
    pub fn shelf(&self) -> Shelf {
        self.view().shelf().clone()
    }

    /// The book by which a group is charged that begins at a moment; nothing without one.
    #[must_use]
    pub fn book_at(&self, moment: WallTime) -> Option<Arc<Book>> {
        let has_book = self.look(Sessions::has_book);
        self.shelf().at_begin(moment, has_book).cloned()
    }

    /// What a group has cost so far, and what it costs; nothing without a price book.
    ///
    /// # Errors
    /// A session cannot be rated.
    pub fn cost(&self, uid: &GroupUid, now: Stamp) -> Result<Option<GroupCost>, RatingError> {
        let (shelf, sessions) = {
            let view = self.view();
            let sessions: Vec<_> = view.sessions().shared_of_group(uid).cloned().collect();
            (view.shelf().clone(), sessions)
        };
        let Some(currency) = shelf.currency() else {
            return Ok(None);
        };
        let now = self.moment(now);
        let of = |session: &Arc<Session>| running(session, &shelf, now, Window::ALL);
        let mut sessions = sessions.iter();
        let running =
            sessions.try_fold(Running::default(), |sum, session| Ok(sum + of(session)?))?;
        Ok(Some(GroupCost {
            running,
            currency: currency.to_owned(),
        }))
    }

    /// How the budgets stand.
    ///
    /// # Errors
    /// A session that lasts cannot be rated.
    pub fn budgets(&self, now: Stamp) -> Result<Vec<budget::State>, RatingError> {
        let ((accounts, open), shelf) = {
            let view = self.view();
            (view.accounts(), view.shelf().clone())
        };
        accounts.states(&open, &shelf, self.moment(now))
    }

    /// The page for a scrape.
    ///
    /// # Errors
    /// A session that lasts cannot be rated.
    pub fn page(&self, format: Format, now: Stamp) -> Result<String, ViewError> {
        let ledger = self.ledger();
        let mut copy = self.copy();
        let page = copy.page(format, self.moment(now), &ledger)?;
        self.view().raise(&copy);
        Ok(page)
    }

    /// See [`usage::report`].
    ///
    /// # Errors
    /// A session cannot be rated.
    pub fn report(
        &self,
        now: Stamp,
        window: Window,
        filter: &Filter,
        by: &[Dimension],
    ) -> Result<Report, RatingError> {
        let copy = self.copy();
        let times = (self.moment(now), window);
        usage::report(copy.sessions(), copy.shelf(), times, filter, by)
    }

    /// See [`usage::commitments`].
    ///
    /// # Errors
    /// A session or a commitment cannot be rated.
    pub fn commitments(&self, now: Stamp, window: Window) -> Result<Vec<Committed>, RatingError> {
        let copy = self.copy();
        usage::commitments(copy.sessions(), copy.shelf(), self.moment(now), window)
    }

    /// The bill in FOCUS' form.
    ///
    /// # Errors
    /// A session cannot be rated, or the form has no room for a number.
    pub fn focus(
        &self,
        now: Stamp,
        window: Window,
        invoice: &Invoice,
        form: Form,
    ) -> Result<Vec<u8>, ExportError> {
        let copy = self.copy();
        let rows = focus::rows(copy.sessions(), copy.shelf(), self.moment(now), window)?;
        Ok(focus::write(&rows, invoice, form)?)
    }

    fn moment(&self, stamp: Stamp) -> Moment {
        Moment {
            boot_id: self.shared.boot_id,
            stamp,
        }
    }

    fn copy(&self) -> View {
        self.view().clone()
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // A fold that panicked has left whole values behind.
        let locked = self.shared.view.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::fixture::two_groups;
    use crate::record::{Close, SessionFact};

    #[test]
    fn who_asks_sees_what_was_told() {
        let mut teller = two_groups();
        let meter = Meter::new(teller.now().boot_id, [], Vec::new());
        *meter.view() = teller.view.clone();
        let now = teller.now().stamp;
        let page = meter.page(Format::Text, now).unwrap();
        assert!(page.contains("burstlet_group_info{namespace=\"team-b\""));
        let by = [Dimension::Namespace];
        let asked = meter
            .report(now, Window::ALL, &Filter::default(), &by)
            .unwrap();
        assert_eq!(asked.len(), 2);
        teller.of("0-b", SessionFact::Closed(Close::Failed));
        assert_eq!(meter.shelf().books().len(), 1);
        assert_eq!(meter.ledger(), Status::default());
    }
}
