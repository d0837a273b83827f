use std::time::Duration;

use burstlet_model::status::Phase;
use burstlet_model::{ContainerName, ErrorKind, GroupName, GroupUid, Namespace};

use crate::capacity::TooLittle;
use crate::host::HostError;
use crate::verb::Verb;

/// Why a request was not done. Each has a stable word, so that every edge tells it alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such group, or it has gone in the meantime.
    #[error("container group {0} does not exist")]
    NoGroup(String),
    /// No such container in the group.
    #[error("container group {group} has no container {container}")]
    NoContainer {
        /// The group.
        group: GroupName,
        /// What was asked for.
        container: ContainerName,
    },
    /// Another living group has this name.
    #[error(
        "a container group {name} exists already (uid {uid}); delete it or choose another name"
    )]
    NameTaken {
        /// The name.
        name: GroupName,
        /// Who has it.
        uid: GroupUid,
    },
    /// Another living group has this uid.
    #[error("a container group with uid {0} exists already")]
    UidTaken(GroupUid),
    /// The request id was used for another definition.
    #[error(
        "request id {request_id:?} was used to create {uid} from another definition; \
         use a new request id for a new group"
    )]
    RequestIdReused {
        /// The request id.
        request_id: String,
        /// What it made.
        uid: GroupUid,
    },
    /// The machine is full, and so is the queue.
    #[error("no room on the machine, and {waiting_max} groups wait already; try again later")]
    QueueFull {
        /// The bound.
        waiting_max: usize,
    },
    /// There is not enough for the group to have more than it has.
    #[error(
        "container group {group} cannot have {} {} in all: others have {} of {}; ask for less, or \
         again when there is more",
        short.requested, short.resource, short.used, short.capacity
    )]
    TooLittleRoom {
        /// The group.
        group: GroupName,
        /// Of what.
        short: TooLittle,
    },
    /// The group has processors that nobody else has, and would not have whole ones any more.
    #[error(
        "container group {0} has processors of its own: give each of its containers whole ones, with \
         limits that equal the requests, or create it anew"
    )]
    OwnProcessors(GroupName),
    /// As many groups exist as may.
    #[error("{groups_max} container groups exist, which is the most; delete some")]
    TooManyGroups {
        /// The bound.
        groups_max: usize,
    },
    /// The group's namespace would have more than it may.
    #[error(
        "the quota of namespace {namespace} is {quota} {what}: it has {held}, and {wanted} more \
         cannot be given; delete groups that are not needed, or ask for less"
    )]
    QuotaExceeded {
        /// The namespace.
        namespace: Namespace,
        /// Of what.
        what: &'static str,
        /// How much it may have,
        quota: String,
        /// has,
        held: String,
        /// and would have beside that.
        wanted: String,
    },
    /// The group's namespace has a quota of something that the group does not say it needs.
    #[error(
        "namespace {namespace} has a quota of {resource}: state resources.requests.{resource} of \
         each container, or of the group"
    )]
    QuotaNeedsRequests {
        /// The namespace.
        namespace: Namespace,
        /// What is to be stated.
        resource: &'static str,
    },
    /// The group was started as often as it may.
    #[error(
        "container group {group} was started {sessions_max} times, which is the most; create it anew"
    )]
    TooManySessions {
        /// The group.
        group: GroupName,
        /// The bound.
        sessions_max: usize,
    },
    /// The group's phase does not allow it.
    #[error("cannot {verb} container group {group} while {}: {why}", phase.as_str())]
    WrongPhase {
        /// What was asked.
        verb: Verb,
        /// Of which group.
        group: GroupName,
        /// Where it is.
        phase: Phase,
        /// Why not.
        why: &'static str,
    },
    /// The container does not run.
    #[error("container {container} of {group} is not running: {state}")]
    NotRunning {
        /// The group.
        group: GroupName,
        /// The container.
        container: ContainerName,
        /// What it does instead.
        state: String,
    },
    /// An update that would change more than tags, labels and annotations.
    #[error(
        "container group {0}: only labels, annotations and tags can be changed; create a new group for the rest"
    )]
    Immutable(GroupName),
    /// The group is a pod of a cluster's.
    #[error("container group {0} is a pod of a Kubernetes cluster: change it there, with kubectl")]
    OfKubernetes(GroupName),
    /// The group has changed since the caller read it.
    #[error("container group {group} has changed: at version {now}, not {expected}; read it again")]
    Changed {
        /// The group.
        group: GroupName,
        /// What the caller had read.
        expected: u64,
        /// Where it is.
        now: u64,
    },
    /// What is waited for can no longer come.
    #[error("container group {group} is {} and will not be {awaited} unless it is started", phase.as_str())]
    OutOfReach {
        /// The group.
        group: GroupName,
        /// Where it is.
        phase: Phase,
        /// What was waited for.
        awaited: &'static str,
    },
    /// What is waited for has not come in time.
    #[error("container group {group} was not {awaited} within {} s", within.as_secs_f64())]
    NotInTime {
        /// The group.
        group: GroupName,
        /// What was waited for.
        awaited: &'static str,
        /// How long.
        within: Duration,
    },
    /// The group has more requests waiting than it takes.
    #[error("container group {0} has too many requests waiting; try again")]
    Busy(GroupName),
    /// The agent is going down; groups go on.
    #[error("the agent is shutting down; ask again in a moment")]
    ShuttingDown,
    /// The group could not be written down, so it was not created.
    #[error("write down container group {group}")]
    NotSaved {
        /// The group.
        group: GroupName,
        /// Why not.
        source: HostError,
    },
    /// The machine could not do it.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Refusal {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoGroup(_) | Self::NoContainer { .. } => ErrorKind::NotFound,
            Self::NameTaken { .. } | Self::UidTaken(_) | Self::RequestIdReused { .. } => {
                ErrorKind::AlreadyExists
            }
            Self::QueueFull { .. }
            | Self::TooLittleRoom { .. }
            | Self::TooManyGroups { .. }
            | Self::QuotaExceeded { .. }
            | Self::Busy(_) => ErrorKind::ResourceExhausted,
            Self::WrongPhase { .. }
            | Self::NotRunning { .. }
            | Self::OutOfReach { .. }
            | Self::Changed { .. }
            | Self::OfKubernetes(_)
            | Self::OwnProcessors(_)
            | Self::TooManySessions { .. } => ErrorKind::FailedPrecondition,
            Self::Immutable(_) | Self::QuotaNeedsRequests { .. } => ErrorKind::Invalid,
            Self::NotInTime { .. } => ErrorKind::DeadlineExceeded,
            Self::ShuttingDown => ErrorKind::Unavailable,
            Self::NotSaved { source, .. } => source.kind(),
            Self::Host(error) => error.kind(),
        }
    }

    /// A stable word for it, for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoGroup(_) => "GroupNotFound",
            Self::NoContainer { .. } => "ContainerNotFound",
            Self::NameTaken { .. } => "NameTaken",
            Self::UidTaken(_) => "UidTaken",
            Self::RequestIdReused { .. } => "RequestIdReused",
            Self::QueueFull { .. } => "QueueFull",
            Self::TooLittleRoom { .. } => "TooLittleRoom",
            Self::OwnProcessors(_) => "OwnProcessors",
            Self::TooManyGroups { .. } => "TooManyGroups",
            Self::QuotaExceeded { .. } => "QuotaExceeded",
            Self::QuotaNeedsRequests { .. } => "QuotaNeedsRequests",
            Self::TooManySessions { .. } => "TooManySessions",
            Self::WrongPhase { .. } => "WrongPhase",
            Self::NotRunning { .. } => "ContainerNotRunning",
            Self::Immutable(_) => "Immutable",
            Self::OfKubernetes(_) => "OfKubernetes",
            Self::Changed { .. } => "Changed",
            Self::OutOfReach { .. } => "OutOfReach",
            Self::NotInTime { .. } => "NotInTime",
            Self::Busy(_) => "Busy",
            Self::ShuttingDown => "ShuttingDown",
            Self::NotSaved { .. } => "NotSaved",
            Self::Host(error) => error.reason,
        }
    }
}
