//! The port itself.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use burstlet_model::metering::{Known, Mark};
use burstlet_model::spec::{GroupSpec, HookAction, ProbeAction, Signal};
use burstlet_model::status::ImagePull;
use burstlet_model::{
    Bytes, ContainerName, Digest, ErrorKind, GroupUid, NetworkUsage, ProcessorSet, Stamp, Usage,
};
use burstlet_supervisor::host::{
    Adopted, AdoptedContainer, AdoptedState, Adoption, GroupRef, GroupUsage, Host, HostError,
    HostEvent, ProbeResult, PullRequest, Pulled, Resized, Sandbox, StartContainer, Started,
    Written,
};
use burstlet_supervisor::record::GroupRecord;
use burstlet_supervisor::stream::{
    AttachRequest, ExecRequest, ExecSession, LogRecord, LogRequest, PortStream,
};
use tokio::sync::mpsc;

use super::{EVENTS_MAX, End, Inner, OnSignal, RunScript, ScriptedHost, ScriptedRun, streams};

/// The address of every group.
const GROUP_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 88, 0, 2));

impl Host for ScriptedHost {
    fn now(&self) -> Stamp {
        self.stamp()
    }

    async fn save(&self, record: &GroupRecord, written: Written) -> Result<(), HostError> {
        self.call(format!("save {}", record.uid)).await?;
        self.lock()
            .records
            .insert(record.uid.clone(), record.clone());
        written.tell();
        self.call(format!("save-sync {}", record.uid)).await
    }

    async fn meter(&self, group: GroupRef<'_>, marks: &[Mark]) -> Result<(), HostError> {
        self.call(format!("meter {}", group.uid)).await?;
        let mut inner = self.lock();
        let told = inner.marks.entry(group.uid.clone()).or_default();
        told.extend(marks.iter().cloned());
        Ok(())
    }

    fn admit(&self, _: &GroupSpec) -> Result<(), HostError> {
        self.lock().refusing.clone().map_or(Ok(()), Err)
    }

    fn metered(&self, uid: &GroupUid) -> Option<Known> {
        Known::after(&self.marks(uid))
    }

    async fn pull(&self, request: PullRequest<'_>) -> Result<Pulled, HostError> {
        let name = request.image.familiar();
        self.call(format!("pull {name}")).await?;
        Ok(Pulled {
            manifest: digest_of(&name),
            took: ImagePull {
                image: request.image.to_string(),
                bytes: 1 << 20,
                layers_cached: 0,
                layers: 1,
                duration: Duration::from_millis(100),
                unpack: Duration::from_millis(10),
            },
        })
    }

    async fn create_sandbox(&self, group: GroupRef<'_>) -> Result<Sandbox, HostError> {
        self.call(format!("create_sandbox {}", group.uid)).await?;
        let now = self.stamp();
        let mut inner = self.lock();
        let sandboxed = inner.sandboxes.entry(group.uid.clone()).or_default();
        sandboxed.processors = whole(group.spec);
        Ok(sandbox(now, sandboxed.processors.clone()))
    }

    async fn start_container(
        &self,
        group: GroupRef<'_>,
        start: StartContainer<'_>,
    ) -> Result<Started, HostError> {
        let mut line = format!("start {}/{}#{}", group.uid, start.container, start.attempt);
        for node in start.devices.iter().flat_map(|device| &device.nodes) {
            line.push_str(&format!(" with {}", node.display()));
        }
        self.call(line).await?;
        let now = self.stamp();
        let mut inner = self.lock();
        inner.next_pid += 1;
        let own = group
            .spec
            .all_containers()
            .find(|(_, c)| c.name == *start.container);
        let stop_signal = own.and_then(|(_, c)| c.lifecycle.stop_signal);
        let started = Started {
            pid: 1000 + inner.next_pid,
            created: now,
            started: now,
            user: (0, 0, Vec::new()),
            stop_signal: stop_signal.unwrap_or(Signal::TERM),
        };
        let scripts = inner.scripts.get_mut(start.container.as_str());
        let script = Inner::next_of(scripts).unwrap_or_else(RunScript::forever);
        let run = ScriptedRun {
            attempt: start.attempt,
            started: started.clone(),
            script: script.clone(),
            exit: None,
        };
        let Some(sandbox) = inner.sandboxes.get_mut(group.uid).filter(|s| !s.lost) else {
            return Err(failure("start in a sandbox that does not stand"));
        };
        let before = sandbox.runs.insert(start.container.clone(), run);
        if before.is_some_and(|run| run.exit.is_none()) {
            return Err(failure("start a container that runs"));
        }
        drop(inner);
        if let Some(after) = script.ends_after {
            let (code, oom) = (script.code, script.oom);
            let run = (start.container.clone(), start.attempt);
            self.finish_later(group.uid, run, (after, End { code, oom }));
        }
        Ok(started)
    }

