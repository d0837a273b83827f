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
mod change;
mod container;
mod publish;
mod round;
mod runs;
mod sizing;

use std::net::IpAddr;
use std::time::Duration;

use burstlet_model::metering::{Close, GapReason};
use burstlet_model::spec::{ContainerKind, GroupSpec, Image, PullPolicy, VolumeSource};
use burstlet_model::status::{Desired, ExitStatus, LaunchTimeline, Phase, Session, Severity};
use burstlet_model::{BootTime, ContainerName, Digest, Lease, ProcessorSet, Stamp, WallTime};

pub(crate) use container::{
    ContainerSeen, ProbeKind, ProbeSeen, Run, Running, Step, StopCause, Stopping, container_spec,
};
pub(crate) use sizing::Sizing;

use crate::backoff::{Retry, Trouble};
use crate::capacity::Place;
use crate::event_log::EventLog;
use crate::host::{Adoption, HostError, ProbeResult, Pulled, Resized, Sandbox, Started};

/// A container that got its stop signal late has at least this long until SIGKILL.
pub(crate) const TERM_TO_KILL_MIN: Duration = Duration::from_secs(2);

/// The reason of an exit that nobody saw (Kubernetes' word).
pub(crate) const LOST: &str = "ContainerStatusUnknown";
/// Its code.
pub(crate) const LOST_CODE: i32 = 137;

/// The reason of the end of a group whose room is given to others.
pub(crate) const SPOT_EVICTED: &str = "SpotEvicted";

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) desired: Desired,
    pub(crate) stage: Stage,
    /// Where it stands while it is queued, and once it has lost its room.
    pub(crate) place: Option<Place>,
    /// The devices that it has with its room.
    pub(crate) lease: Option<Lease>,
    /// Why it is where it is, for the status.
    pub(crate) why: Why,
    /// Counts launches, so that the outcome of an effect of an earlier one is told apart.
    pub(crate) launch: u32,
    pub(crate) images: Vec<ImageSeen>,
    pub(crate) sandbox: SandboxSeen,
    pub(crate) renewal: Renewal,
    pub(crate) sizing: Sizing,
    /// In the order of [`GroupSpec::all_containers`].
    pub(crate) containers: Vec<ContainerSeen>,
    /// Set once something decides that all processes must end; only [`Seen::begin`] clears it.
    pub(crate) ending: Option<Ending>,
    /// The machine wants the group to go; why.
    pub(crate) evicted: Option<(String, Duration)>,
    pub(crate) created_at: WallTime,
    pub(crate) finished_at: Option<Stamp>,
    pub(crate) ip: Option<IpAddr>,
    /// What the sandbox has alone.
    pub(crate) processors: Option<ProcessorSet>,
    pub(crate) timeline: LaunchTimeline,
    pub(crate) sessions: Vec<Session>,
    /// How the latest session that was closed came to its end.
    pub(crate) end_of: Option<SessionEnd>,
    /// When an earlier agent was last up, as far as the group was alive then.
    pub(crate) proof: Option<Stamp>,
    pub(crate) events: EventLog,
}

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionEnd {
    /// Its place in [`Seen::sessions`].
    pub(crate) session: usize,
    pub(crate) why: Close,
    /// Why it is not known what followed.
    pub(crate) missed: Option<GapReason>,
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
    /// No container asks for it any more.
    Dropped,
}

/// Of what the volumes of a group that stands hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Renewal {
    pub(crate) due: bool,
    pub(crate) busy: bool,
    pub(crate) retry: Retry,
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
    /// It uses more of the node than it may: of what.
    Evicted(String),
    /// Somebody asked.
    Restart,
    /// Its room is given to groups on demand.
    SpotEvicted,
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
            | Self::KeeperLost
            | Self::Evicted(_) => 0,
            Self::Restart => 1,
            Self::SpotEvicted => 2,
            Self::Stop => 3,
            Self::Delete => 4,
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
    Renewed(Result<(), HostError>),
    /// The cgroups are what they should be, and since when.
    Resized(Result<Resized, HostError>),
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
        /// The node was setting up as many groups as it may: a failure may be ours.
        crowded: bool,
        result: Result<ProbeResult, HostError>,
    },
    Exited {
        container: usize,
        attempt: u32,
        exit: ExitStatus,
    },
    KeeperLost,
    Evicted {
        message: String,
        grace: Duration,
    },
    Warned {
        reason: &'static str,
        message: String,
    },
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
            lease: None,
            why: Why::default(),
            launch: 0,
            images: Vec::new(),
            sandbox: SandboxSeen {
                state: SandboxState::Absent,
                retry: Retry::default(),
                hopeless: None,
            },
            renewal: Renewal::default(),
            sizing: Sizing::new(spec, now),
            containers: Vec::new(),
            ending: None,
            evicted: None,
            created_at: now.wall,
            finished_at: None,
            ip: None,
            processors: None,
            timeline: LaunchTimeline::default(),
            sessions: Vec::new(),
            end_of: None,
            proof: None,
            events: EventLog::default(),
        };
        seen.timeline.accepted = Some(now);
        seen.images = images(spec);
        seen.containers = container::containers(spec, &seen.images);
        seen
    }

    /// No process of it runs or may come to run from what was begun.
    pub(crate) fn is_quiet(&self) -> bool {
        let idle = |c: &ContainerSeen| matches!(c.run, Run::Waiting | Run::Ended(_));
        self.containers.iter().all(idle)
    }

    /// The main containers.
    pub(crate) fn mains(&self) -> impl Iterator<Item = &ContainerSeen> {
        let all = self.containers.iter();
        all.filter(|c| c.kind == ContainerKind::Main)
    }

    /// A main container has run since all were last started.
    pub(crate) fn has_run_main(&self) -> bool {
        self.mains().any(|c| c.in_round)
    }

    /// All init containers are done and all sidecars started, or a main container has run.
    pub(crate) fn is_initialized(&self) -> bool {
        self.mains().any(|c| c.ran) || self.containers.iter().all(ContainerSeen::lets_pass)
    }

    /// Every main container and sidecar is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let counts =
            |c: &&ContainerSeen| matches!(c.kind, ContainerKind::Main | ContainerKind::Sidecar);
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

    /// Tells of the first container that is made from an image; of none if only volumes show it.
    fn tell_of_image(
        &mut self,
        image: usize,
        now: Stamp,
        severity: Severity,
        reason: &str,
        message: &str,
    ) {
        let first = self.containers.iter().find(|c| c.image == image);
        let name = first.map(|c| &c.name);
        self.events.push(now.wall, severity, reason, message, name);
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
