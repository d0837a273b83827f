//! What goes past the loop: streams and samples of what runs. The group's phase and the
//! container's state are asked first, so that nobody waits for something that cannot come.

use burstlet_model::status::ContainerState;
use burstlet_model::{ContainerName, GroupUid};
use tokio::sync::mpsc;

use crate::groups::Groups;
use crate::handle::GroupHandle;
use crate::host::{GroupUsage, Host, HostError};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::stream::{AttachRequest, ExecRequest, ExecSession, LogRecord, LogRequest, PortStream};
use crate::verb::{Admission, Verb};

impl<H: Host> Groups<H> {
    /// Runs a command in a running container.
    ///
    /// # Errors
    /// There is no such group or container, or it does not run.
    pub async fn exec(&self, uid: &GroupUid, request: ExecRequest) -> Result<ExecSession, Refusal> {
        let snapshot = self.admitted(uid, Verb::Exec)?;
        running(&snapshot, &request.container)?;
        Ok(self.host().exec(uid, request).await?)
    }

    /// Joins the standard streams of a running container.
    ///
    /// # Errors
    /// There is no such group or container, or it does not run.
    pub async fn attach(
        &self,
        uid: &GroupUid,
        request: AttachRequest,
    ) -> Result<ExecSession, Refusal> {
        let snapshot = self.admitted(uid, Verb::Exec)?;
        running(&snapshot, &request.container)?;
        Ok(self.host().attach(uid, request).await?)
    }

    /// Connects to a port inside the group's network.
    ///
    /// # Errors
    /// There is no such group, nothing of it runs, or nobody listens there.
    pub async fn dial(&self, uid: &GroupUid, port: u16) -> Result<PortStream, Refusal> {
        self.admitted(uid, Verb::Dial)?;
        Ok(self.host().dial(uid, port).await?)
    }

    /// What a group and its containers have used.
    ///
    /// # Errors
    /// There is no such group, or nothing of it runs.
    pub async fn usage(&self, uid: &GroupUid) -> Result<GroupUsage, Refusal> {
        self.admitted(uid, Verb::Usage)?;
        Ok(self.host().usage(uid).await?)
    }

    /// Reads a container's log, in every phase of the group.
    ///
    /// # Errors
    /// There is no such group or container, or it has not run (as often as asked for).
    pub async fn logs(
        &self,
        uid: &GroupUid,
        request: LogRequest,
    ) -> Result<mpsc::Receiver<Result<LogRecord, HostError>>, Refusal> {
        let snapshot = self.get(uid)?.snapshot();
        has_log(&snapshot, &request)?;
        Ok(self.host().logs(uid, request).await?)
    }

    fn admitted(&self, uid: &GroupUid, verb: Verb) -> Result<std::sync::Arc<Snapshot>, Refusal> {
        let snapshot = self.get(uid).map(|handle: GroupHandle| handle.snapshot())?;
        match verb.admit(snapshot.status.phase) {
            Admission::Accept | Admission::AlreadySo => Ok(snapshot),
            Admission::Refuse(why) => Err(Refusal::WrongPhase {
                verb,
                group: snapshot.name().clone(),
                phase: snapshot.status.phase,
                why,
            }),
        }
    }
}

fn running(snapshot: &Snapshot, name: &ContainerName) -> Result<(), Refusal> {
    let status = snapshot.status.container(name.as_str());
    match status.map(|container| &container.state) {
        None => Err(no_container(snapshot, name)),
        Some(ContainerState::Running { .. }) => Ok(()),
        Some(other) => Err(not_running(snapshot, name, describe(other))),
    }
}

fn has_log(snapshot: &Snapshot, request: &LogRequest) -> Result<(), Refusal> {
    let name = &request.container;
    let status = snapshot.status.container(name.as_str());
    let status = status.ok_or_else(|| no_container(snapshot, name))?;
    if request.previous && status.restart_count == 0 {
        let state = "it has run only once, or not at all".to_owned();
        return Err(not_running(snapshot, name, state));
    }
    match &status.state {
        waiting @ ContainerState::Waiting { .. } if status.last_exit.is_none() => {
            Err(not_running(snapshot, name, describe(waiting)))
        }
        _ => Ok(()),
    }
}

fn describe(state: &ContainerState) -> String {
    match state {
        ContainerState::Waiting { reason, .. } => format!("waiting ({reason})"),
        ContainerState::Running { .. } => "running".to_owned(),
        ContainerState::Terminated(exit) => {
            format!("ended with code {} ({})", exit.code, exit.reason)
        }
    }
}

fn no_container(snapshot: &Snapshot, container: &ContainerName) -> Refusal {
    Refusal::NoContainer {
        group: snapshot.name().clone(),
        container: container.clone(),
    }
}

fn not_running(snapshot: &Snapshot, container: &ContainerName, state: String) -> Refusal {
    Refusal::NotRunning {
        group: snapshot.name().clone(),
        container: container.clone(),
        state,
    }
}
