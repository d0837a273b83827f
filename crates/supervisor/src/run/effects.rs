//! What the machine is asked to do: each effect is a task whose outcome wakes the loop.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::spec::{GroupSpec, HookAction, ProbeAction, Signal};
use burstlet_model::{ContainerName, Digest, ErrorKind, GroupUid};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tracing::{Instrument, Span, debug};

use super::saver::Reached;
use crate::decide::Action;
use crate::groups::Shared;
use crate::host::{GroupRef, Host, HostError, PullRequest, StartContainer};
use crate::seen::{ImageState, Outcome, ProbeKind, Seen, container_spec};

/// How long a postStart hook may take.
const POST_START_MAX: Duration = Duration::from_secs(600);
/// How much later than its own bound the host may answer before it is given up.
const SLACK: Duration = Duration::from_secs(5);

pub(super) struct Effects<H> {
    shared: Arc<Shared<H>>,
    uid: GroupUid,
    tasks: JoinSet<Outcome>,
    /// Waits, in order, until what it needs is saved.
    held: Vec<Held>,
    /// What may be dropped when nobody waits for it any more.
    droppable: Vec<(Scope, AbortHandle)>,
}

/// An effect that must not begin before a version of the record has come far enough.
struct Held {
    needed: Needed,
    /// The container and the attempt, if it is a start.
    start: Option<(usize, u32)>,
    scope: Option<Scope>,
    effect: Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

/// What of the record an effect needs before it begins.
///
/// Keepers, links and mounts end with the machine, so that it is enough if the record outlives the
/// agent; image layers and the group's directory are told by their names whose they are. What a
/// container does may outlive the machine, and removing must not be overtaken by a save. No process
/// runs that the ledger does not know of, and what tells how much was used goes only once the
/// ledger has the end.
#[derive(Clone, Copy, Debug)]
enum Needed {
    Written(u64),
    WrittenAndTold(u64),
    Settled(u64),
}

/// What an effect is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Pull { launch: u32, image: usize },
    PreStop { container: usize, attempt: u32 },
    Run { container: usize, attempt: u32 },
}

/// The container that an effect is about.
#[derive(Clone)]
struct Target {
    name: ContainerName,
    attempt: u32,
    stop_signal: Signal,
}

impl<H: Host> Effects<H> {
    pub(super) fn new(shared: Arc<Shared<H>>, uid: GroupUid) -> Self {
        Self {
            shared,
            uid,
            tasks: JoinSet::new(),
            held: Vec::new(),
            droppable: Vec::new(),
        }
    }

