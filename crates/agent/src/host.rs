//! The machine as the supervisor sees it: its `Host` trait, done by composing images, cgroups,
//! network, bundles and keepers. Which steps a start takes, and in which order, is told here and
//! nowhere else.

mod adopt;
mod attach;
mod budgets;
mod complete;
mod container;
mod devices;
mod exec;
mod exit;
pub(crate) mod failure;
mod files;
mod follow;
mod fs_group;
mod group;
mod host_path;
mod http;
mod image_volumes;
mod layout;
mod limits;
mod log_links;
mod logs;
mod persistent;
mod pipes;
mod plan;
mod probe;
mod pull;
mod renew;
mod resize;
mod run_file;
mod sandbox;
mod shared_look;
mod storage;
mod terminal;
mod upkeep;
mod usage;
mod volumes;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burstlet_bundle::seccomp::Profiles;
use burstlet_cgroup::{Cgroups, Gauges};
use burstlet_failpoint::{Point, reach};
use burstlet_image::snapshot::Snapshotter;
use burstlet_image::store::ImageStore;
use burstlet_model::metering::{Known, Mark};
use burstlet_model::spec::{GroupSpec, HookAction, ProbeAction, Signal};
use burstlet_model::{
    Bytes, ContainerName, ErrorKind, ExtendedResource, GroupUid, NetworkUsage, Stamp,
};
use burstlet_sandbox::client::Launcher;
use burstlet_supervisor::host::{
    Adoption, GroupRef, GroupUsage, Host, HostError, HostEvent, ProbeResult, PullRequest, Pulled,
    Resized, Sandbox, StartContainer, Started, Written,
};
use burstlet_supervisor::record::GroupRecord;
use burstlet_supervisor::stream::{
    AttachRequest, ExecRequest, ExecSession, LogRecord, LogRequest, PortStream,
};
use tokio::sync::mpsc;

use self::group::Group;
pub(crate) use self::pull::credentials;
use self::shared_look::SharedLook;
use crate::config::{AbsolutePath, Config, Logs, Policy};
use crate::id_ranges::IdRanges;
use crate::kubernetes;
use crate::machine;
use crate::metering::Metering;
use crate::network::LateNetwork;
use crate::processors::Processors;
use crate::records::Records;

/// Events of a group that wait for its loop. A loop that is behind holds its keeper's connection
/// back, and loses nothing: ends are on disk.
const EVENTS_MAX: usize = 64;

/// What the host is made of.
pub(crate) struct Parts {
    pub(crate) records: Records,
    pub(crate) ids: IdRanges,
    pub(crate) images: ImageStore,
    pub(crate) snapshotter: Snapshotter,
    pub(crate) network: LateNetwork,
    /// Whether groups are open to each other whatever their namespace.
    pub(crate) open_network: bool,
    pub(crate) cgroups: Cgroups,
    pub(crate) processors: Processors,
    pub(crate) launcher: Launcher,
    pub(crate) profiles: Profiles,
    pub(crate) logs: Logs,
    pub(crate) policy: Policy,
    /// Nodes that whoever has a device of the resource has too.
    pub(crate) shared_nodes: BTreeMap<ExtendedResource, Vec<PathBuf>>,
    pub(crate) facts: HostFacts,
    pub(crate) boot_id: String,
    pub(crate) metering: Metering,
}

/// What does not change while the agent runs.
#[derive(Clone, Debug)]
pub(crate) struct HostFacts {
    pub(crate) node_name: String,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) memory: Bytes,
    /// The lowest `oom_score_adj` that can be given to others: our own, without `CAP_SYS_RESOURCE`.
    pub(crate) oom_score_min: i32,
    /// The capabilities that can be given to others without a user namespace: our own bounding set.
    pub(crate) capabilities: u64,
    /// Directories below `/sys` that tell of others' work.
    pub(crate) masked_paths: Vec<String>,
    /// Where a cluster may have volumes.
    pub(crate) volume_paths: Vec<AbsolutePath>,
}

impl HostFacts {
    /// Looks at the host.
    ///
    /// # Errors
    /// The kernel does not tell how much memory there is.
    pub(crate) fn read(config: &Config) -> io::Result<Self> {
        let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
        Ok(Self {
            node_name: kubernetes::node_name(config),
            ip: kubernetes::node_ip(config),
            memory: machine::memory()?,
            oom_score_min: own.trim().parse().unwrap_or(0),
            capabilities: machine::capabilities(),
            masked_paths: machine::thermal_paths(),
            volume_paths: config.kubernetes.volume_paths.clone(),
        })
    }
}

/// The real host.
pub(crate) struct RealHost {
    parts: Arc<Parts>,
    groups: Mutex<HashMap<GroupUid, Arc<Group>>>,
    /// What has gone over every group's link.
    links: SharedLook<HashMap<GroupUid, NetworkUsage>>,
    /// The files that are read with every sample.
    gauges: Arc<Mutex<Gauges>>,
}

