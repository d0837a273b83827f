//! Live streams into a running container: exec, and connections to its ports.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burstlet_model::{ContainerName, ErrorKind, GroupUid};
use burstlet_sandbox::client::{ClientError, ExecExit, ExecHandle, Keeper, StdioFds};
use burstlet_sandbox::plan::ExecPlan;
use burstlet_supervisor::host::HostError;
use burstlet_supervisor::stream::{
    ExecRequest, ExecSession, PortStream, Reader, SessionControl, SessionExit, TerminalSize, Writer,
};
use oci_spec::runtime::Process;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::RealHost;
use super::failure::{aborted, fail};
use super::group::{Group, Standing};
use super::pipes::{self, Owner};
use super::run_file::RunFile;
use super::terminal::Terminal;

/// Resizes and signals that wait to be carried out.
pub(super) const CONTROLS_MAX: usize = 16;
const EXEC_FAILED: &str = "ExecFailed";
const SIGKILL: i32 = 9;

/// Tells the processes of this agent apart; those of earlier agents have another prefix.
static EXECS: AtomicU64 = AtomicU64::new(0);

/// Our ends of a session's streams, and the process's.
pub(super) struct Streams {
    pub(super) stdin: Option<Writer>,
    pub(super) stdout: Reader,
    pub(super) stderr: Option<Reader>,
    pub(super) theirs: StdioFds,
}

impl RealHost {
    pub(super) async fn exec_session(
        &self,
        uid: &GroupUid,
        request: ExecRequest,
    ) -> Result<ExecSession, HostError> {
        let (group, standing) = (self.group(uid), self.group(uid).running()?);
        let process = self.process_of(&group, &request.container).await?;
        let plan = exec_plan(&request, process.clone());
        match request.tty {
            Some(size) => on_terminal(standing.keeper, plan, size, request.stdin).await,
            None => {
                let owner = owner(&standing, &process);
                on_pipes(standing.keeper, plan, owner, request.stdin).await
            }
        }
    }

    /// Connects to a port as a process of the group would: on loopback, of either family.
    pub(super) async fn dial_port(
        &self,
        uid: &GroupUid,
        port: u16,
    ) -> Result<PortStream, HostError> {
        let group = self.group(uid);
        let keeper = group.keeper()?;
        let _turn = group.dials.acquire().await;
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let error = match dial(&keeper, v4).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let second = dial(&keeper, v6).await;
        second.map_err(|_| fail(error.kind(), "DialFailed", &error))
    }

    /// The process that a running container runs.
    pub(super) async fn process_of(
        &self,
        group: &Arc<Group>,
        container: &ContainerName,
    ) -> Result<Process, HostError> {
        let running = group
            .watch(container)
            .is_some_and(|watch| watch.borrow().is_running());
        if !running {
            return Err(not_running(container));
        }
        let (of, name) = (Arc::clone(group), container.clone());
        let parts = Arc::clone(&self.parts);
        let read = tokio::task::spawn_blocking(move || {
            let file = RunFile::read(of.layout.dir(), &name)?;
            file.process(parts.records.vault(), (of.layout.dir(), &name))
        });
        let process = read.await.map_err(|error| aborted(&error))?;
        process.map_err(|error| {
            HostError::new(
                ErrorKind::Internal,
                EXEC_FAILED,
                format!("read what container {container} runs: {error}"),
            )
        })
    }
}

/// Runs a process whose three streams are pipes.
async fn on_pipes(
    keeper: Keeper,
    plan: ExecPlan,
    owner: Owner,
    stdin: bool,
) -> Result<ExecSession, HostError> {
    let id = plan.id.clone();
    let streams = Streams::open(owner, stdin, true).map_err(|error| pipe_failed(&error))?;
    let handle = begin(keeper.clone(), plan, streams.theirs).await?;
    let (control, exit) = drive_exec(keeper, id, handle, None);
    Ok(ExecSession {
        stdin: streams.stdin,
        stdout: Some(streams.stdout),
        stderr: streams.stderr,
        control,
        exit,
    })
}

/// Runs a process that has a terminal.
async fn on_terminal(
    keeper: Keeper,
    plan: ExecPlan,
    size: TerminalSize,
    stdin: bool,
) -> Result<ExecSession, HostError> {
    let id = plan.id.clone();
    let mut handle = begin(keeper.clone(), plan, StdioFds::default()).await?;
    let master = handle
        .terminal
        .take()
        .ok_or_else(|| exec_failed(&ClientError::WrongAnswer))?;
    let terminal = Terminal::new(master).map_err(|error| pipe_failed(&error))?;
    // A size that cannot be set is no reason to end a session that runs.
    let _ = terminal.resize(size);
    let (control, exit) = drive_exec(keeper, id, handle, Some(terminal.clone()));
    Ok(ExecSession {
        stdin: stdin.then(|| Box::new(terminal.clone()) as Writer),
        stdout: Some(Box::new(terminal)),
        stderr: None,
        control,
        exit,
    })
}