    /// The next outcome; `None` if nothing is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Outcome> {
        // A dropped effect has no outcome; ask for the next.
        while let Some(joined) = self.tasks.join_next().await {
            if let Ok(outcome) = joined {
                return Some(outcome);
            }
        }
        None
    }

    /// Drops the hooks and probes of runs that are over and the pulls of launches that are over.
    pub(super) fn drop_stale(&mut self, seen: &Seen) {
        let wanted = |held: &Held| held.scope.is_none_or(|scope| scope.is_wanted(seen));
        self.held.retain(wanted);
        self.droppable.retain(|(scope, task)| {
            let wanted = scope.is_wanted(seen);
            if !wanted {
                task.abort();
            }
            wanted && !task.is_finished()
        });
    }

    /// Begins what has waited for the versions that are reached now.
    pub(super) fn release(&mut self, reached: Reached) {
        let free: Vec<_> = self
            .held
            .extract_if(.., |held| held.needed.is_met(reached))
            .collect();
        for Held { scope, effect, .. } in free {
            self.spawn(scope, effect);
        }
    }

    /// Lets the starts that wait fail instead.
    pub(super) fn refuse_starts(&mut self, why: &HostError) {
        let starts: Vec<_> = self
            .held
            .extract_if(.., |held| held.start.is_some())
            .filter_map(|held| held.start)
            .collect();
        for (container, attempt) in starts {
            let result = Err(why.clone());
            self.spawn(None, async move {
                Outcome::Started {
                    container,
                    attempt,
                    result,
                }
            });
        }
    }

    /// Leaves everything as it is: the next agent finds what was begun.
    pub(super) fn abandon(&mut self) {
        self.held.clear();
        self.tasks.abort_all();
    }

    /// Carries out an action that needs the machine. What must not begin before the version
    /// `needed` is written or settled waits for [`Effects::release`].
    pub(super) fn begin(
        &mut self,
        spec: &Arc<GroupSpec>,
        seen: &Seen,
        action: &Action,
        needed: u64,
    ) {
        match *action {
            Action::Adopt => self.adopt(spec),
            Action::Pull { image } => self.pull(spec, seen, image, needed),
            Action::CreateSandbox => self.create_sandbox(spec, needed),
            Action::Renew => self.renew(spec, needed),
            Action::Resize => self.resize(spec, seen, needed),
            Action::Start { container, attempt } => {
                self.start(spec, seen, (container, attempt), needed);
            }
            Action::PostStart { container } => self.post_start(spec, seen, container),
            Action::PreStop { container, timeout } => {
                self.pre_stop(spec, seen, container, timeout);
            }
            Action::Signal { container } => self.signal(seen, container),
            Action::Kill { container } => self.kill(seen, container),
            Action::Probe { container, probe } => self.probe(spec, seen, (container, probe)),
            Action::DestroySandbox => self.destroy_sandbox(needed),
            Action::Remove => self.remove(needed),
            Action::Admit
            | Action::Stop { .. }
            | Action::BeginAgain
            | Action::End { .. }
            | Action::Settle => {}
        }
    }

    fn adopt(&mut self, spec: &Arc<GroupSpec>) {
        let (shared, uid, spec) = self.parts(spec);
        self.spawn(None, async move {
            let group = GroupRef {
                uid: &uid,
                spec: &spec,
            };
            // The semaphore is never closed, and without a permit we would only be less orderly.
            let _permit = shared.adoptions.acquire().await;
            Outcome::Adopted(shared.host.adopt(group).await)
        });
    }

    fn pull(&mut self, spec: &Arc<GroupSpec>, seen: &Seen, image: usize, needed: u64) {
        let Some(wanted) = seen.images.get(image) else {
            return;
        };
        let (reference, policy) = (wanted.image.clone(), wanted.policy);
        let launch = seen.launch;
        let (shared, uid, spec) = self.parts(spec);
        let needed = Needed::Written(needed);
        self.hold(needed, Some(Scope::Pull { launch, image }), async move {
            let request = PullRequest {
                uid: &uid,
                namespace: &spec.name.namespace,
                image: &reference,
                policy,
                credentials: &spec.registry_credentials,
            };
            let result = shared.host.pull(request).await;
            Outcome::Pulled {
                launch,
                image,
                result,
            }
        });
    }

    fn create_sandbox(&mut self, spec: &Arc<GroupSpec>, needed: u64) {
        let (shared, uid, spec) = self.parts(spec);
        self.hold(Needed::Written(needed), None, async move {
            let group = GroupRef {
                uid: &uid,
                spec: &spec,
            };
            // As above.
            let _permit = shared.launches.acquire().await;
            Outcome::Sandbox(shared.host.create_sandbox(group).await)
        });
    }

    fn renew(&mut self, spec: &Arc<GroupSpec>, needed: u64) {
        let (shared, uid, spec) = self.parts(spec);
        self.hold(Needed::Written(needed), None, async move {
            let group = GroupRef {
                uid: &uid,
                spec: &spec,
            };
            Outcome::Renewed(shared.host.renew(group).await)
        });
    }

    fn resize(&mut self, spec: &Arc<GroupSpec>, seen: &Seen, needed: u64) {
        let (shared, uid, spec) = self.parts(spec);
        let running = seen.containers.iter().filter(|c| c.running().is_some());
        let running: Vec<_> = running.map(|c| c.name.clone()).collect();
        self.hold(Needed::Written(needed), None, async move {
            let group = GroupRef {
                uid: &uid,
                spec: &spec,
            };
            Outcome::Resized(shared.host.resize(group, &running).await)
        });
    }

    fn start(
        &mut self,
        spec: &Arc<GroupSpec>,
        seen: &Seen,
        (container, attempt): (usize, u32),
        needed: u64,
    ) {
        let (Some(target), Some(image)) = (target(seen, container), manifest(seen, container))
        else {
            return;
        };
        let lease = seen.lease.as_ref();
        let devices = lease.map_or_else(Vec::new, |lease| lease.of(spec, &target.name));
        let (shared, uid, spec) = self.parts(spec);
        let started = async move {
            let group = GroupRef {
                uid: &uid,
                spec: &spec,
            };
            let start = StartContainer {
                container: &target.name,
                attempt,
                image: &image,
                devices: &devices,
            };
            // As above.
            let _permit = shared.launches.acquire().await;
            let result = shared.host.start_container(group, start).await;
            Outcome::Started {
                container,
                attempt,
                result,
            }
        };
        self.held.push(Held {
            needed: Needed::Settled(needed),
            start: Some((container, attempt)),
            scope: None,
            effect: Box::pin(started),
        });
    }

    fn post_start(&mut self, spec: &GroupSpec, seen: &Seen, container: usize) {
        let hook = container_spec(spec, container).and_then(|c| c.lifecycle.post_start.as_ref());
        let (Some(hook), Some(target)) = (hook, target(seen, container)) else {
            return;
        };
        let attempt = target.attempt;
        let hook = self.hook(target, hook.action.clone(), POST_START_MAX);
        self.spawn(Some(Scope::Run { container, attempt }), async move {
            Outcome::PostStart {
                container,
                attempt,
                result: hook.await,
            }
        });
    }

    fn pre_stop(&mut self, spec: &GroupSpec, seen: &Seen, container: usize, within: Duration) {
        let hook = container_spec(spec, container).and_then(|c| c.lifecycle.pre_stop.as_ref());
        let (Some(hook), Some(target)) = (hook, target(seen, container)) else {
            return;
        };
        let attempt = target.attempt;
        let hook = self.hook(target, hook.action.clone(), within);
        self.spawn(Some(Scope::PreStop { container, attempt }), async move {
            Outcome::PreStop {
                container,
                attempt,
                result: hook.await,
            }
        });
    }

    fn hook(
        &self,
        target: Target,
        action: HookAction,
        within: Duration,
    ) -> impl Future<Output = Result<(), HostError>> + Send + use<H> {
        let (shared, uid) = (Arc::clone(&self.shared), self.uid.clone());
        async move {
            let run = shared.host.run_hook(&uid, &target.name, &action, within);
            bounded(within, "hook", run).await
        }
    }

    fn signal(&mut self, seen: &Seen, container: usize) {
        let Some(target) = target(seen, container) else {
            return;
        };
        let (shared, uid) = (Arc::clone(&self.shared), self.uid.clone());
        self.spawn(None, async move {
            let signal = target.stop_signal;
            let result = shared.host.signal(&uid, &target.name, signal).await;
            Outcome::Signalled { container, result }
        });
    }

    fn kill(&mut self, seen: &Seen, container: usize) {
        let Some(target) = target(seen, container) else {
            return;
        };
        let (shared, uid) = (Arc::clone(&self.shared), self.uid.clone());
        self.spawn(None, async move {
            let result = shared.host.kill(&uid, &target.name).await;
            Outcome::Signalled { container, result }
        });
    }

    fn probe(&mut self, spec: &GroupSpec, seen: &Seen, (container, probe): (usize, ProbeKind)) {
        let probe_spec = container_spec(spec, container).and_then(|c| probe.of(c));
        let (Some(probe_spec), Some(target)) = (probe_spec, target(seen, container)) else {
            return;
        };
        let attempt = target.attempt;
        let action: ProbeAction = probe_spec.action.clone();
        let within = Duration::from_secs(probe_spec.timeout_s.into());
        let (shared, uid) = (Arc::clone(&self.shared), self.uid.clone());
        self.spawn(Some(Scope::Run { container, attempt }), async move {
            // As above. The time spent waiting here is ours, not the container's.
            let _permit = shared.probes.acquire().await;
            let crowded_before = shared.is_crowded();
            let attempted = shared.host.probe(&uid, &target.name, &action, within);
            let result = bounded(within, "probe", attempted).await;
            Outcome::Probed {
                container,
                attempt,
                probe,
                crowded: crowded_before || shared.is_crowded(),
                result,
            }
        });
    }

    fn destroy_sandbox(&mut self, needed: u64) {
        let (shared, uid) = (Arc::clone(&self.shared), self.uid.clone());
        self.hold(Needed::WrittenAndTold(needed), None, async move {
            Outcome::Destroyed(shared.host.destroy_sandbox(&uid).await)
        });
    }

    fn remove(&mut self, needed: u64) {
        let (shared, uid) = (Arc::clone(&self.shared), self.uid.clone());
        self.hold(Needed::Settled(needed), None, async move {
            Outcome::Removed(shared.host.remove(&uid).await)
        });
    }

    fn parts(&self, spec: &Arc<GroupSpec>) -> (Arc<Shared<H>>, GroupUid, Arc<GroupSpec>) {
        (Arc::clone(&self.shared), self.uid.clone(), Arc::clone(spec))
    }

    fn hold(
        &mut self,
        needed: Needed,
        scope: Option<Scope>,
        effect: impl Future<Output = Outcome> + Send + 'static,
    ) {
        self.held.push(Held {
            needed,
            start: None,
            scope,
            effect: Box::pin(effect),
        });
    }

    fn spawn(
        &mut self,
        scope: Option<Scope>,
        effect: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let logged = async move {
            let outcome = effect.await;
            debug!(?outcome, "done");
            outcome
        };
        let task = self.tasks.spawn(logged.instrument(Span::current()));
        if let Some(scope) = scope {
            self.droppable.push((scope, task));
        }
    }
}

