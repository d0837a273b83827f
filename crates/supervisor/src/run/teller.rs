//! Tells the ledger what happened, in order and one append at a time. Nothing is shown, and no
//! container started, while something is not told.

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::metering::Mark;
use burstlet_model::spec::GroupSpec;
use burstlet_model::{ErrorKind, GroupUid, Stamp};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::error;

use crate::host::{GroupRef, Host, HostError};
use crate::meter::Told;
use crate::seen::Seen;

/// Marks that wait for the ledger. While there are more, what happens is only looked at again once
/// they are told.
const MARKS_WAITING_MAX: usize = 256;
/// The wait after an append that failed.
const TELL_RETRY: Duration = Duration::from_secs(1);

pub(super) struct Teller {
    told: Told,
    /// Oldest first; the first `begun` are being told.
    marks: Vec<Mark>,
    begun: usize,
    /// The version of the record that must be written first: it numbers the sessions.
    needed: u64,
    not_before: Option<Instant>,
    task: JoinSet<Result<(), HostError>>,
}

impl Teller {
    pub(super) fn new(told: Told) -> Self {
        Self {
            told,
            marks: Vec::new(),
            begun: 0,
            needed: 0,
            not_before: None,
            task: JoinSet::new(),
        }
    }

    /// Takes note of what has to be told, which needs the record's version `needed`.
    pub(super) fn look(&mut self, seen: &Seen, now: Stamp, needed: u64) {
        if self.marks.len() >= MARKS_WAITING_MAX {
            return;
        }
        let more = self.told.catch_up(seen, now);
        if !more.is_empty() {
            self.needed = needed;
            self.marks.extend(more);
        }
    }

    /// Whether everything is told.
    pub(super) const fn is_settled(&self) -> bool {
        self.marks.is_empty()
    }

    /// Begins to tell what waits, if it may be told.
    pub(super) fn begin<H: Host>(
        &mut self,
        host: &Arc<H>,
        (uid, spec): (&GroupUid, &Arc<GroupSpec>),
        written: u64,
    ) {
        let is_early = self.not_before.is_some_and(|at| at > Instant::now());
        if self.is_settled() || !self.task.is_empty() || written < self.needed || is_early {
            return;
        }
        self.begun = self.marks.len();
        let marks = self.marks.clone();
        let (host, uid, spec) = (Arc::clone(host), uid.clone(), Arc::clone(spec));
        self.task.spawn(async move {
            let group = GroupRef {
                uid: &uid,
                spec: &spec,
            };
            host.meter(group, &marks).await
        });
    }

    /// How long until it should be tried again.
    pub(super) fn wait(&self) -> Option<Duration> {
        let at = self.not_before.filter(|_| self.task.is_empty())?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// The result of the append under way; `None` if there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Result<(), HostError>> {
        let joined = self.task.join_next().await?;
        Some(joined.unwrap_or_else(|panic| {
            let text = panic.to_string();
            Err(HostError::new(ErrorKind::Internal, "MeterFailed", text))
        }))
    }

    /// Takes note of how the append under way ended.
    pub(super) fn ended(&mut self, result: Result<(), HostError>) {
        self.not_before = None;
        match result {
            Ok(()) => drop(self.marks.drain(..self.begun)),
            Err(failure) => {
                error!(error = %failure, "tell the ledger; trying again, the group's status waits");
                self.not_before = Some(Instant::now() + TELL_RETRY);
            }
        }
        self.begun = 0;
    }

    /// Tells what is left; the agent goes down.
    pub(super) async fn finish<H: Host>(
        mut self,
        host: &Arc<H>,
        group: GroupRef<'_>,
    ) -> Result<(), HostError> {
        if let Some(result) = self.next().await {
            self.ended(result);
        }
        match self.marks.is_empty() {
            true => Ok(()),
            false => host.meter(group, &self.marks).await,
        }
    }
}
