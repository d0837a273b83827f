//! A scripted host and an agent on it, for tests in paused time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::spec::{GroupSpec, ResourceList};
use burstlet_model::status::{ContainerState, Phase};
use burstlet_model::{ContainerName, ErrorKind, GroupUid, Stamp};
use burstlet_supervisor::host::{Host, HostError};
use burstlet_supervisor::{
    Capacity, Condition, Config, CreateRequest, GroupHandle, Groups, Quotas, Refusal, Snapshot,
};
use burstlet_testkit::host::{Fault, ScriptedHost};
use burstlet_testkit::spec;
use tokio_util::sync::CancellationToken;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// An agent on a scripted host.
pub(crate) struct Agent {
    pub(crate) host: ScriptedHost,
    pub(crate) groups: Groups<ScriptedHost>,
    shutdown: CancellationToken,
}

pub(crate) fn config() -> Config {
    Config {
        capacity: Capacity {
            machine: ResourceList::default(),
            reserved: ResourceList::default(),
            overcommit_percent: 100,
            default_request: ResourceList::default(),
            devices: BTreeMap::new(),
            waiting_max: 2,
        },
        groups_max: 100,
        quotas: Quotas::default(),
        history_max: 1000,
        adoptions_in_flight_max: 4,
        launches_in_flight_max: 4,
        probes_in_flight_max: 4,
    }
}

impl Agent {
    pub(crate) fn start() -> Self {
        Self::on(ScriptedHost::new(), config())
    }

    pub(crate) fn on(host: ScriptedHost, config: Config) -> Self {
        let shutdown = CancellationToken::new();
        let records = host.records();
        let groups = Groups::start(Arc::new(host.clone()), config, records, shutdown.clone());
        Self {
            host,
            groups,
            shutdown,
        }
    }

    pub(crate) fn now(&self) -> Stamp {
        self.host.now()
    }

    /// Shuts down in order and starts the next agent on the same machine.
    pub(crate) async fn again(self) -> Self {
        Self::on(self.end().await, config())
    }

    /// Dies at once, with only what is on disk by now, and starts the next agent on the same
    /// machine.
    pub(crate) async fn killed(self) -> Self {
        Self::on(self.die().await, config())
    }

    pub(crate) async fn end(self) -> ScriptedHost {
        self.shutdown.cancel();
        self.groups.stopped().await;
        self.host
    }

    pub(crate) async fn die(self) -> ScriptedHost {
        let none = error("Dead");
        self.host.plan("save", u32::MAX, Fault::Fails(none));
        let host = self.end().await;
        host.heal();
        host
    }

    pub(crate) async fn create(&self, spec: GroupSpec) -> GroupHandle {
        let uid = uid(spec.name.name.as_str());
        self.try_create(spec).await.unwrap();
        self.groups.get(&uid).unwrap()
    }

    pub(crate) async fn try_create(&self, spec: GroupSpec) -> Result<Arc<Snapshot>, Refusal> {
        let request = CreateRequest {
            uid: uid(spec.name.name.as_str()),
            definition: spec::definition(spec),
            request_id: None,
        };
        self.groups.create(request).await
    }
}

pub(crate) fn uid(name: &str) -> GroupUid {
    GroupUid::new(name).unwrap()
}

pub(crate) fn name(name: &str) -> ContainerName {
    ContainerName::new(name).unwrap()
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn error(reason: &'static str) -> HostError {
    HostError::new(ErrorKind::Unavailable, reason, "scripted")
}

/// Lets everything happen that happens within this time.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) async fn wait(group: &GroupHandle, condition: Condition) -> Arc<Snapshot> {
    group.wait(condition, HOUR).await.unwrap()
}

pub(crate) fn phase(group: &GroupHandle) -> Phase {
    group.snapshot().status.phase
}

/// A container's state in one word, with its restarts: `Running#0`, `CrashLoopBackOff#2`, `7#0`.
pub(crate) fn state(group: &GroupHandle, container: &str) -> String {
    let snapshot = group.snapshot();
    let status = snapshot.status.container(container).unwrap();
    let word = match &status.state {
        ContainerState::Waiting { reason, .. } => reason.clone(),
        ContainerState::Running { .. } => "Running".to_owned(),
        ContainerState::Terminated(exit) => format!("{}:{}", exit.reason, exit.code),
    };
    format!("{word}#{}", status.restart_count)
}

/// The group's events as `reason×count`, oldest first.
pub(crate) fn events(group: &GroupHandle) -> Vec<String> {
    let snapshot = group.snapshot();
    let events = snapshot.events.iter();
    events
        .map(|event| format!("{}×{}", event.reason, event.count))
        .collect()
}
