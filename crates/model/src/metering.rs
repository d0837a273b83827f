//! What a group's loop tells the ledger: the words that are charged by.

use std::collections::BTreeMap;

use crate::spec::ResourceList;
use crate::status::ImagePull;
use crate::{Bytes, ContainerName, MilliCpu, Stamp};

/// Where a group is in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Waits for room.
    Queued,
    /// Gets its images.
    Pulling,
    /// Is being set up: sandbox, network, first process.
    Starting,
    /// Its init containers run, or sidecars start.
    Init,
    /// Some main container has a process.
    Running,
    /// No main container has a process, and one will be started later.
    BackOff,
    /// Is being ended.
    Terminating,
}

impl State {
    /// Every state, for tables.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Pulling,
        Self::Starting,
        Self::Init,
        Self::Running,
        Self::BackOff,
        Self::Terminating,
    ];

    /// The name shown to people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Pulling => "Pulling",
            Self::Starting => "Starting",
            Self::Init => "Init",
            Self::Running => "Running",
            Self::BackOff => "BackOff",
            Self::Terminating => "Terminating",
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Close {
    /// Every main container ended with 0.
    Succeeded,
    /// A container ended badly and is not started again.
    Failed,
    /// Somebody asked for it.
    Stopped,
    /// Somebody asked for it, and for the next session.
    Restarted,
    /// Somebody asked for the group to go.
    Deleted,
    /// It used more of the node than it may.
    Evicted,
    /// It ran as long as it may.
    DeadlineExceeded,
    /// This machine cannot run it.
    Unrunnable,
    /// Its processes are gone, and nobody saw them go.
    Lost,
    /// Its room was given to groups on demand.
    SpotEvicted,
}

impl Close {
    /// Every reason, for tables.
    pub const ALL: [Self; 10] = [
        Self::Succeeded,
        Self::Failed,
        Self::Stopped,
        Self::Restarted,
        Self::Deleted,
        Self::Evicted,
        Self::DeadlineExceeded,
        Self::Unrunnable,
        Self::Lost,
        Self::SpotEvicted,
    ];

    /// The name shown to people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
            Self::Restarted => "Restarted",
            Self::Deleted => "Deleted",
            Self::Evicted => "Evicted",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Unrunnable => "Unrunnable",
            Self::Lost => "Lost",
            Self::SpotEvicted => "SpotEvicted",
        }
    }
}

/// Why a time is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The group's keeper went without a word.
    KeeperLost,
    /// The machine was started anew.
    HostRestarted,
}

/// What is set aside for a group and may become another while it runs. Zero is "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// Processor time per time.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
}

impl From<ResourceList> for Allocated {
    fn from(requested: ResourceList) -> Self {
        Self {
            cpu: requested.cpu.unwrap_or_default(),
            memory: requested.memory.unwrap_or_default(),
        }
    }
}

/// Something that happened in a session of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which session of the group, from 1.
    pub session: u32,
    /// When.
    pub at: Stamp,
    /// What.
    pub what: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The group was asked to run, and waits for room.
    Opened,
    /// It came into a state.
    Entered(State),
    /// From then on this was set aside for it.
    Resized(Allocated),
    /// An image was pulled, the session's pull of this number, from 1.
    Pulled(u32, ImagePull),
    /// A container was started again, for the time of this number, from 1.
    Restarted(ContainerName, u32),
    /// A later agent found it alive.
    Adopted,
    /// What followed up to now is not known.
    Missed(GapReason, Stamp),
    /// Its last process was gone.
    Closed(Close),
}

/// What a ledger knows of the latest session of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which session it is, from 1.
    pub session: u32,
    /// The state it is in and since when; `None` once it is closed.
    pub state: Option<(State, Stamp)>,
    /// When it was closed.
    pub closed: Option<Stamp>,
    /// What is set aside for it, if that was told.
    pub allocated: Option<Allocated>,
    /// Images that were pulled for it.
    pub pulls: u32,
    /// How often each container was started again.
    pub restarts: BTreeMap<ContainerName, u32>,
    /// When an earlier agent was last known to be up, on the boot of the session: if the group was
    /// alive as far as that agent knew, it was alive then.
    pub proof: Option<Stamp>,
}

impl Known {
    /// What a ledger knows that was told these marks of one group, in this order.
    #[must_use]
    pub fn after(marks: &[Mark]) -> Option<Self> {
        let session = marks.last()?.session;
        let mut known = Self {
            session,
            state: None,
            closed: None,
            allocated: None,
            pulls: 0,
            restarts: BTreeMap::new(),
            proof: None,
        };
        for mark in marks.iter().filter(|mark| mark.session == session) {
            match &mark.what {
                Event::Opened => known.state = Some((State::Queued, mark.at)),
                Event::Entered(state) => known.state = Some((*state, mark.at)),
                Event::Resized(allocated) => known.allocated = Some(*allocated),
                Event::Pulled(number, _) => known.pulls = *number,
                Event::Restarted(container, number) => {
                    known.restarts.insert(container.clone(), *number);
                }
                Event::Adopted | Event::Missed(..) => {}
                Event::Closed(_) => (known.state, known.closed) = (None, Some(mark.at)),
            }
        }
        Some(known)
    }
}
