//! The status part of a record.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use burstlet_model::spec::{ResourceList, Resources};
use burstlet_model::status::{
    ContainerState, ContainerStatus, Desired, ExitStatus, GroupStatus, ImagePull, LaunchTimeline,
    Phase, Session,
};
use burstlet_model::{Bytes, Device, Digest, ExtendedResource, Lease, MilliCpu, WallTime};
use serde::{Deserialize, Serialize};

use super::{Moment, container_name};

#[derive(Serialize, Deserialize)]
pub(super) struct Status {
    desired: DiskDesired,
    phase: String,
    reason: String,
    message: String,
    ip: Option<IpAddr>,
    initialized: bool,
    ready: bool,
    init_containers: Vec<Container>,
    containers: Vec<Container>,
    /// Unknown to the version before.
    #[serde(default)]
    ephemeral_containers: Vec<Container>,
    created_at_ns: i64,
    finished_at: Option<Moment>,
    #[serde(default)]
    timeline: Timeline,
    sessions: Vec<DiskSession>,
    /// Unknown to the version before, as are those of containers.
    #[serde(default)]
    resources: Option<DiskResources>,
    /// Unknown to the version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<DiskLease>,
}

/// Devices by their nodes, in the order in which containers have them.
#[derive(Serialize, Deserialize)]
struct DiskLease {
    resource: String,
    devices: Vec<Vec<PathBuf>>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum DiskDesired {
    Running,
    Stopped,
    Deleted,
}

#[derive(Serialize, Deserialize)]
struct DiskSession {
    opened: Moment,
    closed: Option<Moment>,
}

#[derive(Serialize, Deserialize)]
struct Container {
    name: String,
    image: String,
    image_digest: Option<String>,
    state: State,
    last_exit: Option<Exit>,
    restart_count: u32,
    started: bool,
    ready: bool,
    user: Option<(u32, u32, Vec<u32>)>,
    #[serde(default)]
    resources: Option<DiskResources>,
}

#[derive(Serialize, Deserialize)]
struct DiskResources {
    requests: Amounts,
    limits: Amounts,
}

#[derive(Serialize, Deserialize)]
struct Amounts {
    cpu_milli: Option<u64>,
    memory: Option<u64>,
    ephemeral_storage: Option<u64>,
    pids: Option<u64>,
}

#[derive(Serialize, Deserialize)]
enum State {
    Waiting { reason: String, message: String },
    Running { started_at: Moment, pid: u32 },
    Terminated(Exit),
}

#[derive(Serialize, Deserialize)]
struct Exit {
    code: i32,
    signal: Option<u8>,
    reason: String,
    message: String,
    started_at: Option<Moment>,
    finished_at: Moment,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Timeline {
    accepted: Option<Moment>,
    admitted: Option<Moment>,
    pulled: Option<Moment>,
    sandbox_created: Option<Moment>,
    network_ready: Option<Moment>,
    container_created: Option<Moment>,
    started: Option<Moment>,
    ready: Option<Moment>,
    begun_again: Option<Moment>,
    pulls: Vec<Pull>,
}

#[derive(Serialize, Deserialize)]
struct Pull {
    image: String,
    bytes: u64,
    layers_cached: u32,
    layers: u32,
    duration_ns: u64,
    unpack_ns: u64,
}

impl From<&GroupStatus> for Status {
    fn from(status: &GroupStatus) -> Self {
        Self {
            desired: match status.desired {
                Desired::Running => DiskDesired::Running,
                Desired::Stopped => DiskDesired::Stopped,
                Desired::Deleted => DiskDesired::Deleted,
            },
            phase: status.phase.as_str().to_owned(),
            reason: status.reason.clone(),
            message: status.message.clone(),
            ip: status.ip,
            initialized: status.initialized,
            ready: status.ready,
            init_containers: status.init_containers.iter().map(Container::from).collect(),
            containers: status.containers.iter().map(Container::from).collect(),
            ephemeral_containers: status
                .ephemeral_containers
                .iter()
                .map(Container::from)
                .collect(),
            created_at_ns: status.created_at.0,
            finished_at: status.finished_at.map(Moment::from),
            timeline: (&status.timeline).into(),
            sessions: status.sessions.iter().map(DiskSession::from).collect(),
            resources: status.resources.map(DiskResources::from),
            lease: status.lease.as_ref().map(DiskLease::from),
        }
    }
}

impl Status {
    pub(super) fn into_model(self) -> Result<GroupStatus, String> {
        let phase = Phase::ALL
            .into_iter()
            .find(|phase| phase.as_str() == self.phase);
        let all = |containers: Vec<Container>| -> Result<Vec<_>, String> {
            containers.into_iter().map(Container::into_model).collect()
        };
        Ok(GroupStatus {
            desired: match self.desired {
                DiskDesired::Running => Desired::Running,
                DiskDesired::Stopped => Desired::Stopped,
                DiskDesired::Deleted => Desired::Deleted,
            },
            phase: phase.ok_or_else(|| format!("has the unknown phase {:?}", self.phase))?,
            reason: self.reason,
            message: self.message,
            queue_position: None,
            ip: self.ip,
            initialized: self.initialized,
            ready: self.ready,
            init_containers: all(self.init_containers)?,
            containers: all(self.containers)?,
            ephemeral_containers: all(self.ephemeral_containers)?,
            created_at: WallTime(self.created_at_ns),
            finished_at: self.finished_at.map(Into::into),
            timeline: self.timeline.into(),
            sessions: self.sessions.into_iter().map(Into::into).collect(),
            resources: self.resources.map(Into::into),
            // What differs says so.
            resize: None,
            lease: self.lease.map(DiskLease::into_model).transpose()?,
            // The kernel knows, as long as there are any.
            processors: None,
        })
    }
}

impl From<&Session> for DiskSession {
    fn from(session: &Session) -> Self {
        Self {
            opened: session.opened.into(),
            closed: session.closed.map(Moment::from),
        }
    }
}

impl From<&Lease> for DiskLease {
    fn from(lease: &Lease) -> Self {
        let devices = lease.devices.iter();
        Self {
            resource: lease.resource.to_string(),
            devices: devices.map(|device| device.nodes.clone()).collect(),
        }
    }
}

impl DiskLease {
    fn into_model(self) -> Result<Lease, String> {
        let resource = ExtendedResource::new(self.resource).map_err(|error| error.to_string())?;
        let devices = self.devices.into_iter();
        Ok(Lease {
            resource,
            devices: devices.map(|nodes| Device { nodes }).collect(),
        })
    }
}

impl From<DiskSession> for Session {
    fn from(session: DiskSession) -> Self {
        Self {
            opened: session.opened.into(),
            closed: session.closed.map(Into::into),
        }
    }
}

impl From<&ContainerStatus> for Container {
    fn from(status: &ContainerStatus) -> Self {
        Self {
            name: status.name.to_string(),
            image: status.image.clone(),
            image_digest: status.image_digest.as_ref().map(ToString::to_string),
            state: match &status.state {
                ContainerState::Waiting { reason, message } => State::Waiting {
                    reason: reason.clone(),
                    message: message.clone(),
                },
                ContainerState::Running { started_at, pid } => State::Running {
                    started_at: (*started_at).into(),
                    pid: *pid,
                },
                ContainerState::Terminated(exit) => State::Terminated(exit.into()),
            },
            last_exit: status.last_exit.as_ref().map(Exit::from),
            restart_count: status.restart_count,
            started: status.started,
            ready: status.ready,
            user: status.user.clone(),
            resources: status.resources.map(DiskResources::from),
        }
    }
}

impl Container {
    fn into_model(self) -> Result<ContainerStatus, String> {
        let digest = |text: String| Digest::new(text).map_err(|error| error.to_string());
        Ok(ContainerStatus {
            name: container_name(self.name)?,
            image: self.image,
            image_digest: self.image_digest.map(digest).transpose()?,
            state: match self.state {
                State::Waiting { reason, message } => ContainerState::Waiting { reason, message },
                State::Running { started_at, pid } => ContainerState::Running {
                    started_at: started_at.into(),
                    pid,
                },
                State::Terminated(exit) => ContainerState::Terminated(exit.into()),
            },
            last_exit: self.last_exit.map(Into::into),
            restart_count: self.restart_count,
            started: self.started,
            ready: self.ready,
            user: self.user,
            resources: self.resources.map(Into::into),
        })
    }
}

impl From<Resources> for DiskResources {
    fn from(resources: Resources) -> Self {
        Self {
            requests: resources.requests.into(),
            limits: resources.limits.into(),
        }
    }
}

impl From<DiskResources> for Resources {
    fn from(resources: DiskResources) -> Self {
        Self {
            requests: resources.requests.into(),
            limits: resources.limits.into(),
        }
    }
}

impl From<ResourceList> for Amounts {
    fn from(list: ResourceList) -> Self {
        Self {
            cpu_milli: list.cpu.map(|cpu| cpu.0),
            memory: list.memory.map(|bytes| bytes.0),
            ephemeral_storage: list.ephemeral_storage.map(|bytes| bytes.0),
            pids: list.pids,
        }
    }
}

impl From<Amounts> for ResourceList {
    fn from(amounts: Amounts) -> Self {
        Self {
            cpu: amounts.cpu_milli.map(MilliCpu),
            memory: amounts.memory.map(Bytes),
            ephemeral_storage: amounts.ephemeral_storage.map(Bytes),
            pids: amounts.pids,
        }
    }
}

impl From<&ExitStatus> for Exit {
    fn from(exit: &ExitStatus) -> Self {
        Self {
            code: exit.code,
            signal: exit.signal,
            reason: exit.reason.clone(),
            message: exit.message.clone(),
            started_at: exit.started_at.map(Moment::from),
            finished_at: exit.finished_at.into(),
        }
    }
}

impl From<Exit> for ExitStatus {
    fn from(exit: Exit) -> Self {
        Self {
            code: exit.code,
            signal: exit.signal,
            reason: exit.reason,
            message: exit.message,
            started_at: exit.started_at.map(Into::into),
            finished_at: exit.finished_at.into(),
        }
    }
}

impl From<&LaunchTimeline> for Timeline {
    fn from(timeline: &LaunchTimeline) -> Self {
        Self {
            accepted: timeline.accepted.map(Moment::from),
            admitted: timeline.admitted.map(Moment::from),
            pulled: timeline.pulled.map(Moment::from),
            sandbox_created: timeline.sandbox_created.map(Moment::from),
            network_ready: timeline.network_ready.map(Moment::from),
            container_created: timeline.container_created.map(Moment::from),
            started: timeline.started.map(Moment::from),
            ready: timeline.ready.map(Moment::from),
            begun_again: timeline.begun_again.map(Moment::from),
            pulls: timeline.pulls.iter().map(Pull::from).collect(),
        }
    }
}

impl From<Timeline> for LaunchTimeline {
    fn from(timeline: Timeline) -> Self {
        Self {
            accepted: timeline.accepted.map(Into::into),
            admitted: timeline.admitted.map(Into::into),
            pulled: timeline.pulled.map(Into::into),
            sandbox_created: timeline.sandbox_created.map(Into::into),
            network_ready: timeline.network_ready.map(Into::into),
            container_created: timeline.container_created.map(Into::into),
            started: timeline.started.map(Into::into),
            ready: timeline.ready.map(Into::into),
            begun_again: timeline.begun_again.map(Into::into),
            pulls: timeline.pulls.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&ImagePull> for Pull {
    fn from(pull: &ImagePull) -> Self {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            image: pull.image.clone(),
            bytes: pull.bytes,
            layers_cached: pull.layers_cached,
            layers: pull.layers,
            duration_ns: nanos(pull.duration),
            unpack_ns: nanos(pull.unpack),
        }
    }
}

impl From<Pull> for ImagePull {
    fn from(pull: Pull) -> Self {
        Self {
            image: pull.image,
            bytes: pull.bytes,
            layers_cached: pull.layers_cached,
            layers: pull.layers,
            duration: Duration::from_nanos(pull.duration_ns),
            unpack: Duration::from_nanos(pull.unpack_ns),
        }
    }
}