    async fn renew(&self, group: GroupRef<'_>) -> Result<(), HostError> {
        self.call(format!("renew {}", group.uid)).await
    }

    async fn resize(
        &self,
        group: GroupRef<'_>,
        containers: &[ContainerName],
    ) -> Result<Resized, HostError> {
        let names: Vec<_> = containers.iter().map(ContainerName::as_str).collect();
        let call = format!("resize {} [{}]", group.uid, names.join(" "));
        self.call(call).await?;
        let mut inner = self.lock();
        let sandboxed = inner.sandboxes.get_mut(group.uid);
        let processors = sandboxed.and_then(|sandboxed| {
            let has_any = sandboxed.processors.is_some();
            sandboxed.processors = whole(group.spec).filter(|_| has_any);
            sandboxed.processors.clone()
        });
        Ok(Resized {
            at: self.now(),
            processors,
        })
    }

    async fn signal(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        signal: Signal,
    ) -> Result<(), HostError> {
        self.call(format!("signal {uid}/{container} {}", signal.number()))
            .await?;
        if let Some((attempt, OnSignal::EndsAfter(after))) = self.running_script(uid, container) {
            let end = End {
                code: 128 + i32::from(signal.number()),
                oom: false,
            };
            self.finish_later(uid, (container.clone(), attempt), (after, end));
        }
        Ok(())
    }

    async fn kill(&self, uid: &GroupUid, container: &ContainerName) -> Result<(), HostError> {
        self.call(format!("kill {uid}/{container}")).await?;
        if let Some((attempt, _)) = self.running_script(uid, container) {
            let end = End {
                code: 137,
                oom: false,
            };
            self.finish(uid, (container, attempt), end);
        }
        Ok(())
    }

    async fn probe(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        action: &ProbeAction,
        _timeout: Duration,
    ) -> Result<ProbeResult, HostError> {
        let what = match action {
            ProbeAction::Exec(command) => command.join(" "),
            ProbeAction::HttpGet(http) => http.path.clone(),
            ProbeAction::TcpSocket { port, .. } => port.to_string(),
            ProbeAction::Grpc { service, .. } => service.clone(),
        };
        self.call(format!("probe {uid}/{container} {what}")).await?;
        let mut inner = self.lock();
        // A script for one probe of a container goes before that for all of them.
        let own = format!("{container} {what}");
        let scripts = match inner.probes.contains_key(&own) {
            true => inner.probes.get_mut(&own),
            false => inner.probes.get_mut(container.as_str()),
        };
        Ok(Inner::next_of(scripts).unwrap_or(ProbeResult::Success))
    }

    async fn run_hook(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        action: &HookAction,
        timeout: Duration,
    ) -> Result<(), HostError> {
        let what = match action {
            HookAction::Exec(command) => command.join(" "),
            HookAction::HttpGet(http) => http.path.clone(),
            HookAction::Sleep { duration_s } => format!("sleep {duration_s}"),
        };
        self.call(format!("hook {uid}/{container} {what}")).await?;
        if let HookAction::Sleep { duration_s } = action {
            let length = Duration::from_secs((*duration_s).into());
            tokio::time::sleep(length.min(timeout)).await;
        }
        Ok(())
    }

    async fn destroy_sandbox(&self, uid: &GroupUid) -> Result<(), HostError> {
        self.call(format!("destroy_sandbox {uid}")).await?;
        self.lock().sandboxes.remove(uid);
        Ok(())
    }

    async fn remove(&self, uid: &GroupUid) -> Result<(), HostError> {
        self.call(format!("remove {uid}")).await?;
        self.lock().records.remove(uid);
        Ok(())
    }

