//! What the loop knows of its group: the state that [`crate::decide`] judges.
//!
//! It changes in two ways only: an action begins ([`Seen::begin`]), or something is learnt
//! ([`Seen::apply`]). Both are plain functions of values, like the judgement itself.
//!
//! ```text
//! Queued ─► Live ─► Resting ─► Queued          (started again)
//!    │       │ ▲        │
//!    │       └─┘ restart│
//!    └───────┴──────────┴─► Removing ─► Gone   (deleted)
//! ```

mod adopt;
mod apply;
mod begin;
mod publish;

use std::net::IpAddr;
use std::time::Duration;

use burstlet_model::spec::{
    ContainerKind, ContainerSpec, GroupSpec, Image, Probe, PullPolicy, VolumeSource,
};
use burstlet_model::status::{Desired, ExitStatus, LaunchTimeline, Phase, Session, Severity};
use burstlet_model::{BootTime, ContainerName, Digest, Stamp, WallTime};

use crate::backoff::{Retry, Trouble};
use crate::capacity::Place;
use crate::event_log::EventLog;
use crate::host::{Adoption, HostError, ProbeResult, Pulled, Sandbox, Started};

/// A container that got its stop signal late has at least this long until SIGKILL.
pub(crate) const TERM_TO_KILL_MIN: Duration = Duration::from_secs(2);

/// The reason of an exit that nobody saw (Kubernetes' word).
pub(crate) const LOST: &str = "ContainerStatusUnknown";

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) desired: Desired,
    pub(crate) stage: Stage,
    /// Where it stands while it is queued.
    pub(crate) place: Option<Place>,
    /// Why it is where it is, for the status.
    pub(crate) why: Why,
    /// Counts launches, so that the outcome of an effect of an earlier one is told apart.
    pub(crate) launch: u32,
    pub(crate) images: Vec<ImageSeen>,
    pub(crate) sandbox: SandboxSeen,
    /// In the order of [`GroupSpec::all_containers`].
    pub(crate) containers: Vec<ContainerSeen>,
    /// Set once something decides that all processes must end; only [`Seen::begin`] clears it.
    pub(crate) ending: Option<Ending>,
    pub(crate) created_at: WallTime,
    pub(crate) finished_at: Option<Stamp>,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) timeline: LaunchTimeline,
    pub(crate) sessions: Vec<Session>,
    pub(crate) events: EventLog,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waits for room.
    Queued,
    /// Has its room: is launched, runs, or ends.
    Live,
    /// Nothing of it runs; the phase says why.
    Resting(Phase),
    /// Nothing of it runs, and what it left is being freed.
    Removing,
    /// Nothing is left.
    Gone,
}

/// A stable word and a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) reason: String,
    pub(crate) message: String,
}

#[derive(Clone, Debug)]
pub(crate) struct ImageSeen {
    pub(crate) image: Image,
    pub(crate) policy: PullPolicy,
    /// A volume shows it, so that the sandbox cannot stand without it.
    pub(crate) in_volume: bool,
    pub(crate) state: ImageState,
    pub(crate) retry: Retry,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageState {
    Wanted,
    Pulling,
    Here(Digest),
}

#[derive(Clone, Debug)]
pub(crate) struct SandboxSeen {
    pub(crate) state: SandboxState,
    /// Of whatever the state asks for next: adopt, create, destroy, or remove.
    pub(crate) retry: Retry,
    /// This machine can never set it up; why.
    pub(crate) hopeless: Option<Trouble>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SandboxState {
    /// An earlier agent may have left one.
    Unknown,
    /// Is being looked for.
    Adopting,
    /// There is none, and nothing of one.
    Absent,
    Creating,
    /// Parts of one may be there.
    Broken,
    /// Its keeper is gone, and what ran with it.
    Lost,
    /// The machine was started anew, and what ran is gone.
    Vanished,
    Up,
    Destroying,
    /// What the group holds for life is being freed too.
    Removing,
}

#[derive(Clone, Debug)]
pub(crate) struct ContainerSeen {
    pub(crate) name: ContainerName,
    pub(crate) kind: ContainerKind,
    /// Index into [`Seen::images`].
    pub(crate) image: usize,
    /// The manifest of the latest run, for the status.
    pub(crate) digest: Option<Digest>,
    pub(crate) run: Run,
    /// The latest run begun, over all launches.
    pub(crate) attempt: Option<u32>,
    /// A process of it has run in this launch.
    pub(crate) ran: bool,
    pub(crate) last_exit: Option<ExitStatus>,
    /// Restarts in a row that count for the back-off.
    pub(crate) failures: u32,
    /// Of starts that failed before there was a process.
    pub(crate) retry: Retry,
    /// Somebody asked for it to be started again, whatever the policy says.
    pub(crate) restart_asked: bool,
    pub(crate) user: Option<(u32, u32, Vec<u32>)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Run {
    /// Has not run in this launch.
    Waiting,
    /// Is being started. Its end may be told before its start is.
    Starting {
        early_exit: Option<ExitStatus>,
    },
    Running(Box<Running>),
    Ended(ExitStatus),
}

#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) started: Started,
    pub(crate) post_start: Step,
    pub(crate) startup: Option<ProbeSeen>,
    pub(crate) liveness: Option<ProbeSeen>,
    pub(crate) readiness: Option<ProbeSeen>,
    pub(crate) stopping: Option<Stopping>,
}

/// A thing that is done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Due,
    Busy,
    Done,
    Failed,
}

#[derive(Clone, Debug)]
pub(crate) struct ProbeSeen {
    pub(crate) due: BootTime,
    pub(crate) busy: bool,
    /// Successes (positive) or failures (negative) in a row.
    pub(crate) streak: i64,
    /// What the thresholds made of it; `None` while they have not been reached.
    pub(crate) verdict: Option<bool>,
    /// Tries in a row in which the prober itself failed.
    pub(crate) errors: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

/// A container on its way out: preStop hook, its turn, stop signal, SIGKILL.
#[derive(Clone, Debug)]
pub(crate) struct Stopping {
    pub(crate) cause: StopCause,
    pub(crate) deadline: BootTime,
    /// No hook, no signal: SIGKILL.
    pub(crate) at_once: bool,
    pub(crate) pre_stop: Step,
    pub(crate) signalled: Option<BootTime>,
    pub(crate) killed: Option<BootTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// The whole group ends.
    Group,
    /// Its liveness probe failed.
    Liveness,
    /// Its startup probe failed.
    Startup,
    /// Its postStart hook failed.
    PostStart,
    /// Somebody asked for a restart.
    Requested,
}

/// The group on its way to rest.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) cause: Cause,
    pub(crate) deadline: BootTime,
    pub(crate) at_once: bool,
}

/// Why all processes of a group must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Every main container is done.
    Completed,
    /// An init container failed for good.
    InitFailed,
    /// It ran for as long as it may.
    DeadlineExceeded,
    /// This machine cannot run it.
    Unrunnable(Trouble),
    /// Its keeper is gone.
    KeeperLost,
    /// Somebody asked.
    Restart,
    /// Somebody asked.
    Stop,
    /// Somebody asked, or its time to live is over.
    Delete,
}

