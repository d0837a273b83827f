//! How a loop comes to be: for a new group, or for one of an earlier agent.

use std::sync::Arc;

use burstlet_model::{GroupUid, Stamp};
use tokio::sync::{mpsc, watch};
use tracing::{Instrument, info_span};

use super::GroupLoop;
use super::effects::Effects;
use super::saver::Saver;
use super::teller::Teller;
use crate::groups::{Birth, Born, CreateRequest, Shared};
use crate::handle::{COMMANDS_MAX, GroupHandle};
use crate::host::Host;
use crate::journal::ChangeKind;
use crate::meter::Told;
use crate::record::{Definition, GroupRecord};
use crate::room::Seat;
use crate::seen::{Cause, SandboxState, Seen, Stage};
use crate::snapshot::Snapshot;

/// A new group, whose seat says whether it has room.
pub(crate) fn create<H: Host>(
    shared: &Arc<Shared<H>>,
    request: CreateRequest,
    seat: Seat,
) -> Born<impl Future<Output = ()> + Send + 'static> {
    let created = shared.host.now();
    let mut seen = Seen::new(&request.definition.spec, created);
    seen.place = Some(seat.borrow().clone());
    let origin = Origin {
        uid: request.uid,
        definition: request.definition,
        request_id: request.request_id,
        created,
    };
    let birth = (Some(seat), Birth::Saving, Told::nothing());
    born(shared, origin, seen, birth)
}

/// A group of an earlier agent.
pub(crate) fn adopt<H: Host>(
    shared: &Arc<Shared<H>>,
    record: GroupRecord,
) -> Born<impl Future<Output = ()> + Send + 'static> {
    let mut seen = Seen::restore(&record, shared.host.now());
    let known = shared.host.metered(&record.uid);
    seen.proof = known.as_ref().and_then(|known| known.proof);
    let told = Told::before(&seen, known);
    let spec = &record.definition.spec;
    let seat = match seen.stage {
        Stage::Queued => {
            let seat = shared.room.reenter(&record.uid, spec);
            seen.place = Some(seat.borrow().clone());
            Some(seat)
        }
        Stage::Live => {
            let ending = seen.ending.as_ref();
            let is_leaving = ending.is_some_and(|ending| ending.cause == Cause::SpotEvicted);
            shared.unadopted.send_modify(|left| *left += 1);
            shared.room.hold(&record.uid, spec, is_leaving)
        }
        Stage::Resting(_) | Stage::Removing | Stage::Gone => None,
    };
    let origin = Origin {
        uid: record.uid,
        definition: record.definition,
        request_id: record.request_id,
        created: record.created,
    };
    let snapshot = shared
        .journal
        .push(ChangeKind::Added, None, origin.snapshot(&seen));
    born(shared, origin, seen, (seat, Birth::Alive(snapshot), told))
}

/// What does not change about a group, and its definition.
pub(super) struct Origin {
    pub(super) uid: GroupUid,
    pub(super) definition: Definition,
    pub(super) request_id: Option<String>,
    pub(super) created: Stamp,
}

impl Origin {
    /// The group as it is seen, without a version yet.
    pub(super) fn snapshot(&self, seen: &Seen) -> Snapshot {
        Snapshot {
            uid: self.uid.clone(),
            definition: self.definition.clone(),
            status: seen.status(&self.definition.spec),
            events: seen.events.to_shared(),
            resource_version: 0,
            request_id: self.request_id.clone(),
        }
    }
}

fn born<H: Host>(
    shared: &Arc<Shared<H>>,
    origin: Origin,
    seen: Seen,
    (seat, birth, told): (Option<Seat>, Birth, Told),
) -> Born<impl Future<Output = ()> + Send + 'static> {
    let is_new = matches!(birth, Birth::Saving);
    let first = match &birth {
        Birth::Alive(snapshot) => Arc::clone(snapshot),
        Birth::Saving | Birth::Failed(_) => Arc::new(origin.snapshot(&seen)),
    };
    let (commands, asked) = mpsc::channel(COMMANDS_MAX);
    let (published, snapshots) = watch::channel(first);
    let (born, birth) = watch::channel(birth);
    let handle = GroupHandle {
        uid: origin.uid.clone(),
        name: origin.definition.spec.name.clone(),
        commands,
        snapshots,
        shutdown: shared.shutdown.clone(),
    };
    let source = Arc::clone(&origin.definition.source);
    let request_id = origin.request_id.clone();
    let span = info_span!("group", group = %origin.uid, name = %handle.name);
    let group_loop = Box::new(GroupLoop {
        events: shared.host.events(&origin.uid),
        effects: Effects::new(Arc::clone(shared), origin.uid.clone()),
        saver: Saver::new(is_new),
        teller: Teller::new(told),
        acks: Vec::new(),
        published_revision: seen.events.revision(),
        unadopted: seen.sandbox.state == SandboxState::Unknown,
        wake_at: None,
        returning: None,
        shared: Arc::clone(shared),
        origin,
        seen,
        seat,
        asked,
        published,
        born,
    });
    Born {
        handle,
        source,
        request_id,
        birth,
        task: group_loop.run().instrument(span),
    }
}
