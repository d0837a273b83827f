//! What others hold of a group: a bounded channel of commands to its loop, and its latest
//! snapshot. The group's state itself belongs to the loop.

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::status::Phase;
use burstlet_model::{ContainerName, GroupName, GroupUid};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::record::Definition;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// Requests that a group lets wait at its door; more are refused.
pub(crate) const COMMANDS_MAX: usize = 64;

/// The answer to a command: the group after it was accepted, or why it was not.
pub(crate) type Reply = oneshot::Sender<Result<Arc<Snapshot>, Refusal>>;

/// What a client asks of a group. On its way it is boxed: each group's channel has room for 32 from
/// the beginning.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) ask: Ask,
    pub(crate) reply: Reply,
}

#[derive(Debug)]
pub(crate) enum Ask {
    Start,
    Stop {
        grace: Option<Duration>,
    },
    Restart {
        container: Option<ContainerName>,
    },
    Delete {
        grace: Option<Duration>,
    },
    Update {
        definition: Definition,
        expected_version: Option<u64>,
    },
}

/// A group, as others hold it.
#[derive(Clone, Debug)]
pub struct GroupHandle {
    pub(crate) uid: GroupUid,
    pub(crate) name: GroupName,
    pub(crate) commands: mpsc::Sender<Box<Command>>,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) shutdown: CancellationToken,
}

/// What may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A main container of it has run.
    Started,
    /// Every container counts as ready.
    Ready,
    /// It is at rest: stopped, succeeded or failed.
    AtRest,
    /// It ran to its end: succeeded or failed.
    Finished,
    /// It is gone.
    Deleted,
}

impl GroupHandle {
    /// Its identity.
    #[must_use]
    pub const fn uid(&self) -> &GroupUid {
        &self.uid
    }

    /// Namespace and name.
    #[must_use]
    pub const fn name(&self) -> &GroupName {
        &self.name
    }

    /// The group as last published.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Follows the group. The sender is dropped when the group is gone or the agent goes down.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Runs a group that is at rest again: a new launch, with the same address and volumes.
    ///
    /// # Errors
    /// Its phase does not allow it, or the queue is full.
    pub async fn start(&self) -> Result<Arc<Snapshot>, Refusal> {
        self.ask(Ask::Start).await
    }

    /// Ends the group's processes and keeps the rest. Answers when the wish is written down, not
    /// when all has ended. Asked again, it can only shorten the grace period.
    ///
    /// `grace` replaces the specification's grace period; zero kills at once.
    ///
    /// # Errors
    /// Its phase does not allow it.
    pub async fn stop(&self, grace: Option<Duration>) -> Result<Arc<Snapshot>, Refusal> {
        self.ask(Ask::Stop { grace }).await
    }

    /// Stops and starts the group, or one container of it (whatever the restart policy says, and
    /// without back-off).
    ///
    /// # Errors
    /// Its phase does not allow it, or there is no such container.
    pub async fn restart(
        &self,
        container: Option<ContainerName>,
    ) -> Result<Arc<Snapshot>, Refusal> {
        self.ask(Ask::Restart { container }).await
    }

    /// Ends the group and removes all of it. Answers when the wish is written down; wait for
    /// [`Condition::Deleted`] to see it done. Asked again, it can only shorten the grace period.
    ///
    /// # Errors
    /// It is gone already.
    pub async fn delete(&self, grace: Option<Duration>) -> Result<Arc<Snapshot>, Refusal> {
        self.ask(Ask::Delete { grace }).await
    }

    /// Replaces labels, annotations and tags by those of `definition`, whose other fields must be
    /// as they are; of a pod, more may change: a container with another image is started again, and
    /// volumes of configuration have other files. New tags count from the group's next session on.
    /// With `expected_version`, only if the group has not changed since.
    ///
    /// # Errors
    /// Something else differs, the group has changed, or its phase does not allow it.
    pub async fn update(
        &self,
        definition: Definition,
        expected_version: Option<u64>,
    ) -> Result<Arc<Snapshot>, Refusal> {
        self.ask(Ask::Update {
            definition,
            expected_version,
        })
        .await
    }

    /// Waits until `condition` holds, at most `within`. Cancel-safe.
    ///
    /// # Errors
    /// It did not come in time, or can no longer come.
    pub async fn wait(
        &self,
        condition: Condition,
        within: Duration,
    ) -> Result<Arc<Snapshot>, Refusal> {
        match timeout(within, self.wait_unbounded(condition)).await {
            Ok(result) => result,
            Err(_) => Err(Refusal::NotInTime {
                group: self.name.clone(),
                awaited: condition.awaited(),
                within,
            }),
        }
    }

    async fn wait_unbounded(&self, condition: Condition) -> Result<Arc<Snapshot>, Refusal> {
        let mut snapshots = self.snapshots.clone();
        loop {
            let now = Arc::clone(&snapshots.borrow_and_update());
            if condition.holds(now.status.phase, now.status.ready) {
                return Ok(now);
            }
            if condition.is_out_of_reach(now.status.phase) {
                return Err(Refusal::OutOfReach {
                    group: self.name.clone(),
                    phase: now.status.phase,
                    awaited: condition.awaited(),
                });
            }
            if snapshots.changed().await.is_err() {
                return match (condition, self.gone()) {
                    (Condition::Deleted, Refusal::NoGroup(_)) => Ok(now),
                    (_, refusal) => Err(refusal),
                };
            }
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Arc<Snapshot>, Refusal> {
        let (reply, answer) = oneshot::channel();
        match self.commands.try_send(Box::new(Command { ask, reply })) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.gone())),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Refusal::Busy(self.name.clone())),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.gone()),
        }
    }

    /// Why the loop does not answer (any more).
    fn gone(&self) -> Refusal {
        if self.shutdown.is_cancelled() {
            Refusal::ShuttingDown
        } else {
            Refusal::NoGroup(self.name.to_string())
        }
    }
}

impl Condition {
    const fn holds(self, phase: Phase, ready: bool) -> bool {
        match self {
            Self::Started => matches!(phase, Phase::Running | Phase::Succeeded | Phase::Failed),
            Self::Ready => ready,
            Self::AtRest => phase.is_at_rest(),
            Self::Finished => phase.is_finished(),
            Self::Deleted => false,
        }
    }

    /// Whether it cannot come unless somebody asks for something.
    const fn is_out_of_reach(self, phase: Phase) -> bool {
        match self {
            Self::Started | Self::Finished => matches!(phase, Phase::Stopped),
            Self::Ready => phase.is_at_rest(),
            Self::AtRest | Self::Deleted => false,
        }
    }

    const fn awaited(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::AtRest => "at rest",
            Self::Finished => "finished",
            Self::Deleted => "deleted",
        }
    }
}