impl Cause {
    /// A later wish replaces an ending that has begun only if it wants more.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Completed
            | Self::InitFailed
            | Self::DeadlineExceeded
            | Self::Unrunnable(_)
            | Self::KeeperLost => 0,
            Self::Restart => 1,
            Self::Stop => 2,
            Self::Delete => 3,
        }
    }
}

/// What the loop learns.
#[derive(Debug)]
pub(crate) enum Outcome {
    Adopted(Result<Adoption, HostError>),
    Pulled {
        launch: u32,
        image: usize,
        result: Result<Pulled, HostError>,
    },
    Sandbox(Result<Sandbox, HostError>),
    Started {
        container: usize,
        attempt: u32,
        result: Result<Started, HostError>,
    },
    PostStart {
        container: usize,
        attempt: u32,
        result: Result<(), HostError>,
    },
    PreStop {
        container: usize,
        attempt: u32,
        result: Result<(), HostError>,
    },
    /// A signal or a kill was sent, or could not be.
    Signalled {
        container: usize,
        result: Result<(), HostError>,
    },
    Probed {
        container: usize,
        attempt: u32,
        probe: ProbeKind,
        result: Result<ProbeResult, HostError>,
    },
    Exited {
        container: usize,
        attempt: u32,
        exit: ExitStatus,
    },
    KeeperLost,
    Destroyed(Result<(), HostError>),
    Removed(Result<(), HostError>),
}

impl Seen {
    /// A group that was just accepted and waits for room.
    pub(crate) fn new(spec: &GroupSpec, now: Stamp) -> Self {
        let mut seen = Self {
            desired: Desired::Running,
            stage: Stage::Queued,
            place: None,
            why: Why::default(),
            launch: 0,
            images: Vec::new(),
            sandbox: SandboxSeen {
                state: SandboxState::Absent,
                retry: Retry::default(),
                hopeless: None,
            },
            containers: Vec::new(),
            ending: None,
            created_at: now.wall,
            finished_at: None,
            ip: None,
            timeline: LaunchTimeline::default(),
            sessions: Vec::new(),
            events: EventLog::default(),
        };
        seen.timeline.accepted = Some(now);
        seen.images = images(spec);
        seen.containers = containers(spec, &seen.images);
        seen
    }

    /// No process of it runs or may come to run from what was begun.
    pub(crate) fn is_quiet(&self) -> bool {
        let idle = |c: &ContainerSeen| matches!(c.run, Run::Waiting | Run::Ended(_));
        self.containers.iter().all(idle)
    }

    /// A main container has run in this launch.
    pub(crate) fn has_run_main(&self) -> bool {
        let mut mains = self
            .containers
            .iter()
            .filter(|c| c.kind == ContainerKind::Main);
        mains.any(|c| c.ran)
    }

    /// All init containers are done and all sidecars started, or a main container has run.
    pub(crate) fn is_initialized(&self) -> bool {
        let passed = |c: &ContainerSeen| c.kind == ContainerKind::Main || c.lets_pass();
        self.has_run_main() || self.containers.iter().all(passed)
    }

