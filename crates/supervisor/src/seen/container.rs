//! One container as seen: its run, its probes, its way out.
//!
//! ```text
//! Waiting ─► Starting ─► Running ─► Ended ─► Starting ...   (restarted)
//!    ▲          │
//!    └──────────┘ could not be created
//! ```

use burstlet_model::spec::{ContainerKind, ContainerSpec, GroupSpec, Image, Probe, Resources};
use burstlet_model::status::ExitStatus;
use burstlet_model::{BootTime, ContainerName, Digest};

use super::ImageSeen;
use crate::backoff::Retry;
use crate::host::Started;

#[derive(Clone, Debug)]
pub(crate) struct ContainerSeen {
    pub(crate) name: ContainerName,
    pub(crate) kind: ContainerKind,
    /// Index into `Seen::images`.
    pub(crate) image: usize,
    /// The manifest of the latest run, for the status.
    pub(crate) digest: Option<Digest>,
    /// The image of the latest run; another than the specification's, once that has changed.
    pub(crate) ran_image: Option<Image>,
    /// It runs with another image than it should, or with resources that cannot be changed while it
    /// does, and is started again with its own.
    pub(crate) changed: bool,
    pub(crate) run: Run,
    /// The latest run begun, over all launches.
    pub(crate) attempt: Option<u32>,
    /// A process of it has run in this launch.
    pub(crate) ran: bool,
    /// And since all were last started again together.
    pub(crate) in_round: bool,
    pub(crate) last_exit: Option<ExitStatus>,
    /// Restarts in a row that count for the back-off.
    pub(crate) failures: u32,
    /// Of starts that failed before there was a process.
    pub(crate) retry: Retry,
    /// Somebody asked for it to be started again, whatever the policy says.
    pub(crate) restart_asked: bool,
    pub(crate) user: Option<(u32, u32, Vec<u32>)>,
    /// What it runs with, or will.
    pub(crate) resources: Resources,
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
    /// Failures in a row that did not count, because the node was crowded.
    pub(crate) excused: u32,
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
    /// It has another image now.
    Changed,
    /// All are started again.
    Together,
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
            ContainerKind::Main | ContainerKind::Ephemeral => true,
        }
    }

    /// It runs, or is being started, with another image than `wanted`. An init container runs to
    /// its end with the one that it began with.
    pub(super) fn runs_other_than(&self, wanted: &Image) -> bool {
        let runs = matches!(self.run, Run::Starting { .. } | Run::Running(_));
        let other = self.ran_image.as_ref().is_some_and(|ran| ran != wanted);
        runs && other && self.kind != ContainerKind::Init
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
    let Some(index) = index.checked_sub(spec.init_containers.len()) else {
        return spec.init_containers.get(index);
    };
    match index.checked_sub(spec.containers.len()) {
        None => spec.containers.get(index),
        Some(index) => spec.ephemeral_containers.get(index).map(|c| &c.container),
    }
}

/// Every container of the group, before anything has run.
pub(super) fn containers(spec: &GroupSpec, images: &[ImageSeen]) -> Vec<ContainerSeen> {
    let seen = |(kind, container): (ContainerKind, &ContainerSpec)| {
        let same = |i: &ImageSeen| i.image == container.image && i.policy == container.pull_policy;
        ContainerSeen {
            name: container.name.clone(),
            kind,
            image: images.iter().position(same).unwrap_or_default(),
            digest: None,
            ran_image: None,
            changed: false,
            run: Run::Waiting,
            attempt: None,
            ran: false,
            in_round: false,
            last_exit: None,
            failures: 0,
            retry: Retry::default(),
            restart_asked: false,
            user: None,
            resources: container.resources,
        }
    };
    spec.all_containers().map(seen).collect()
}