    async fn adopt(&self, group: GroupRef<'_>) -> Result<Adoption, HostError> {
        self.call(format!("adopt {}", group.uid)).await?;
        Ok(self.adoption(group.uid))
    }

    fn events(&self, uid: &GroupUid) -> mpsc::Receiver<Box<HostEvent>> {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        self.lock().events.insert(uid.clone(), sender);
        receiver
    }

    async fn logs(
        &self,
        uid: &GroupUid,
        request: LogRequest,
    ) -> Result<mpsc::Receiver<Result<LogRecord, HostError>>, HostError> {
        self.call(format!("logs {uid}/{}", request.container))
            .await?;
        let kept = self.lock().logs.get(request.container.as_str()).cloned();
        Ok(streams::logs(kept.unwrap_or_default(), &request))
    }

    async fn exec(&self, uid: &GroupUid, request: ExecRequest) -> Result<ExecSession, HostError> {
        let line = format!(
            "exec {uid}/{} {}",
            request.container,
            request.command.join(" ")
        );
        self.call(line).await?;
        Ok(streams::exec(request))
    }

    async fn attach(
        &self,
        uid: &GroupUid,
        request: AttachRequest,
    ) -> Result<ExecSession, HostError> {
        self.call(format!("attach {uid}/{}", request.container))
            .await?;
        Ok(streams::attach(request))
    }

    async fn dial(&self, uid: &GroupUid, port: u16) -> Result<PortStream, HostError> {
        self.call(format!("dial {uid} {port}")).await?;
        streams::dial()
            .await
            .map_err(|error| failure(&error.to_string()))
    }

    async fn usage(&self, uid: &GroupUid) -> Result<GroupUsage, HostError> {
        self.call(format!("usage {uid}")).await?;
        let usage = Usage {
            at: self.stamp().boot,
            cpu_ns: 1_500_000_000,
            memory_working_set: Bytes(1 << 20),
            memory: Bytes(2 << 20),
            memory_peak: Some(Bytes(3 << 20)),
            oom_kills: 0,
            pids: 2,
            io_read: Bytes(4096),
            io_written: Bytes(8192),
        };
        let inner = self.lock();
        let runs = inner.sandboxes.get(uid).map(|sandbox| sandbox.runs.iter());
        let running = runs
            .into_iter()
            .flatten()
            .filter(|(_, run)| run.exit.is_none());
        Ok(GroupUsage {
            group: usage,
            containers: running.map(|(name, _)| (name.clone(), usage)).collect(),
            network: Some(NetworkUsage {
                received: Bytes(100),
                sent: Bytes(200),
                received_packets: 1,
                sent_packets: 2,
            }),
        })
    }
}

impl ScriptedRun {
    pub(super) fn adopted(&self, name: &ContainerName) -> AdoptedContainer {
        AdoptedContainer {
            name: name.clone(),
            attempt: self.attempt,
            state: match &self.exit {
                Some(exit) => AdoptedState::Exited(exit.clone()),
                None => AdoptedState::Running(self.started.clone()),
            },
        }
    }
}

pub(super) fn standing(
    containers: Vec<AdoptedContainer>,
    now: Stamp,
    processors: Option<ProcessorSet>,
) -> Adoption {
    Adoption::Standing(Adopted {
        sandbox: sandbox(now, processors),
        containers,
    })
}

fn sandbox(now: Stamp, processors: Option<ProcessorSet>) -> Sandbox {
    Sandbox {
        ip: Some(GROUP_IP),
        created: now,
        network_ready: now,
        processors,
    }
}

/// As if there was nobody else.
fn whole(spec: &GroupSpec) -> Option<ProcessorSet> {
    let count = u32::try_from(spec.whole_processors()?).ok()?;
    Some((0..count).collect())
}

/// A digest that only depends on the name.
fn digest_of(name: &str) -> Digest {
    use sha2::{Digest as _, Sha256};
    let hex: String = Sha256::digest(name)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    Digest::new(format!("sha256:{hex}")).expect("64 hexadecimal digits are a digest")
}

fn failure(message: &str) -> HostError {
    HostError::new(ErrorKind::Internal, "Scripted", message)
}
