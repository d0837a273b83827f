//! Every group on this node: created, found, listed and watched here; each is run by its own loop.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burstlet_model::status::Phase;
use burstlet_model::{GroupName, GroupUid, Namespace};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capacity::RoomUse;
use crate::config::Config;
use crate::handle::GroupHandle;
use crate::host::Host;
use crate::journal::{Changes, Journal};
use crate::probe_counts::ProbeCounts;
use crate::quota::Held;
use crate::record::{Definition, GroupRecord, Origin};
use crate::refusal::Refusal;
use crate::room::Room;
use crate::run;
use crate::snapshot::Snapshot;

/// All groups of the node. Cheap to clone.
#[derive(Debug)]
pub struct Groups<H> {
    pub(crate) shared: Arc<Shared<H>>,
}

impl<H> Clone for Groups<H> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

/// A group to be created.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// Its identity, chosen by the edge; not used if the request id is known already.
    pub uid: GroupUid,
    /// What it should be.
    pub definition: Definition,
    /// Asking again with the same id and definition gives the same group.
    pub request_id: Option<String>,
}

/// All groups at one moment.
#[derive(Clone, Debug)]
pub struct Listing {
    /// In the order of namespace, name and uid.
    pub groups: Vec<Arc<Snapshot>>,
    /// Watching from here misses nothing that is not in `groups`.
    pub resource_version: u64,
}

/// What all loops share.
#[derive(Debug)]
pub(crate) struct Shared<H> {
    pub(crate) host: Arc<H>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) room: Room,
    pub(crate) adoptions: Semaphore,
    pub(crate) launches: Semaphore,
    pub(crate) probes: Semaphore,
    pub(crate) probe_counts: ProbeCounts,
    pub(crate) shutdown: CancellationToken,
    /// Groups whose sandbox an earlier agent left and that are not taken over yet.
    pub(crate) unadopted: watch::Sender<usize>,
    config: Config,
    index: Mutex<Index>,
    loops: TaskTracker,
}

#[derive(Debug, Default)]
struct Index {
    by_uid: HashMap<GroupUid, Entry>,
    /// A cluster's pods and the API's groups are named by two authorities that know nothing of each
    /// other: neither may take the other's names.
    by_name: BTreeMap<(GroupName, Origin), GroupUid>,
    by_request: HashMap<(Namespace, String), GroupUid>,
    held: Held,
}

#[derive(Clone, Debug)]
struct Entry {
    handle: GroupHandle,
    /// The key in [`Index::by_request`].
    request: Option<(Namespace, String)>,
    source: Arc<str>,
    birth: watch::Receiver<Birth>,
}

/// A group counts only once its record is durable.
#[derive(Clone, Debug)]
pub(crate) enum Birth {
    /// The record is being written.
    Saving,
    /// It is written; the group as it was then.
    Alive(Arc<Snapshot>),
    /// It could not be written: the group does not exist.
    Failed(Refusal),
}

impl<H: Host> Groups<H> {
    /// Takes over the groups of `records` and is ready for new ones. Groups whose sandbox stands
    /// go on untouched; see [`Groups::adopted`]. Must be called within a tokio runtime.
    ///
    /// When `shutdown` is cancelled the loops end and leave the groups as they are.
    pub fn start(
        host: Arc<H>,
        config: Config,
        mut records: Vec<GroupRecord>,
        shutdown: CancellationToken,
    ) -> Self {
        let journal = Journal::new(
            first_version(host.now().wall.0),
            config.history_max,
            shutdown.clone(),
        );
        let shared = Arc::new(Shared {
            host,
            journal: Arc::new(journal),
            room: Room::new(config.capacity.clone()),
            adoptions: Semaphore::new(config.adoptions_in_flight_max.max(1)),
            launches: Semaphore::new(config.launches_in_flight_max.max(1)),
            probes: Semaphore::new(config.probes_in_flight_max.max(1)),
            probe_counts: ProbeCounts::default(),
            shutdown,
            unadopted: watch::Sender::new(0),
            config,
            index: Mutex::default(),
            loops: TaskTracker::new(),
        });
        // Who has room is counted before anybody waits for what is left, in the order of age.
        records.sort_by_key(|record| {
            let waits = record.status.phase == Phase::Queued;
            (waits, record.created.wall)
        });
        for record in &records {
            if let Some(lease) = &record.status.lease {
                shared.room.keep(&record.uid, lease.clone());
            }
        }
        let mut index = shared.lock();
        for record in records {
            let born = run::adopt(&shared, record);
            shared.insert(&mut index, born);
        }
        drop(index);
        shared.loops.spawn(usher(Arc::clone(&shared)));
        Self { shared }
    }

