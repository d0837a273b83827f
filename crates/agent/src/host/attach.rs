//! Attach: the streams of a container that runs, for as long as the client stays.

use burstlet_model::{ContainerName, ErrorKind, GroupUid};
use burstlet_sandbox::client::{AttachHandle, Keeper};
use burstlet_supervisor::host::HostError;
use burstlet_supervisor::stream::{
    AttachRequest, ExecSession, SessionControl, SessionExit, TerminalSize,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::RealHost;
use super::exec::{CONTROLS_MAX, Streams, exec_failed, not_running, owner, pipe_failed};
use super::group::RunState;

/// A container that somebody is attached to.
struct Joined {
    keeper: Keeper,
    container: ContainerName,
    attached: AttachHandle,
    runs: watch::Receiver<RunState>,
}

impl RealHost {
    pub(super) async fn attach_session(
        &self,
        uid: &GroupUid,
        request: AttachRequest,
    ) -> Result<ExecSession, HostError> {
        let (group, standing) = (self.group(uid), self.group(uid).running()?);
        let process = self.process_of(&group, &request.container).await?;
        let tty = process.terminal().unwrap_or(false);
        let streams = Streams::open(owner(&standing, &process), request.stdin, !tty)
            .map_err(|error| pipe_failed(&error))?;
        let runs = group.watch(&request.container);
        let runs = runs.ok_or_else(|| not_running(&request.container))?;
        let (keeper, container) = (standing.keeper, request.container);
        let attached = keeper.attach(&container, streams.theirs).await;
        let attached = attached.map_err(|error| exec_failed(&error))?;
        if let Some(size) = request.size.filter(|_| tty) {
            let _ = keeper.resize(&container, size.columns, size.rows).await;
        }
        let joined = Joined {
            keeper,
            container,
            attached,
            runs,
        };
        let (control, controls) = mpsc::channel(CONTROLS_MAX);
        let (tell, exit) = oneshot::channel();
        tokio::spawn(joined.stay(controls, tell));
        Ok(ExecSession {
            stdin: streams.stdin,
            stdout: Some(streams.stdout),
            stderr: streams.stderr,
            control,
            exit,
        })
    }
}

impl Joined {
    /// Carries out what the client asks until the container ends, or the client leaves.
    async fn stay(
        mut self,
        mut controls: mpsc::Receiver<SessionControl>,
        mut tell: oneshot::Sender<Result<SessionExit, HostError>>,
    ) {
        loop {
            // Each arm can be dropped at any time: nothing is taken that is not dealt with.
            tokio::select! {
                exit = code_of(&mut self.runs) => {
                    // The keeper ends the attachment when it has passed on the last byte.
                    let _ = self.attached.wait().await;
                    let _ = tell.send(exit);
                    return;
                }
                Some(control) = controls.recv() => self.control(control).await,
                () = tell.closed() => return,
            }
        }
    }

    async fn control(&self, control: SessionControl) {
        let (keeper, container) = (&self.keeper, &self.container);
        // Either fails only if the container has just ended, which is told otherwise.
        let _ = match control {
            SessionControl::Resize(TerminalSize { columns, rows }) => {
                keeper.resize(container, columns, rows).await
            }
            SessionControl::Signal(signal) => {
                keeper.signal(container, signal.number().into()).await
            }
        };
    }
}

/// How the container that is attached to ends.
async fn code_of(runs: &mut watch::Receiver<RunState>) -> Result<SessionExit, HostError> {
    let ended = runs.wait_for(|run| !run.is_running()).await.map(|run| *run);
    match ended {
        Ok(RunState::Ended { code, .. }) => Ok(SessionExit { code }),
        Ok(RunState::Running { .. }) | Err(_) => Err(lost()),
    }
}

fn lost() -> HostError {
    HostError::new(
        ErrorKind::Unavailable,
        "KeeperLost",
        "the container's keeper is gone",
    )
}
