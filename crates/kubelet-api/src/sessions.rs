//! What is common to all sessions: how many there are, how long they may be silent, and the line
//! that is left of each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Identity;
use crate::backend::PodPath;
use crate::client::Lost;
use crate::refused::Refused;

/// Sessions at once.
pub(crate) const SESSIONS_MAX: usize = 512;
/// A client is asked for a sign of life this often, as one that is gone may not say so.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long sessions may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Without a byte in either direction.
    pub idle: Duration,
    /// Before a client has opened its streams.
    pub creation: Duration,
}

impl Default for Timeouts {
    /// A kubelet's.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(4 * 3600),
            creation: Duration::from_secs(30),
        }
    }
}

/// The sessions of a port.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    room: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    /// They end when it does.
    pub(crate) stop: CancellationToken,
    pub(crate) timeouts: Timeouts,
}

/// Who does what to which pod, for the line that a session leaves.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    pub(crate) who: Identity,
    pub(crate) verb: &'static str,
    pub(crate) pod: PodPath,
    pub(crate) container: Option<String>,
    pub(crate) command: Vec<String>,
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Exited(i32),
    Failed(Refused),
    NoStreams,
    Idle,
    Stopped,
    Lost(Lost),
}

impl Sessions {
    pub(crate) fn new(timeouts: Timeouts, stop: CancellationToken) -> Self {
        Self {
            room: Arc::new(Semaphore::new(SESSIONS_MAX)),
            tasks: TaskTracker::new(),
            stop,
            timeouts,
        }
    }

    /// A place for one more.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, Refused> {
        let place = Arc::clone(&self.room).try_acquire_owned();
        place.map_err(|_| {
            let message = format!("there are {SESSIONS_MAX} sessions on this node already");
            Refused::new(ErrorKind::ResourceExhausted, message)
        })
    }

    /// Runs a session, and leaves its line.
    pub(crate) fn spawn(
        &self,
        place: OwnedSemaphorePermit,
        audit: Audit,
        session: impl Future<Output = Outcome> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            let _place = place;
            let begun = Instant::now();
            audit.begin();
            let outcome = session.await;
            audit.end(begun.elapsed(), &outcome);
        });
    }
}

impl Audit {
    fn begin(&self) {
        tracing::info!(
            user = self.who.user,
            verb = self.verb,
            pod = %format_args!("{}/{}", self.pod.namespace, self.pod.name),
            container = self.container,
            command = ?self.command,
            "a session begins"
        );
    }

    fn end(&self, took: Duration, outcome: &Outcome) {
        tracing::info!(
            user = self.who.user,
            verb = self.verb,
            pod = %format_args!("{}/{}", self.pod.namespace, self.pod.name),
            container = self.container,
            command = ?self.command,
            seconds = took.as_secs_f64(),
            %outcome,
            "a session has ended"
        );
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Failed(refused) => write!(f, "failed: {refused}"),
            Self::NoStreams => f.write_str("the client did not open its streams in time"),
            Self::Idle => f.write_str("idle for too long"),
            Self::Stopped => f.write_str("the agent goes down"),
            Self::Lost(lost) => {
                write!(f, "{lost}")?;
                let mut cause = std::error::Error::source(lost);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}
