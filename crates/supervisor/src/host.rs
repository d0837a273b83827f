//! What the loop needs from the machine: one trait, with one real implementation (the agent's) and
//! one scripted one (the test kit's).
//!
//! Every method is idempotent where it says so, answers within a bound of its own, and may be
//! called again after the agent was killed in the middle of it.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use burstlet_model::metering::{Known, Mark};
use burstlet_model::spec::{
    GroupSpec, HookAction, ProbeAction, PullPolicy, RegistryCredential, Signal,
};
use burstlet_model::status::{ExitStatus, ImagePull};
use burstlet_model::{
    ContainerName, Device, Digest, ErrorKind, GroupUid, ImageRef, Namespace, NetworkUsage,
    ProcessorSet, Stamp, Usage,
};
use tokio::sync::{mpsc, oneshot};

use crate::record::GroupRecord;
use crate::stream::{AttachRequest, ExecRequest, ExecSession, LogRecord, LogRequest, PortStream};

/// Told when a record is written: a later agent finds it, unless the machine goes down first. Not
/// told if that is never so.
#[derive(Debug)]
pub struct Written(pub(crate) oneshot::Sender<()>);

impl Written {
    /// The record is written.
    pub fn tell(self) {
        // A loop that has ended does not care.
        let _ = self.0.send(());
    }
}

/// The machine, as the loop and the edges see it.
pub trait Host: Send + Sync + 'static {
    /// Both clocks, now.
    fn now(&self) -> Stamp;

    /// Writes a group's record durably: when this returns, no crash loses it. Tells `written` as
    /// soon as the agent's own death does not lose it.
    fn save(
        &self,
        record: &GroupRecord,
        written: Written,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Tells the ledger what happened in a group's sessions: when this returns, it is durable.
    /// Telling it again changes nothing.
    fn meter(
        &self,
        group: GroupRef<'_>,
        marks: &[Mark],
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Whether a group may begin, beside the room that it takes: the operator may have set bounds
    /// to what is spent. Answers at once.
    ///
    /// # Errors
    /// It may not, and why.
    fn admit(&self, spec: &GroupSpec) -> Result<(), HostError>;

    /// What the ledger knows of a group's latest session.
    fn metered(&self, uid: &GroupUid) -> Option<Known>;

    /// Sees to it that an image is in the store, unpacked, and held for the group until
    /// [`Host::remove`].
    fn pull(
        &self,
        request: PullRequest<'_>,
    ) -> impl Future<Output = Result<Pulled, HostError>> + Send;

    /// Sees to it that the group has its keeper, namespaces, cgroups, volumes and network.
    /// Idempotent: what stands already is kept.
    fn create_sandbox(
        &self,
        group: GroupRef<'_>,
    ) -> impl Future<Output = Result<Sandbox, HostError>> + Send;

    /// Starts one run of a container in the group's sandbox.
    ///
    /// # Errors
    /// With the reason `StartError` the run counts as ended with exit code 128 and the restart
    /// policy decides; with any other reason (`CreateContainerError`,
    /// `CreateContainerConfigError`, ...) nothing has run, and the same run is tried again later.
    fn start_container(
        &self,
        group: GroupRef<'_>,
        start: StartContainer<'_>,
    ) -> impl Future<Output = Result<Started, HostError>> + Send;

    /// Makes the files of the group's volumes of configuration what the specification says now,
    /// also for containers that run. Idempotent.
    fn renew(&self, group: GroupRef<'_>) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Makes the processors and memory of the group's cgroup, and of those of `containers`, which
    /// run, what the specification says now. Idempotent.
    ///
    /// # Errors
    /// Kind `FailedPrecondition` if more memory is used than is to be had; what was stays then.
    fn resize(
        &self,
        group: GroupRef<'_>,
        containers: &[ContainerName],
    ) -> impl Future<Output = Result<Resized, HostError>> + Send;

    /// Sends a signal to a container's first process. A container that has ended is not an error.
    fn signal(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        signal: Signal,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Kills every process of a container. Its end is told by [`HostEvent::Exited`].
    fn kill(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Makes one try of a probe. `Err` means that the prober itself failed.
    fn probe(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        action: &ProbeAction,
        timeout: Duration,
    ) -> impl Future<Output = Result<ProbeResult, HostError>> + Send;

    /// Runs a hook to its end or to `timeout`.
    fn run_hook(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        action: &HookAction,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Ends the keeper and everything that runs under it, and frees cgroups and links. Address,
    /// volumes, logs and the record stay. Idempotent.
    fn destroy_sandbox(&self, uid: &GroupUid)
    -> impl Future<Output = Result<(), HostError>> + Send;

    /// Frees all that is left: address, volumes, logs, image holds, and last the record.
    /// Idempotent.
    fn remove(&self, uid: &GroupUid) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Takes over a sandbox that outlived the agent.
    ///
    /// # Errors
    /// It cannot be told now whether there is one; nothing is done to the group until it can.
    fn adopt(
        &self,
        group: GroupRef<'_>,
    ) -> impl Future<Output = Result<Adoption, HostError>> + Send;

    /// What happens to a group's sandbox from now on. One receiver per group; a second call takes
    /// over from the first.
    fn events(&self, uid: &GroupUid) -> mpsc::Receiver<Box<HostEvent>>;

    /// Reads a container's log.
    ///
    /// The channel ends with the log, or when the receiver is dropped.
    fn logs(
        &self,
        uid: &GroupUid,
        request: LogRequest,
    ) -> impl Future<Output = Result<mpsc::Receiver<Result<LogRecord, HostError>>, HostError>> + Send;

    /// Runs a command in a running container.
    fn exec(
        &self,
        uid: &GroupUid,
        request: ExecRequest,
    ) -> impl Future<Output = Result<ExecSession, HostError>> + Send;

    /// Joins the standard streams of a running container.
    fn attach(
        &self,
        uid: &GroupUid,
        request: AttachRequest,
    ) -> impl Future<Output = Result<ExecSession, HostError>> + Send;

    /// Connects to a port inside the group's network.
    fn dial(
        &self,
        uid: &GroupUid,
        port: u16,
    ) -> impl Future<Output = Result<PortStream, HostError>> + Send;

    /// What the group and its containers have used.
    fn usage(&self, uid: &GroupUid) -> impl Future<Output = Result<GroupUsage, HostError>> + Send;
}

/// A group, as the host's methods are told of it.
#[derive(Clone, Copy, Debug)]
pub struct GroupRef<'a> {
    /// Its uid.
    pub uid: &'a GroupUid,
    /// Its specification.
    pub spec: &'a GroupSpec,
}

/// An image that a group needs.
#[derive(Clone, Copy, Debug)]
pub struct PullRequest<'a> {
    /// The group that it is held for.
    pub uid: &'a GroupUid,
    /// Whose rights count for a cached private image.
    pub namespace: &'a Namespace,
    /// Which image.
    pub image: &'a ImageRef,
    /// When to ask the registry.
    pub policy: PullPolicy,
    /// Credentials given with the group.
    pub credentials: &'a [RegistryCredential],
}

/// An image in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The manifest, which names exactly what will run.
    pub manifest: Digest,
    /// What getting it took.
    pub took: ImagePull,
}

/// A sandbox that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The group's address; `None` on the host's network.
    pub ip: Option<IpAddr>,
    /// When namespaces and cgroups stood.
    pub created: Stamp,
    /// When the network stood.
    pub network_ready: Stamp,
    /// The processors that the group has alone, if it has any.
    pub processors: Option<ProcessorSet>,
}

/// A group that has other resources than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resized {
    /// Since when.
    pub at: Stamp,
    /// As [`Sandbox::processors`].
    pub processors: Option<ProcessorSet>,
}

