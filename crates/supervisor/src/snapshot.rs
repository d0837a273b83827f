use std::sync::Arc;

use burstlet_model::status::{Event, GroupStatus};
use burstlet_model::{GroupName, GroupUid};

use crate::record::Definition;

/// A group at one moment, as its loop published it. Desired, observed and the launch timeline are
/// separate parts of the status.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its identity.
    pub uid: GroupUid,
    /// What it should be.
    pub definition: Definition,
    /// What it is.
    pub status: GroupStatus,
    /// The latest events, oldest first, bounded.
    pub events: Arc<[Event]>,
    /// Grows with every change of any group; unique to this change.
    pub resource_version: u64,
    /// The id of the request that created it.
    pub request_id: Option<String>,
}

impl Snapshot {
    /// Namespace and name.
    #[must_use]
    pub fn name(&self) -> &GroupName {
        &self.definition.spec.name
    }
}