    /// Creates a group. It exists when this returns `Ok`: a crash does not lose it.
    ///
    /// Asked again with the same request id and definition, answers with the same group.
    ///
    /// # Errors
    /// Name, uid or request id are taken, a bound is reached, or the record cannot be written.
    pub async fn create(&self, request: CreateRequest) -> Result<Arc<Snapshot>, Refusal> {
        let mut birth = self.shared.create(request)?;
        let outcome = birth
            .wait_for(|birth| !matches!(birth, Birth::Saving))
            .await;
        match outcome.as_deref() {
            Ok(Birth::Alive(snapshot)) => Ok(Arc::clone(snapshot)),
            Ok(Birth::Failed(refusal)) => Err(refusal.clone()),
            Ok(Birth::Saving) | Err(_) => Err(Refusal::ShuttingDown),
        }
    }

    /// A group by uid.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, uid: &GroupUid) -> Result<GroupHandle, Refusal> {
        let found = self.shared.lock().alive(uid);
        found.ok_or_else(|| Refusal::NoGroup(uid.to_string()))
    }

    /// The living group of this name: the API's own where a pod has the name too. That one is
    /// known by its uid, or by [`Groups::find_of`].
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &GroupName) -> Result<GroupHandle, Refusal> {
        self.find_of(Origin::Direct, name)
            .or_else(|_| self.find_of(Origin::Kubernetes, name))
    }

    /// The living group of this name and origin.
    ///
    /// # Errors
    /// There is none.
    pub fn find_of(&self, origin: Origin, name: &GroupName) -> Result<GroupHandle, Refusal> {
        let index = self.shared.lock();
        let uid = index.by_name.get(&(name.clone(), origin));
        let found = uid.and_then(|uid| index.alive(uid));
        found.ok_or_else(|| Refusal::NoGroup(name.to_string()))
    }

    /// Every group.
    #[must_use]
    pub fn list(&self) -> Listing {
        // The version first: a change between the two is then seen twice, never missed.
        let resource_version = self.shared.journal.latest();
        let index = self.shared.lock();
        let handles = index.by_name.values().filter_map(|uid| index.alive(uid));
        Listing {
            groups: handles.map(|handle| handle.snapshot()).collect(),
            resource_version,
        }
    }

    /// Every change after `since`, a version from [`Groups::list`] or from a change.
    #[must_use]
    pub fn watch(&self, since: u64) -> Changes {
        self.shared.journal.watch(since)
    }

    /// What is used of the machine's room.
    #[must_use]
    pub fn room(&self) -> RoomUse {
        self.shared.room.usage()
    }

    /// Changes when a group that waits for more resources may ask for them again.
    #[must_use]
    pub fn freed(&self) -> watch::Receiver<u64> {
        self.shared.room.freed()
    }

    /// A group that was refused more resources for now does not wait for them any longer.
    pub fn stay(&self, uid: &GroupUid) {
        self.shared.room.stay(uid);
    }

    /// The machine, for what needs no loop (images, node facts).
    #[must_use]
    pub fn host(&self) -> &Arc<H> {
        &self.shared.host
    }

    /// Returns when every sandbox that an earlier agent left has been taken over or found lost.
    pub async fn adopted(&self) {
        let mut unadopted = self.shared.unadopted.subscribe();
        // The sender lives in `shared`, so that this cannot fail while we are here.
        let _ = unadopted.wait_for(|left| *left == 0).await;
    }

    /// After the shutdown: returns when every loop has ended, with its last record written.
    pub async fn stopped(&self) {
        self.shared.loops.close();
        self.shared.loops.wait().await;
    }
}

/// What a new loop hands to the registry.
pub(crate) struct Born<F> {
    pub(crate) handle: GroupHandle,
    pub(crate) source: Arc<str>,
    pub(crate) request_id: Option<String>,
    pub(crate) birth: watch::Receiver<Birth>,
    pub(crate) task: F,
}