/// A connection made inside the group's network.
pub(super) async fn dial(keeper: &Keeper, address: SocketAddr) -> Result<TcpStream, ClientError> {
    let stream = std::net::TcpStream::from(keeper.dial(address).await?);
    let ready = stream
        .set_nonblocking(true)
        .and_then(|()| TcpStream::from_std(stream));
    ready.map_err(ClientError::Send)
}

/// Starts a process. If nobody waits any more when it runs, it is ended.
async fn begin(keeper: Keeper, plan: ExecPlan, theirs: StdioFds) -> Result<ExecHandle, HostError> {
    let id = plan.id.clone();
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let begun = keeper.exec(plan, theirs).await;
        if let Err(Ok(_unwanted)) = tell.send(begun) {
            // It fails only if the process has ended already.
            let _ = keeper.signal_exec(&id, SIGKILL).await;
        }
    });
    let begun = told.await.unwrap_or(Err(ClientError::Lost));
    begun.map_err(|error| exec_failed(&error))
}

impl Streams {
    pub(super) fn open(owner: Owner, stdin: bool, stderr: bool) -> io::Result<Self> {
        let (stdout, their_stdout) = pipes::output(owner)?;
        let input = stdin.then(|| pipes::input(owner)).transpose()?;
        let errors = stderr.then(|| pipes::output(owner)).transpose()?;
        let (stdin, their_stdin) = input.unzip();
        let (stderr, their_stderr) = errors.unzip();
        let theirs = StdioFds {
            stdin: their_stdin,
            stdout: Some(their_stdout),
            stderr: their_stderr,
        };
        Ok(Self {
            stdin,
            stdout,
            stderr,
            theirs,
        })
    }
}

/// Who a process is on the host.
pub(super) fn owner(standing: &Standing, process: &Process) -> Owner {
    let user = process.user();
    Owner {
        uid: standing.id_base.saturating_add(user.uid()),
        gid: standing.id_base.saturating_add(user.gid()),
    }
}

pub(super) fn exec_plan(request: &ExecRequest, mut process: Process) -> ExecPlan {
    process.set_args(Some(request.command.clone()));
    process.set_terminal(Some(request.tty.is_some()));
    if request.tty.is_some() {
        let mut env = process.env().clone().unwrap_or_default();
        if !env.iter().any(|variable| variable.starts_with("TERM=")) {
            env.push("TERM=xterm".to_owned());
        }
        process.set_env(Some(env));
    }
    let number = EXECS.fetch_add(1, Ordering::Relaxed);
    ExecPlan {
        id: format!("{}-{number}", std::process::id()),
        container: request.container.clone(),
        process,
    }
}

/// Carries out what the client asks until the process ends; a client that leaves ends it.
fn drive_exec(
    keeper: Keeper,
    id: String,
    handle: ExecHandle,
    terminal: Option<Terminal>,
) -> (
    mpsc::Sender<SessionControl>,
    oneshot::Receiver<Result<SessionExit, HostError>>,
) {
    let (control, mut controls) = mpsc::channel(CONTROLS_MAX);
    let (mut tell, exit) = oneshot::channel();
    tokio::spawn(async move {
        let ended = handle.wait();
        tokio::pin!(ended);
        let mut left = false;
        loop {
            tokio::select! {
                exit = &mut ended => {
                    let _ = tell.send(exit.map(|exit| session_exit(&exit)).map_err(|e| exec_failed(&e)));
                    return;
                }
                Some(control) = controls.recv() => match (control, &terminal) {
                    (SessionControl::Resize(size), Some(terminal)) => drop(terminal.resize(size)),
                    (SessionControl::Resize(_), None) => {}
                    (SessionControl::Signal(signal), _) => {
                        let _ = keeper.signal_exec(&id, signal.number().into()).await;
                    }
                },
                () = tell.closed(), if !left => {
                    left = true;
                    let _ = keeper.signal_exec(&id, SIGKILL).await;
                }
            }
        }
    });
    (control, exit)
}

pub(super) fn session_exit(exit: &ExecExit) -> SessionExit {
    SessionExit {
        code: exit
            .code
            .unwrap_or_else(|| 128 + exit.signal.unwrap_or(SIGKILL)),
    }
}

pub(super) fn exec_failed(error: &ClientError) -> HostError {
    use burstlet_sandbox::protocol::FailureClass;
    let reason = match error {
        ClientError::Refused(failure) => match failure.class {
            FailureClass::CommandNotFound => "CommandNotFound",
            FailureClass::CommandNotExecutable => "CommandNotExecutable",
            _ => EXEC_FAILED,
        },
        _ => EXEC_FAILED,
    };
    fail(error.kind(), reason, error)
}

pub(super) fn pipe_failed(error: &io::Error) -> HostError {
    HostError::new(
        ErrorKind::Internal,
        EXEC_FAILED,
        format!("open a stream: {error}"),
    )
}

pub(super) fn not_running(container: &ContainerName) -> HostError {
    let text = format!("container {container} is not running");
    HostError::new(ErrorKind::FailedPrecondition, "NotRunning", text)
}