impl std::ops::Deref for RealHost {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl RealHost {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            groups: Mutex::default(),
            links: SharedLook::default(),
            gauges: Arc::default(),
        }
    }

    /// What this agent knows of a group; made when it is first asked for.
    fn group(&self, uid: &GroupUid) -> Arc<Group> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Group::new(uid.clone(), self.records.dir(uid)));
        Arc::clone(groups.entry(uid.clone()).or_insert_with(make))
    }

    /// The same, if it was asked for before.
    fn known(&self, uid: &GroupUid) -> Option<Arc<Group>> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(uid).cloned()
    }

    /// The groups whose sandboxes stand, and what they are to be.
    fn standing(&self) -> Vec<(GroupUid, Arc<GroupSpec>)> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = groups.values().filter_map(|group| {
            let standing = group.standing()?;
            Some((group.uid.clone(), standing.spec))
        });
        standing.collect()
    }

    fn forget(&self, uid: &GroupUid) {
        self.groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }

    /// Runs what blocks on the disk or the kernel where it holds nobody up.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Parts) -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        let parts = Arc::clone(&self.parts);
        let done = tokio::task::spawn_blocking(move || work(&parts)).await;
        done.unwrap_or_else(|error| Err(failure::aborted(&error)))
    }
}

impl Host for RealHost {
    fn now(&self) -> Stamp {
        machine::now()
    }

    async fn save(&self, record: &GroupRecord, written: Written) -> Result<(), HostError> {
        let record = record.clone();
        let save = move |parts: &Parts| {
            parts
                .records
                .save(&record, || written.tell())
                .map_err(|error| failure::fail(error.kind(), "RecordFailed", &error))
        };
        self.blocking(save).await
    }

    async fn meter(&self, group: GroupRef<'_>, marks: &[Mark]) -> Result<(), HostError> {
        failure::pass(Point::LedgerBegun)?;
        let told = self.metering.tell(group, marks).await;
        reach(Point::LedgerTold);
        told.map_err(|error| failure::fail(error.kind(), "MeterFailed", &error))
    }

    fn admit(&self, spec: &GroupSpec) -> Result<(), HostError> {
        self.metering.admit(spec)
    }

    fn metered(&self, uid: &GroupUid) -> Option<Known> {
        self.metering.known(uid)
    }

    async fn pull(&self, request: PullRequest<'_>) -> Result<Pulled, HostError> {
        self.pull_image(request).await
    }

    async fn create_sandbox(&self, group: GroupRef<'_>) -> Result<Sandbox, HostError> {
        self.make_sandbox(group).await
    }

    async fn start_container(
        &self,
        group: GroupRef<'_>,
        start: StartContainer<'_>,
    ) -> Result<Started, HostError> {
        self.run_container(group, start).await
    }

    async fn renew(&self, group: GroupRef<'_>) -> Result<(), HostError> {
        self.renew_volumes(group).await
    }

    async fn resize(
        &self,
        group: GroupRef<'_>,
        containers: &[ContainerName],
    ) -> Result<Resized, HostError> {
        self.resize_group(group, containers).await
    }

    async fn signal(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        signal: Signal,
    ) -> Result<(), HostError> {
        failure::pass(Point::SignalBegun)?;
        let keeper = self.group(uid).keeper()?;
        gone_is_fine(keeper.signal(container, signal.number().into()).await)
    }

    async fn kill(&self, uid: &GroupUid, container: &ContainerName) -> Result<(), HostError> {
        let keeper = self.group(uid).keeper()?;
        gone_is_fine(keeper.kill(container).await)?;
        let (uid, container) = (uid.clone(), container.clone());
        self.blocking(move |parts| {
            let thawed = parts.cgroups.container(&uid, &container).thaw();
            thawed.map_err(|error| failure::fail(error.kind(), "KillFailed", &error))
        })
        .await
    }

    async fn probe(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        action: &ProbeAction,
        timeout: Duration,
    ) -> Result<ProbeResult, HostError> {
        self.probe_once(uid, container, action, timeout).await
    }

    async fn run_hook(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        action: &HookAction,
        timeout: Duration,
    ) -> Result<(), HostError> {
        self.hook(uid, container, action, timeout).await
    }

    async fn destroy_sandbox(&self, uid: &GroupUid) -> Result<(), HostError> {
        self.end_sandbox(uid).await
    }

    async fn remove(&self, uid: &GroupUid) -> Result<(), HostError> {
        self.remove_group(uid).await
    }

    async fn adopt(&self, group: GroupRef<'_>) -> Result<Adoption, HostError> {
        self.take_over(group).await
    }

    fn events(&self, uid: &GroupUid) -> mpsc::Receiver<Box<HostEvent>> {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        self.group(uid).listen(sender);
        receiver
    }

    async fn logs(
        &self,
        uid: &GroupUid,
        request: LogRequest,
    ) -> Result<mpsc::Receiver<Result<LogRecord, HostError>>, HostError> {
        self.read_logs(uid, request).await
    }

    async fn exec(&self, uid: &GroupUid, request: ExecRequest) -> Result<ExecSession, HostError> {
        self.exec_session(uid, request).await
    }

    async fn attach(
        &self,
        uid: &GroupUid,
        request: AttachRequest,
    ) -> Result<ExecSession, HostError> {
        self.attach_session(uid, request).await
    }

    async fn dial(&self, uid: &GroupUid, port: u16) -> Result<PortStream, HostError> {
        self.dial_port(uid, port).await
    }

    async fn usage(&self, uid: &GroupUid) -> Result<GroupUsage, HostError> {
        self.measure(uid).await
    }
}

/// A container that has ended needs no signal.
fn gone_is_fine(done: Result<(), burstlet_sandbox::client::ClientError>) -> Result<(), HostError> {
    match done {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::FailedPrecondition
            ) =>
        {
            Ok(())
        }
        done => done.map_err(|error| failure::fail(error.kind(), "FailedKillContainer", &error)),
    }
}