impl<H: Host> Shared<H> {
    fn create(self: &Arc<Self>, request: CreateRequest) -> Result<watch::Receiver<Birth>, Refusal> {
        if self.shutdown.is_cancelled() {
            return Err(Refusal::ShuttingDown);
        }
        let mut index = self.lock();
        if let Some(known) = index.repeated(&request)? {
            return Ok(known);
        }
        index.admit(&request, self.config.groups_max)?;
        self.config.quotas.check(&index.held, &request.definition)?;
        let spec = &request.definition.spec;
        self.host.admit(spec)?;
        let seat = self
            .room
            .enter(&request.uid, spec)
            .map_err(|_| Refusal::QueueFull {
                waiting_max: self.config.capacity.waiting_max,
            })?;
        let born = run::create(self, request, seat);
        let birth = born.birth.clone();
        self.insert(&mut index, born);
        Ok(birth)
    }

    fn insert<F>(&self, index: &mut Index, born: Born<F>)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handle = born.handle;
        let name = handle.name().clone();
        let uid = handle.uid().clone();
        index.held.add(&handle.snapshot().definition);
        let request = born.request_id.map(|id| (name.namespace.clone(), id));
        if let Some(request) = &request {
            index.by_request.insert(request.clone(), uid.clone());
        }
        let origin = handle.snapshot().definition.origin;
        index.by_name.insert((name, origin), uid.clone());
        let entry = Entry {
            handle,
            request,
            source: born.source,
            birth: born.birth,
        };
        index.by_uid.insert(uid, entry);
        self.loops.spawn(born.task);
    }

    /// Takes a group out that is gone, or was never born.
    pub(crate) fn forget(&self, uid: &GroupUid) {
        self.probe_counts.forget(uid);
        let mut index = self.lock();
        let Some(entry) = index.by_uid.remove(uid) else {
            return;
        };
        let definition = &entry.handle.snapshot().definition;
        index.held.remove(definition);
        let name = entry.handle.name().clone();
        index.by_name.remove(&(name, definition.origin));
        if let Some(request) = &entry.request {
            index.by_request.remove(request);
        }
    }

    /// As many groups are being set up as may at once.
    pub(crate) fn is_crowded(&self) -> bool {
        self.launches.available_permits() == 0
    }

    /// The bound of waiting groups, for a refusal's text.
    pub(crate) const fn waiting_max(&self) -> usize {
        self.config.capacity.waiting_max
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// The group that an earlier request of the same id made.
    fn repeated(&self, request: &CreateRequest) -> Result<Option<watch::Receiver<Birth>>, Refusal> {
        let Some(request_id) = &request.request_id else {
            return Ok(None);
        };
        let namespace = &request.definition.spec.name.namespace;
        let key = (namespace.clone(), request_id.clone());
        let Some(entry) = self
            .by_request
            .get(&key)
            .and_then(|uid| self.by_uid.get(uid))
        else {
            return Ok(None);
        };
        if entry.source != request.definition.source {
            return Err(Refusal::RequestIdReused {
                request_id: request_id.clone(),
                uid: entry.handle.uid().clone(),
            });
        }
        Ok(Some(entry.birth.clone()))
    }

    fn admit(&self, request: &CreateRequest, groups_max: usize) -> Result<(), Refusal> {
        let name = &request.definition.spec.name;
        let origin = request.definition.origin;
        if let Some(uid) = self.by_name.get(&(name.clone(), origin)) {
            return Err(Refusal::NameTaken {
                name: name.clone(),
                uid: uid.clone(),
            });
        }
        if self.by_uid.contains_key(&request.uid) {
            return Err(Refusal::UidTaken(request.uid.clone()));
        }
        if self.by_uid.len() >= groups_max {
            return Err(Refusal::TooManyGroups { groups_max });
        }
        Ok(())
    }

    fn alive(&self, uid: &GroupUid) -> Option<GroupHandle> {
        let entry = self.by_uid.get(uid)?;
        let alive = matches!(*entry.birth.borrow(), Birth::Alive(_));
        alive.then(|| entry.handle.clone())
    }
}

/// Tells groups that wait where they stand, until the agent goes down.
async fn usher<H: Host>(shared: Arc<Shared<H>>) {
    // Both arms are cancel-safe: neither takes anything out.
    tokio::select! {
        () = shared.shutdown.cancelled() => {}
        () = shared.room.usher() => {}
    }
}

/// Where this agent's versions begin: in microseconds of wall time, so that they lie beyond those
/// of earlier agents, whose watchers then list again.
fn first_version(wall_ns: i64) -> u64 {
    u64::try_from(wall_ns / 1000).unwrap_or(0)
}