/// One run of a container.
#[derive(Clone, Copy, Debug)]
pub struct StartContainer<'a> {
    /// Which container.
    pub container: &'a ContainerName,
    /// 0 for the first run; logs and exit records are kept apart by it.
    pub attempt: u32,
    /// The manifest to run, as [`Host::pull`] told it.
    pub image: &'a Digest,
    /// The devices that are its own.
    pub devices: &'a [Device],
}

/// A container whose first process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its first process, as the host numbers it.
    pub pid: u32,
    /// When its process waited for the start.
    pub created: Stamp,
    /// When it ran.
    pub started: Stamp,
    /// The identity it runs with: uid, gid, supplementary groups.
    pub user: (u32, u32, Vec<u32>),
    /// What asks it to end: the specification's signal, else the image's, else SIGTERM.
    pub stop_signal: Signal,
}

/// What one try of a probe said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// It succeeded.
    Success,
    /// It succeeded, and something about it is worth telling.
    Warning(String),
    /// It failed; what was seen, for people, bounded.
    Failure(String),
}

/// What an earlier agent left of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// Its keeper answers, and is ours now.
    Standing(Adopted),
    /// It had a keeper since the machine was started, which is gone, and every process with it.
    /// The runs whose ends it had written down.
    Lost(Vec<AdoptedContainer>),
    /// It has had no keeper since the machine was started or its sandbox was destroyed.
    Absent,
}

/// A sandbox taken over from an earlier agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// As it stands.
    pub sandbox: Sandbox,
    /// Every container run that the keeper knows of, the latest of each.
    pub containers: Vec<AdoptedContainer>,
}

/// One container of a sandbox taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedContainer {
    /// Its name.
    pub name: ContainerName,
    /// Which run.
    pub attempt: u32,
    /// Running, or how it ended.
    pub state: AdoptedState,
}

/// What a container of a sandbox taken over does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptedState {
    /// It runs.
    Running(Started),
    /// It ended.
    Exited(ExitStatus),
}

/// What happened in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// A container's run ended, and its exit is durable.
    Exited {
        /// Which container.
        container: ContainerName,
        /// Which run.
        attempt: u32,
        /// How.
        exit: ExitStatus,
    },
    /// The keeper is gone, and every process of the group with it.
    KeeperLost,
    /// The group uses more of something than it may, and has to go.
    Evicted {
        /// What is used too much of, for people.
        message: String,
        /// How long it has to end by itself.
        grace: Duration,
    },
    /// Something that the group's owner is to be warned of.
    Warned {
        /// A stable word for it.
        reason: &'static str,
        /// The same for people.
        message: String,
    },
}

/// What a group has used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupUsage {
    /// The group as a whole, its keeper included.
    pub group: Usage,
    /// Each container that runs.
    pub containers: Vec<(ContainerName, Usage)>,
    /// Its network interface, if it has one of its own.
    pub network: Option<NetworkUsage>,
}

/// Why the machine could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    /// What class of failure it is.
    pub kind: ErrorKind,
    /// A stable word shown as reason (`ErrImagePull`, `InvalidImageName`, `CreateContainerError`,
    /// `StartError`, `FailedMount`, ...).
    pub reason: &'static str,
    /// The whole story for people, causes included.
    pub message: String,
}

impl HostError {
    /// An error from its parts.
    pub fn new(kind: ErrorKind, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            reason,
            message: message.into(),
        }
    }

    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}
