//! What of a group survives the agent.

use std::sync::Arc;

use burstlet_model::spec::GroupSpec;
use burstlet_model::status::{Event, GroupStatus};
use burstlet_model::{BootTime, GroupUid, Stamp};

/// A group as its client defined it: the parsed specification, and the source that it was parsed
/// from, which is what is kept on disk and exported again.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The specification, valid.
    pub spec: Arc<GroupSpec>,
    /// The canonical JSON of the `ContainerGroup` that `spec` was made from. Opaque here.
    pub source: Arc<str>,
    /// Who defined it, and may change it.
    pub origin: Origin,
}

/// Whose a group is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A client of the API's.
    #[default]
    Direct,
    /// A cluster's: it is one of its pods, and changes only with it.
    Kubernetes,
}

impl Origin {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// Everything that a later agent needs to go on with a group.
#[derive(Clone, Debug)]
pub struct GroupRecord {
    /// Its uid.
    pub uid: GroupUid,
    /// What it should be.
    pub definition: Definition,
    /// Repeats of the creating request with this id are answered with this group.
    pub request_id: Option<String>,
    /// When it was created, by both clocks of that boot.
    pub created: Stamp,
    /// What it was when the record was written.
    pub status: GroupStatus,
    /// When its grace period is over, if it was ending; on the clock of that boot.
    pub ends_by: Option<BootTime>,
    /// The latest events, oldest first, bounded.
    pub events: Vec<Event>,
}
