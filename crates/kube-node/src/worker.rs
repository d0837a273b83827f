//! One pod's worker: carries out what [`crate::pod::decide`] says, and tells the API server how the
//! pod is. It owns all that is known of its pod.
//!
//! What is done here never waits for what is told: while the API server is away, groups are still
//! ended as it had asked, and the status is told when it is back.

mod account;
mod create;
mod ephemeral;
mod hindrance;
mod renew;
mod resize;
mod tell;

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::GroupUid;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{GroupHandle, Refusal, Snapshot};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument as _;

use self::account::Account;
use self::hindrance::Hindrance;
use self::renew::Renewal;
use self::tell::Teller;
use crate::pod::decide::{Asked, Here, Step, next};
use crate::pod::ephemeral::is_more_asked;
use crate::pod::seen::Pod;
use crate::run::Shared;

use Said::There;

/// The pause after something that did not work; doubled up to the second.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How long a worker sleeps when there is nothing to try.
const IDLE: Duration = Duration::from_secs(3600);

/// What the API server was last heard to say of a pod.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// Nothing yet: an earlier agent made the group.
    Unheard,
    /// It is there.
    There(Arc<Pod>),
    /// It is not, or not any more; as it was last.
    Gone(Option<Arc<Pod>>),
}

impl Said {
    pub(crate) fn pod(&self) -> Option<Arc<Pod>> {
        match self {
            Self::Unheard => None,
            Self::There(pod) => Some(Arc::clone(pod)),
            Self::Gone(pod) => pod.clone(),
        }
    }

    fn asked(&self) -> Option<Asked> {
        let grace = |pod: &Arc<Pod>| pod.deletion_grace_s;
        match self {
            Self::Unheard => None,
            Self::There(pod) => Some(match grace(pod) {
                Some(grace_s) => Asked::End { grace_s },
                None => Asked::Run {
                    terminal: pod.is_terminal(),
                },
            }),
            Self::Gone(pod) => Some(Asked::Forget {
                grace_s: pod.as_ref().and_then(grace),
            }),
        }
    }
}

/// What there is of the pod here.
enum Local {
    /// Nothing, and why if it was tried.
    None(Option<Hindrance>),
    Group {
        handle: GroupHandle,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        /// The time that it was asked to end within, if it was.
        ending_s: Option<Option<u32>>,
    },
    /// A group that has gone, as it was last.
    Gone(Arc<Snapshot>),
}

pub(crate) struct Worker<H> {
    shared: Arc<Shared<H>>,
    uid: GroupUid,
    said: watch::Receiver<Said>,
    local: Local,
    confirmed: bool,
    teller: Teller,
    account: Account,
    renewal: Renewal,
    retry: Retry,
    /// Changes when a group that waits for more resources may ask for them again.
    freed: watch::Receiver<u64>,
}

/// When what did not work is tried again.
struct Retry {
    at: Instant,
    pause: Duration,
}

impl Retry {
    fn new() -> Self {
        Self {
            at: Instant::now(),
            pause: RETRY_MIN,
        }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.at
    }

    fn failed(&mut self) {
        self.at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(RETRY_MAX);
    }
}

impl<H: Host> Worker<H> {
    pub(crate) fn new(shared: Arc<Shared<H>>, uid: GroupUid, said: watch::Receiver<Said>) -> Self {
        let local = shared
            .groups
            .get(&uid)
            .map_or(Local::None(None), Local::group);
        let renewal = match &local {
            Local::Group { .. } => Renewal::adopted(&uid),
            _ => Renewal::new(),
        };
        Self {
            teller: Teller::new(shared.began),
            account: Account::default(),
            renewal,
            freed: shared.groups.freed(),
            shared,
            uid,
            said,
            local,
            confirmed: false,
            retry: Retry::new(),
        }
    }

    /// Works until nothing is left to do, or the agent goes down. Boxed, as each of these functions would
    /// have what a worker knows once more in its task.
    pub(crate) async fn run(self: Box<Self>) -> GroupUid {
        let uid = self.uid.clone();
        let span = tracing::info_span!("pod", group = %uid);
        self.work().instrument(span).await;
        uid
    }

    async fn work(mut self: Box<Self>) {
        loop {
            let said = self.said.borrow_and_update().clone();
            if let Some(asked) = said.asked() {
                let step = next(asked, self.here(&said));
                if step == Step::Leave {
                    return;
                }
                if !self.runs(asked) {
                    self.renewal.rest();
                }
                self.take(step, &said).await;
            }
            if !self.wait().await {
                return;
            }
        }
    }

    /// Whether it is kept what it is.
    const fn runs(&self, asked: Asked) -> bool {
        let goes_on = matches!(&self.local, Local::Group { ending_s: None, .. });
        goes_on && matches!(asked, Asked::Run { terminal: false })
    }

