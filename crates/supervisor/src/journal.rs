//! What has changed, for watchers: a bounded history with one number per change.
//!
//! A watcher reads at its own pace from the history and is told [`Expired`] when it has fallen
//! behind what is kept; it then lists again and goes on from the list's version. Nobody waits for
//! a watcher.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burstlet_model::spec::GroupSpec;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::snapshot::Snapshot;

/// One change of one group.
#[derive(Clone, Debug)]
pub struct Change {
    /// What kind of change.
    pub kind: ChangeKind,
    /// The group after it; for a deletion, as it was last.
    pub snapshot: Arc<Snapshot>,
    /// What it should have been before; nothing for a new one. A change of labels brings a group
    /// into a watcher's sight, or out of it.
    pub before: Option<Arc<GroupSpec>>,
    /// The change's number.
    pub resource_version: u64,
}

/// What kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The group is new.
    Added,
    /// Something about it changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// The history does not reach back to what the watcher has seen: list again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "changes since version {since} are no longer kept (oldest {oldest}); list again and watch from there"
)]
pub struct Expired {
    /// The last version the watcher saw.
    pub since: u64,
    /// The oldest change that is kept.
    pub oldest: u64,
}

/// The history, shared by the groups that write it and the watchers that read it.
#[derive(Debug)]
pub(crate) struct Journal {
    kept: Mutex<Kept>,
    latest: watch::Sender<u64>,
    history_max: usize,
    shutdown: CancellationToken,
}

#[derive(Debug)]
struct Kept {
    changes: VecDeque<Change>,
    /// Everything up to this version is not kept (any more).
    forgotten: u64,
    latest: u64,
}

impl Journal {
    /// An empty history whose numbers go on after `first`. The caller chooses `first` beyond every
    /// number that an earlier agent gave, so that an earlier watcher is told to list again.
    pub(crate) fn new(first: u64, history_max: usize, shutdown: CancellationToken) -> Self {
        let kept = Kept {
            changes: VecDeque::new(),
            forgotten: first,
            latest: first,
        };
        Self {
            kept: Mutex::new(kept),
            latest: watch::Sender::new(first),
            history_max: history_max.max(1),
            shutdown,
        }
    }

    /// Numbers a change, keeps it and tells the watchers.
    pub(crate) fn push(
        &self,
        kind: ChangeKind,
        before: Option<Arc<GroupSpec>>,
        mut snapshot: Snapshot,
    ) -> Arc<Snapshot> {
        let mut kept = self.lock();
        let resource_version = kept.latest + 1;
        kept.latest = resource_version;
        snapshot.resource_version = resource_version;
        let snapshot = Arc::new(snapshot);
        kept.changes.push_back(Change {
            kind,
            snapshot: Arc::clone(&snapshot),
            before,
            resource_version,
        });
        if kept.changes.len() > self.history_max
            && let Some(oldest) = kept.changes.pop_front()
        {
            kept.forgotten = oldest.resource_version;
        }
        drop(kept);
        self.latest.send_replace(resource_version);
        snapshot
    }

    /// The number of the latest change.
    pub(crate) fn latest(&self) -> u64 {
        self.lock().latest
    }

    /// Watches from just after `since`.
    pub(crate) fn watch(self: &Arc<Self>, since: u64) -> Changes {
        Changes {
            seen: since,
            latest: self.latest.subscribe(),
            journal: Arc::clone(self),
        }
    }

    fn after(&self, since: u64) -> Result<Option<Change>, Expired> {
        let kept = self.lock();
        if since < kept.forgotten || since > kept.latest {
            let oldest = kept.forgotten + 1;
            return Err(Expired { since, oldest });
        }
        // Numbers have no gaps: the place of the next one follows from the first.
        let index = usize::try_from(since - kept.forgotten).unwrap_or(usize::MAX);
        Ok(kept.changes.get(index).cloned())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watcher's place in the history.
#[derive(Debug)]
pub struct Changes {
    seen: u64,
    latest: watch::Receiver<u64>,
    journal: Arc<Journal>,
}

impl Changes {
    /// The next change; waits for it. `None` when the agent goes down. Cancel-safe.
    ///
    /// # Errors
    /// The watcher has fallen behind: list again.
    pub async fn next(&mut self) -> Result<Option<Change>, Expired> {
        loop {
            self.latest.borrow_and_update();
            if let Some(change) = self.journal.after(self.seen)? {
                self.seen = change.resource_version;
                return Ok(Some(change));
            }
            // Both arms are cancel-safe: neither takes anything out.
            tokio::select! {
                () = self.journal.shutdown.cancelled() => return Ok(None),
                changed = self.latest.changed() => if changed.is_err() { return Ok(None) },
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
