//! When a group's record is written: at once for what must not be lost, a little later and
//! together for the rest. One save at a time, and each passes through two states:
//!
//! ```text
//! changed ──► begun ──► written: the agent's death does not lose it ──► durable: no crash does
//!               │                                                          ▲
//!               └──────────────── failed, tried again ◄────────────────────┘
//! ```
//!
//! A version is *settled* when it is durable, or given up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::host::{Host, HostError, Written};
use crate::record::GroupRecord;

/// How long a change that could be told again may wait for others.
const SAVE_DELAY: Duration = Duration::from_millis(250);
/// Tries of one save, after which the group goes on without.
const SAVE_TRIES_MAX: u32 = 5;
/// The wait after the first failed try; doubles.
const SAVE_RETRY: Duration = Duration::from_millis(100);
/// The wait after the last failed try.
const SAVE_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Saver {
    /// Grows with every change of state.
    version: u64,
    /// The version that must be settled before anything else begins.
    urgent: u64,
    /// The version that is on disk.
    durable: u64,
    /// The version that is on disk or given up.
    settled: u64,
    /// The version that outlives the agent, or is given up.
    written: u64,
    /// The version last handed to the host.
    begun: u64,
    /// When the oldest change was made that is not saved.
    dirty_since: Option<Instant>,
    not_before: Option<Instant>,
    tries: u32,
    /// Nothing is written any more.
    closed: bool,
    tasks: JoinSet<Result<(), HostError>>,
    /// Tells when the save under way is written.
    writing: Option<oneshot::Receiver<()>>,
}

/// How far the save under way has come.
pub(super) enum Saving {
    Written,
    Ended(Result<(), HostError>),
}

/// How far a version has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    /// The latest version that outlives the agent.
    pub(super) written: u64,
    /// The latest version that outlives the machine.
    pub(super) settled: u64,
    /// The ledger was told everything.
    pub(super) is_told: bool,
}

impl Saver {
    /// A new group's first record is urgent; that of an adopted one is on disk.
    pub(super) fn new(is_new: bool) -> Self {
        let mut saver = Self {
            version: 1,
            urgent: 0,
            durable: u64::from(!is_new),
            settled: u64::from(!is_new),
            written: u64::from(!is_new),
            begun: 0,
            dirty_since: None,
            not_before: None,
            tries: 0,
            closed: false,
            tasks: JoinSet::new(),
            writing: None,
        };
        if is_new {
            saver.changed();
            saver.urge();
        }
        saver
    }

    /// Takes note of a change that can wait.
    pub(super) fn changed(&mut self) {
        self.version += 1;
        self.dirty_since.get_or_insert_with(Instant::now);
    }

    /// The state as it is now must be on disk before anything else begins. Gives its version.
    pub(super) fn urge(&mut self) -> u64 {
        self.urgent = self.version;
        if self.tries == 0 {
            self.not_before = None;
        }
        self.version
    }

    /// Writes no more: the group is being removed, and so is its record.
    pub(super) const fn close(&mut self) {
        self.closed = true;
    }

    /// Gives up what is not saved, for good.
    pub(super) const fn abandon(&mut self) {
        self.closed = true;
        self.settled = self.begun;
        self.written = self.begun;
    }

    /// Whether anything of the group outlives the agent.
    pub(super) const fn is_written(&self) -> bool {
        self.written > 0
    }

    /// The version that must be settled before an effect may begin: what is urgent, or, when the
    /// record is to be removed, the write that is under way, lest that brings it back.
    pub(super) const fn needed(&self) -> u64 {
        match self.closed {
            true => self.begun,
            false => self.urgent,
        }
    }

    /// Whether everything urgent is settled.
    pub(super) const fn is_settled(&self) -> bool {
        self.settled >= self.urgent
    }

    /// Whether a record is on disk.
    pub(super) const fn is_durable(&self) -> bool {
        self.durable > 0
    }

    /// The version that is on disk.
    pub(super) const fn durable(&self) -> u64 {
        self.durable
    }

    /// The version that is settled.
    pub(super) const fn settled(&self) -> u64 {
        self.settled
    }

    /// How far the versions have come, for who knows what the ledger was told.
    pub(super) const fn reached(&self) -> Reached {
        Reached {
            written: self.written,
            settled: self.settled,
            is_told: false,
        }
    }

    /// Whether a save should begin now.
    pub(super) fn is_due(&self) -> bool {
        self.wait().is_some_and(|wait| wait.is_zero())
    }

    /// How long until a save should begin.
    pub(super) fn wait(&self) -> Option<Duration> {
        if self.closed || !self.tasks.is_empty() || self.durable >= self.version {
            return None;
        }
        let at = match self.is_settled() {
            false => None,
            true => self.dirty_since.map(|since| since + SAVE_DELAY),
        };
        let wait = |at: Instant| at.saturating_duration_since(Instant::now());
        let due = at.max(self.not_before);
        Some(due.map_or(Duration::ZERO, wait))
    }

    pub(super) fn begin<H: Host>(&mut self, host: &Arc<H>, record: GroupRecord) {
        self.begun = self.version;
        self.dirty_since = None;
        let (written, writing) = oneshot::channel();
        self.writing = Some(writing);
        let host = Arc::clone(host);
        self.tasks
            .spawn(async move { host.save(&record, Written(written)).await });
    }

    /// How far the save under way has come since this was last asked; `None` if there is none.
    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Saving> {
        if let Some(writing) = &mut self.writing
            && !self.tasks.is_empty()
        {
            let told = writing.await.is_ok();
            self.writing = None;
            if told {
                return Some(Saving::Written);
            }
        }
        // A task that panicked has said so; its save counts as failed.
        let joined = self.tasks.join_next().await?;
        Some(Saving::Ended(joined.unwrap_or_else(|panic| {
            let kind = burstlet_model::ErrorKind::Internal;
            Err(HostError::new(kind, "SaveFailed", panic.to_string()))
        })))
    }

    /// Takes note of what the save under way wrote.
    pub(super) const fn wrote(&mut self) {
        self.written = self.begun;
    }

    /// Takes note of how the save under way ended.
    pub(super) fn ended(&mut self, result: Result<(), HostError>) {
        match result {
            Ok(()) => {
                self.tries = 0;
                self.not_before = None;
                self.durable = self.begun;
                self.settled = self.begun;
                self.written = self.begun;
            }
            Err(failure) => {
                self.dirty_since.get_or_insert_with(Instant::now);
                self.tries += 1;
                if self.tries < SAVE_TRIES_MAX {
                    warn!(error = %failure, "save the group's record; trying again");
                    let wait = SAVE_RETRY * 2u32.saturating_pow(self.tries - 1);
                    self.not_before = Some(Instant::now() + wait);
                } else {
                    error!(error = %failure, "save the group's record; going on without");
                    self.tries = 0;
                    self.not_before = Some(Instant::now() + SAVE_PAUSE);
                    self.settled = self.begun;
                    self.written = self.begun;
                }
            }
        }
    }

    /// Waits for the save under way and makes a last one if something is not on disk.
    pub(super) async fn finish<H: Host>(
        mut self,
        host: &Arc<H>,
        record: GroupRecord,
    ) -> Result<(), HostError> {
        while let Some(saving) = self.next().await {
            if let Saving::Ended(result) = saving {
                self.ended(result);
            }
        }
        if self.durable < self.version {
            let (written, _) = oneshot::channel();
            host.save(&record, Written(written)).await?;
        }
        Ok(())
    }
}
