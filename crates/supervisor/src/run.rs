//! The loop of one group.

use std::sync::Arc;

use burstlet_model::status::{Desired, GroupStatus, LaunchTimeline, Phase};
use tokio::sync::{mpsc, watch};

use crate::groups::{Birth, Born, CreateRequest, Shared};
use crate::handle::{COMMANDS_MAX, GroupHandle};
use crate::host::Host;
use crate::journal::ChangeKind;
use crate::record::GroupRecord;
use crate::refusal::Refusal;
use crate::room::Seat;
use crate::snapshot::Snapshot;

pub(crate) fn create<H: Host>(
    shared: &Arc<Shared<H>>,
    request: CreateRequest,
    _seat: Seat,
) -> Born<impl Future<Output = ()> + Send + 'static> {
    let created = shared.host.now();
    let record = GroupRecord {
        uid: request.uid,
        definition: request.definition,
        request_id: request.request_id,
        created,
        status: GroupStatus {
            desired: Desired::Running,
            phase: Phase::Queued,
            reason: String::new(),
            message: String::new(),
            queue_position: None,
            ip: None,
            initialized: false,
            ready: false,
            init_containers: Vec::new(),
            containers: Vec::new(),
            created_at: created.wall,
            finished_at: None,
            timeline: LaunchTimeline::default(),
            sessions: Vec::new(),
        },
        events: Vec::new(),
    };
    adopt(shared, record)
}

pub(crate) fn adopt<H: Host>(
    shared: &Arc<Shared<H>>,
    record: GroupRecord,
) -> Born<impl Future<Output = ()> + Send + 'static> {
    let shared = Arc::clone(shared);
    let snapshot = Snapshot {
        uid: record.uid.clone(),
        definition: record.definition.clone(),
        status: record.status.clone(),
        events: record.events.clone().into(),
        resource_version: 0,
        request_id: record.request_id.clone(),
    };
    let (commands, mut asked) = mpsc::channel(COMMANDS_MAX);
    let (published, snapshots) = watch::channel(Arc::new(snapshot.clone()));
    let (born, birth) = watch::channel(Birth::Saving);
    let handle = GroupHandle {
        uid: record.uid.clone(),
        name: record.definition.spec.name.clone(),
        commands,
        snapshots,
        shutdown: shared.shutdown.clone(),
    };
    Born {
        handle,
        source: Arc::clone(&record.definition.source),
        request_id: record.request_id.clone(),
        birth,
        task: async move {
            if let Err(source) = shared.host.save(&record).await {
                let group = snapshot.name().clone();
                born.send_replace(Birth::Failed(Refusal::NotSaved { group, source }));
                shared.room.leave(&record.uid);
                shared.forget(&record.uid);
                return;
            }
            let snapshot = shared.journal.push(ChangeKind::Added, snapshot);
            published.send_replace(Arc::clone(&snapshot));
            born.send_replace(Birth::Alive(snapshot));
            let _ = asked.recv().await;
        },
    }
}