impl Needed {
    const fn is_met(self, reached: Reached) -> bool {
        match self {
            Self::Written(version) => version <= reached.written,
            Self::WrittenAndTold(version) => version <= reached.written && reached.is_told,
            Self::Settled(version) => version <= reached.settled && reached.is_told,
        }
    }
}

impl Scope {
    fn is_wanted(self, seen: &Seen) -> bool {
        let run = |container: usize, attempt: u32| {
            let container = seen.containers.get(container);
            let current = container.filter(|c| c.attempt == Some(attempt));
            current.and_then(|c| c.running())
        };
        match self {
            Self::Pull { launch, image } => {
                let image = seen.images.get(image);
                let pulling = image.is_some_and(|i| i.state == ImageState::Pulling);
                pulling && launch == seen.launch
            }
            Self::Run { container, attempt } => run(container, attempt).is_some(),
            Self::PreStop { container, attempt } => {
                let stopping = run(container, attempt).and_then(|r| r.stopping.as_ref());
                stopping.is_some_and(|s| s.signalled.is_none() && s.killed.is_none())
            }
        }
    }
}

fn target(seen: &Seen, index: usize) -> Option<Target> {
    let container = seen.containers.get(index)?;
    Some(Target {
        name: container.name.clone(),
        attempt: container.attempt?,
        stop_signal: container
            .running()
            .map_or(Signal::TERM, |r| r.started.stop_signal),
    })
}

fn manifest(seen: &Seen, index: usize) -> Option<Digest> {
    let container = seen.containers.get(index)?;
    match &seen.images.get(container.image)?.state {
        ImageState::Here(digest) => Some(digest.clone()),
        ImageState::Wanted | ImageState::Pulling | ImageState::Dropped => None,
    }
}

/// Gives the host up that does not keep to its bound.
async fn bounded<T>(
    within: Duration,
    what: &'static str,
    effect: impl Future<Output = Result<T, HostError>>,
) -> Result<T, HostError> {
    match timeout(within + SLACK, effect).await {
        Ok(result) => result,
        Err(_) => Err(HostError::new(
            ErrorKind::DeadlineExceeded,
            "DeadlineExceeded",
            format!("the {what} did not end within {} s", within.as_secs_f64()),
        )),
    }
}