    /// Every main container and sidecar is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let counts = |c: &&ContainerSeen| c.kind != ContainerKind::Init;
        self.ending.is_none()
            && self
                .containers
                .iter()
                .filter(counts)
                .all(ContainerSeen::is_ready)
    }

    pub(crate) fn container_index(&self, name: &ContainerName) -> Option<usize> {
        self.containers.iter().position(|c| c.name == *name)
    }

    fn tell(&mut self, now: Stamp, severity: Severity, reason: &str, message: &str) {
        self.events.push(now.wall, severity, reason, message, None);
    }

    fn tell_of(
        &mut self,
        container: usize,
        now: Stamp,
        severity: Severity,
        reason: &str,
        message: &str,
    ) {
        let name = self.containers.get(container).map(|c| &c.name);
        self.events.push(now.wall, severity, reason, message, name);
    }
}

impl ContainerSeen {
    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.run {
            Run::Running(running) => Some(running),
            _ => None,
        }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.run {
            Run::Running(running) => Some(running),
            _ => None,
        }
    }

    /// As an init container or sidecar, lets the next one begin.
    pub(crate) fn lets_pass(&self) -> bool {
        match self.kind {
            ContainerKind::Init => {
                matches!(&self.run, Run::Ended(exit) if exit.success()) && !self.restart_asked
            }
            ContainerKind::Sidecar => self.is_started(),
            ContainerKind::Main => true,
        }
    }

    /// Startup probe and postStart hook are done.
    pub(crate) fn is_started(&self) -> bool {
        self.running().is_some_and(Running::is_started)
    }

    pub(crate) fn is_ready(&self) -> bool {
        let ready = |running: &Running| {
            let probe = running.readiness.as_ref();
            running.is_started() && probe.is_none_or(|p| p.verdict == Some(true))
        };
        match (self.kind, &self.run) {
            (ContainerKind::Init, Run::Ended(exit)) => exit.success(),
            (_, Run::Running(running)) => ready(running),
            _ => false,
        }
    }
}

impl Running {
    pub(crate) fn is_started(&self) -> bool {
        let startup = self.startup.as_ref();
        self.post_start == Step::Done && startup.is_none_or(|p| p.verdict == Some(true))
    }

    pub(crate) const fn probe(&self, kind: ProbeKind) -> Option<&ProbeSeen> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
        }
    }

    pub(crate) const fn probe_mut(&mut self, kind: ProbeKind) -> Option<&mut ProbeSeen> {
        match kind {
            ProbeKind::Startup => self.startup.as_mut(),
            ProbeKind::Liveness => self.liveness.as_mut(),
            ProbeKind::Readiness => self.readiness.as_mut(),
        }
    }
}

impl ProbeKind {
    pub(crate) const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    pub(crate) const fn of(self, spec: &ContainerSpec) -> Option<&Probe> {
        match self {
            Self::Startup => spec.startup_probe.as_ref(),
            Self::Liveness => spec.liveness_probe.as_ref(),
            Self::Readiness => spec.readiness_probe.as_ref(),
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// A container's specification by its place in [`GroupSpec::all_containers`].
pub(crate) fn container_spec(spec: &GroupSpec, index: usize) -> Option<&ContainerSpec> {
    let inits = spec.init_containers.len();
    match index.checked_sub(inits) {
        None => spec.init_containers.get(index),
        Some(index) => spec.containers.get(index),
    }
}

/// Every image that the group needs, once per policy.
fn images(spec: &GroupSpec) -> Vec<ImageSeen> {
    let of_containers = spec
        .all_containers()
        .map(|(_, c)| (&c.image, c.pull_policy, false));
    let of_volumes = spec
        .volumes
        .iter()
        .filter_map(|volume| match &volume.source {
            VolumeSource::Image {
                reference,
                pull_policy,
            } => Some((reference, *pull_policy, true)),
            _ => None,
        });
    let mut images: Vec<ImageSeen> = Vec::new();
    for (image, policy, in_volume) in of_containers.chain(of_volumes) {
        let known = images
            .iter_mut()
            .find(|i| i.image == *image && i.policy == policy);
        match known {
            Some(known) => known.in_volume |= in_volume,
            None => images.push(ImageSeen {
                image: image.clone(),
                policy,
                in_volume,
                state: ImageState::Wanted,
                retry: Retry::default(),
            }),
        }
    }
    images
}

fn containers(spec: &GroupSpec, images: &[ImageSeen]) -> Vec<ContainerSeen> {
    let seen = |(kind, container): (ContainerKind, &ContainerSpec)| {
        let same = |i: &ImageSeen| i.image == container.image && i.policy == container.pull_policy;
        ContainerSeen {
            name: container.name.clone(),
            kind,
            image: images.iter().position(same).unwrap_or_default(),
            digest: None,
            run: Run::Waiting,
            attempt: None,
            ran: false,
            last_exit: None,
            failures: 0,
            retry: Retry::default(),
            restart_asked: false,
            user: None,
        }
    };
    spec.all_containers().map(seen).collect()
}
