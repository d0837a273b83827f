//! What a group is: desired, observed and how it got there are separate parts.
//!
//! ```text
//! Queued ─► Pending ─► Running ─► Succeeded | Failed        (for good, unless started again)
//!    │         │          │
//!    └─────────┴──────────┴─► Stopping ─► Stopped ─► Queued (start)
//!                         any ─► Terminating ─► gone        (delete)
//! ```

mod container;
mod event;
mod timeline;

use std::net::IpAddr;

pub use container::{ContainerState, ContainerStatus, ExitStatus, RESTARTING_ALL};
pub use event::{Event, Severity};
pub use timeline::{ImagePull, LaunchTimeline, Session};

use crate::spec::Resources;
use crate::{Lease, ProcessorSet, Stamp, WallTime};

/// What the client last asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired {
    /// The group should run, or have run to its end.
    Running,
    /// The group should hold its address and volumes but run nothing.
    Stopped,
    /// The group should be gone.
    Deleted,
}

/// Where a group is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waits for room on the machine.
    Queued,
    /// Is being set up: some main container has not run yet.
    Pending,
    /// Every main container has run, and at least one runs, starts or will be restarted.
    Running,
    /// Is being stopped by request.
    Stopping,
    /// Was stopped by request; can be started again.
    Stopped,
    /// Every main container ended with 0 and will not be restarted.
    Succeeded,
    /// Every main container ended, at least one of them badly, or the group could not run.
    Failed,
    /// Is being deleted.
    Terminating,
}

impl Phase {
    /// Every phase, for tables.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Pending,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::Succeeded,
        Self::Failed,
        Self::Terminating,
    ];

    /// The name shown to people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Terminating => "Terminating",
        }
    }

    /// The group ran to its end, and nothing of it runs.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    /// Whether nothing of the group runs or will run without a request.
    #[must_use]
    pub const fn is_at_rest(self) -> bool {
        matches!(self, Self::Stopped | Self::Succeeded | Self::Failed)
    }
}

/// A group as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// What was asked for.
    pub desired: Desired,
    /// Where it is.
    pub phase: Phase,
    /// A stable word for why (`Queued`, `DeadlineExceeded`, `KeeperLost`, ...), empty if there is
    /// nothing to say.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// Where it stands in the queue, counted from 1, and from 10 on rounded down to its first digit.
    pub queue_position: Option<u32>,
    /// Its address; stays for life.
    pub ip: Option<IpAddr>,
    /// All init containers are done and all sidecars started, or a main container has run.
    pub initialized: bool,
    /// Every main container and sidecar is ready.
    pub ready: bool,
    /// Init containers and sidecars, in the order of the spec.
    pub init_containers: Vec<ContainerStatus>,
    /// Main containers, in the order of the spec.
    pub containers: Vec<ContainerStatus>,
    /// Those added to the running group, in the order of the spec.
    pub ephemeral_containers: Vec<ContainerStatus>,
    /// When it was created.
    pub created_at: WallTime,
    /// When it came to rest.
    pub finished_at: Option<Stamp>,
    /// How the last launch went.
    pub timeline: LaunchTimeline,
    /// The spans in which it counted as running, oldest first; the last may be open.
    pub sessions: Vec<Session>,
    /// What it has as a whole, or will: other than the specification's while that is being given.
    pub resources: Option<Resources>,
    /// Somebody asked for other resources, and it does not have them yet.
    pub resize: Option<Resize>,
    /// The devices that it was given with its room.
    pub lease: Option<Lease>,
    /// The processors that it has alone, while its sandbox stands and has any.
    pub processors: Option<ProcessorSet>,
}

/// How it stands with resources that a group is being given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resize {
    /// It is being done.
    InProgress,
    /// It could not be done, and is tried again: why, for people.
    Failed(String),
}

impl GroupStatus {
    /// The statuses of all containers, in the order of [`GroupSpec::all_containers`].
    ///
    /// [`GroupSpec::all_containers`]: crate::spec::GroupSpec::all_containers
    pub fn all_containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.init_containers
            .iter()
            .chain(&self.containers)
            .chain(&self.ephemeral_containers)
    }

    /// The same, to be changed.
    pub fn all_containers_mut(&mut self) -> impl Iterator<Item = &mut ContainerStatus> {
        self.init_containers
            .iter_mut()
            .chain(&mut self.containers)
            .chain(&mut self.ephemeral_containers)
    }

    /// The status of a container by name, whatever part it plays.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        self.all_containers().find(|c| c.name.as_str() == name)
    }

    /// All seconds in which the group counted as running, rounded up to whole seconds once; `now`
    /// closes an open session.
    #[must_use]
    pub fn metered_s(&self, now: Stamp) -> u64 {
        let nanos: u128 = self.sessions.iter().map(|s| s.length(now).as_nanos()).sum();
        u64::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
    }
}