    fn here(&self, said: &Said) -> Here {
        match &self.local {
            _ if self.confirmed => Here::Confirmed,
            Local::None(None) => Here::Nothing,
            Local::None(Some(hindrance)) if hindrance.is_final() => Here::Refused,
            Local::None(Some(_)) => Here::Hindered,
            Local::Group { ending_s, .. } => Here::Group {
                ending_s: *ending_s,
                stale: matches!(said, There(pod) if self.is_stale(pod)),
            },
            Local::Gone(_) => Here::Gone,
        }
    }

    /// Whether the group may not be any more what the pod is. Of a group that an earlier agent made
    /// it is not known of what, but somebody may wait for a container that he asked for meanwhile.
    fn is_stale(&self, pod: &Pod) -> bool {
        let is_awaited = || match &self.local {
            Local::Group { snapshots, .. } => {
                is_more_asked(&pod.spec(), &snapshots.borrow().definition.spec)
            }
            Local::None(_) | Local::Gone(_) => false,
        };
        self.renewal.is_stale(pod) || (self.renewal.is_unknown() && is_awaited())
    }

    async fn take(&mut self, step: Step, said: &Said) {
        let There(pod) = said else {
            if let Step::Delete { grace_s } = step {
                self.delete(grace_s).await;
            }
            return;
        };
        // What is large is on the heap while it is under way, and not in each of thousands of workers that
        // wait.
        match step {
            Step::Create if self.retry.is_due() => Box::pin(self.create(pod)).await,
            Step::Renew if self.retry.is_due() => Box::pin(self.renew(pod)).await,
            Step::Delete { grace_s } => self.delete(grace_s).await,
            Step::Create | Step::Renew | Step::Rest | Step::Confirm | Step::Leave => {}
        }
        if self.confirmed {
            // The API server does not have it any more, and the watch is about to say so.
            return;
        }
        let told = Box::pin(self.tell(pod)).await;
        if step == Step::Confirm && told {
            Box::pin(self.confirm(pod)).await;
        }
    }

    async fn delete(&mut self, grace_s: Option<u32>) {
        let Local::Group {
            handle, ending_s, ..
        } = &mut self.local
        else {
            return;
        };
        let grace = grace_s.map(|s| Duration::from_secs(s.into()));
        match handle.delete(grace).await {
            // Gone already: its snapshots will say so.
            Ok(_) | Err(Refusal::NoGroup(_) | Refusal::ShuttingDown) => *ending_s = Some(grace_s),
            Err(refusal) => {
                tracing::warn!(%refusal, "the pod's group does not end; trying again");
                self.retry.failed();
            }
        }
    }

    /// Waits for something to judge anew; `false` when the agent goes down.
    async fn wait(&mut self) -> bool {
        let now = Instant::now();
        let retry = Some(self.retry.at).filter(|at| *at > now);
        let runs = self
            .said
            .borrow()
            .asked()
            .is_some_and(|asked| self.runs(asked));
        let renewal = self.renewal.due().filter(|_| runs);
        let renewal = renewal.map(|at| at.max(self.retry.at));
        let account = self.account.due().filter(|_| runs);
        let due = [retry, self.teller.due(), renewal, account];
        let due = due.into_iter().flatten().min().unwrap_or(now + IDLE);
        let wake = Arc::clone(&self.renewal.wake);
        let is_deferred = runs && self.renewal.is_deferred();
        let Self {
            shared,
            said,
            local,
            renewal,
            freed,
            ..
        } = self;
        let changed = async {
            match &mut *local {
                Local::Group { snapshots, .. } => snapshots.changed().await.is_ok(),
                _ => std::future::pending().await,
            }
        };
        // Each arm is cancel-safe: nothing is taken out by waiting.
        tokio::select! {
            () = shared.shutdown.cancelled() => false,
            heard = said.changed() => heard.is_ok(),
            () = wake.notified() => true,
            Ok(()) = freed.changed(), if is_deferred => {
                renewal.hasten();
                true
            }
            () = sleep_until(due) => true,
            alive = changed => {
                if !alive && !shared.shutdown.is_cancelled() {
                    local.bury();
                }
                true
            }
        }
    }
}

impl Local {
    fn group(handle: GroupHandle) -> Self {
        let mut snapshots = handle.subscribe();
        snapshots.mark_changed();
        Self::Group {
            snapshots,
            handle,
            ending_s: None,
        }
    }

    /// The group has gone; its last snapshot stays.
    fn bury(&mut self) {
        if let Self::Group { snapshots, .. } = self {
            let last = Arc::clone(&snapshots.borrow());
            *self = Self::Gone(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use burstlet_testkit::host::ScriptedHost;

    use super::*;

    /// Bytes of a worker that waits: its task, and what it knows of its pod.
    const BYTES_MAX: usize = 1536;

    /// The bytes of what a function's future has in its task.
    const fn bytes<A, F: Future>(_: &impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_worker_that_waits_is_small() {
        let task = bytes(&|worker: Box<Worker<ScriptedHost>>| worker.run());
        let all = task + size_of::<Worker<ScriptedHost>>();
        assert!(all <= BYTES_MAX, "{task} of {all} bytes are its task");
    }
}
