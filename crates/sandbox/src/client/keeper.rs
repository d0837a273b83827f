//! A group's keeper, from outside.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use burstlet_model::ContainerName;
use tokio::sync::{mpsc, oneshot};

use super::ClientError;
use super::connection::{Answered, Connection};
use super::outside::{Table, may_block};
use crate::plan::{ContainerPlan, ExecPlan, MountSource};
use crate::protocol::{AttachmentEnd, Exit, Reply, Request, Snapshot, Started};

/// A connection to a keeper.
pub struct Connected {
    /// The keeper.
    pub keeper: Keeper,
    /// What it tells of its own accord. It is read, or the connection is lost in the end.
    pub events: mpsc::Receiver<KeeperEvent>,
    /// The group's network namespace, if it has its own.
    pub network: Option<OwnedFd>,
}

/// A connection to a keeper that was there already.
pub struct Adopted {
    /// The connection. An end that came between the connection and the snapshot is told by both.
    pub connected: Connected,
    /// What the keeper knows.
    pub snapshot: Snapshot,
}

/// What a keeper tells of its own accord.
#[derive(Clone, Debug, PartialEq)]
pub enum KeeperEvent {
    /// A container has ended; its exit record is on disk.
    Exited {
        /// Which.
        container: ContainerName,
        /// Which start of it.
        attempt: u32,
        /// How.
        exit: Exit,
    },
    /// The connection has ended: the keeper died, or another client took over.
    Lost,
}

/// The streams of a process or an attachment. What is left out is nothing.
#[derive(Debug, Default)]
pub struct StdioFds {
    /// What it reads.
    pub stdin: Option<OwnedFd>,
    /// Where its output goes.
    pub stdout: Option<OwnedFd>,
    /// Where its errors go.
    pub stderr: Option<OwnedFd>,
}

/// How a process started by `exec` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecExit {
    /// Its exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// A running process started by `exec`.
pub struct ExecHandle {
    /// The process, in the host's numbering.
    pub pid: i32,
    /// The master of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    exited: oneshot::Receiver<ExecExit>,
}

impl ExecHandle {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`ClientError::Lost`] if the connection ended before.
    pub async fn wait(self) -> Result<ExecExit, ClientError> {
        self.exited.await.map_err(|_| ClientError::Lost)
    }
}

/// A client's place at a container's streams. Closing the other ends of its descriptors ends it.
pub struct AttachHandle {
    detached: oneshot::Receiver<AttachmentEnd>,
}

impl AttachHandle {
    /// Waits until the keeper ends it.
    ///
    /// # Errors
    /// [`ClientError::Lost`] if the connection ended before.
    pub async fn wait(self) -> Result<AttachmentEnd, ClientError> {
        self.detached.await.map_err(|_| ClientError::Lost)
    }
}

/// A handle to a keeper. Clones share its connection; the last one's end leaves the group alone.
#[derive(Clone)]
pub struct Keeper {
    connection: Connection,
    pid: i32,
}

impl Keeper {
    pub(super) fn new(connection: Connection, pid: i32) -> Self {
        Self { connection, pid }
    }

    /// The keeper's process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Creates a container and, if its plan says so, starts it.
    ///
    /// # Errors
    /// The plan is wrong, its program is missing ([`FailureClass::CommandNotFound`]) or cannot be
    /// executed, or the process did not come out as asked. There is then no such container.
    ///
    /// [`FailureClass::CommandNotFound`]: crate::protocol::FailureClass::CommandNotFound
    pub async fn run(&self, mut plan: ContainerPlan) -> Result<Started, ClientError> {
        let (plan, fds) = if may_block(&plan) {
            let open = move || Table::container(&mut plan).map(|fds| (plan, fds));
            tokio::task::spawn_blocking(open)
                .await
                .map_err(|_| ClientError::WrongAnswer)??
        } else {
            let fds = Table::container(&mut plan)?;
            (plan, fds)
        };
        self.started(
            Request::Run {
                plan: Box::new(plan),
            },
            fds,
        )
        .await
    }

    /// Starts a created container.
    ///
    /// # Errors
    /// It does not wait for its start, or its program cannot be executed.
    pub async fn start(&self, container: &ContainerName) -> Result<Started, ClientError> {
        self.started(
            Request::Start {
                container: container.clone(),
            },
            Vec::new(),
        )
        .await
    }

    async fn started(&self, request: Request, fds: Vec<OwnedFd>) -> Result<Started, ClientError> {
        match self.connection.ask(request, fds).await?.reply {
            Reply::Started(started) => Ok(started),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Runs a process in a running container, isolated as its first process is. With a terminal,
    /// `streams` are not used and the terminal's master is in the handle.
    ///
    /// # Errors
    /// The container does not run, or the program is missing or cannot be executed.
    pub async fn exec(&self, plan: ExecPlan, streams: StdioFds) -> Result<ExecHandle, ClientError> {
        let id = plan.id.clone();
        let mut table = Table::default();
        let mut pass = |fd: Option<OwnedFd>| fd.map(|fd| table.add(fd));
        let (stdin, stdout) = (pass(streams.stdin), pass(streams.stdout));
        let stderr = pass(streams.stderr);
        let request = Request::Exec {
            plan: Box::new(plan),
            stdin,
            stdout,
            stderr,
        };
        let exited = self.connection.expect_exec(&id);
        let answered = match self.connection.ask(request, table.done()?).await {
            Ok(answered) => answered,
            Err(error) => {
                self.connection.forget_exec(&id);
                return Err(error);
            }
        };
        match answered.reply {
            Reply::Executing { pid } => Ok(ExecHandle {
                pid,
                terminal: answered.fds.into_iter().next(),
                exited,
            }),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Copies a container's output from now on to `streams`, and gives it what comes from there.
    /// The input's end is the end of the container's input if its plan says [`Stdin::Once`].
    ///
    /// # Errors
    /// The container does not run, or has too many clients.
    ///
    /// [`Stdin::Once`]: crate::plan::Stdin::Once
    pub async fn attach(
        &self,
        container: &ContainerName,
        streams: StdioFds,
    ) -> Result<AttachHandle, ClientError> {
        let mut table = Table::default();
        let mut pass = |fd: Option<OwnedFd>| fd.map(|fd| table.add(fd));
        let (stdin, stdout) = (pass(streams.stdin), pass(streams.stdout));
        let stderr = pass(streams.stderr);
        let container = container.clone();
        let request = Request::Attach {
            container,
            stdin,
            stdout,
            stderr,
        };
        let answered = self.connection.ask(request, table.done()?).await?;
        let detached = answered.detached.ok_or(ClientError::WrongAnswer)?;
        Ok(AttachHandle { detached })
    }

    /// Sets the size of a container's terminal.
    ///
    /// # Errors
    /// It has none.
    pub async fn resize(
        &self,
        container: &ContainerName,
        columns: u16,
        rows: u16,
    ) -> Result<(), ClientError> {
        self.done(Request::Resize {
            container: container.clone(),
            columns,
            rows,
        })
        .await
    }

    /// Sends a signal to a container's first process.
    ///
    /// # Errors
    /// It does not run.
    pub async fn signal(&self, container: &ContainerName, signo: i32) -> Result<(), ClientError> {
        self.done(Request::Signal {
            container: container.clone(),
            signo,
        })
        .await
    }

    /// Sends a signal to a process started by [`Keeper::exec`].
    ///
    /// # Errors
    /// It does not run.
    pub async fn signal_exec(&self, exec: &str, signo: i32) -> Result<(), ClientError> {
        self.done(Request::SignalExec {
            exec: exec.to_owned(),
            signo,
        })
        .await
    }

    /// Kills all processes of a container. Its end is told by an event.
    ///
    /// # Errors
    /// There is no such container.
    pub async fn kill(&self, container: &ContainerName) -> Result<(), ClientError> {
        self.done(Request::Kill {
            container: container.clone(),
        })
        .await
    }

    /// Gives a memory volume, as a container's plan names it, other files. Containers that have it
    /// mounted find all of them at once, but for those that mounted a path below it.
    ///
    /// # Errors
    /// It is no memory volume, or there is no room for the files. It then has those that it had.
    pub async fn renew(&self, mut volume: MountSource) -> Result<(), ClientError> {
        let fds = Table::memory(&mut volume)?;
        let volume = Box::new(volume);
        let answered = self.connection.ask(Request::Renew { volume }, fds).await?;
        match answered.reply {
            Reply::Done => Ok(()),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Connects to `address` from inside the group's network. The connection does not block.
    ///
    /// # Errors
    /// It was refused, or took too long.
    pub async fn dial(&self, address: SocketAddr) -> Result<OwnedFd, ClientError> {
        let answered = self
            .connection
            .ask(Request::Dial { address }, Vec::new())
            .await?;
        answered
            .fds
            .into_iter()
            .next()
            .ok_or(ClientError::WrongAnswer)
    }

    /// All that the keeper knows.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn snapshot(&self) -> Result<Snapshot, ClientError> {
        self.snapshot_and_network()
            .await
            .map(|(snapshot, _)| snapshot)
    }

    pub(super) async fn snapshot_and_network(
        &self,
    ) -> Result<(Snapshot, Option<OwnedFd>), ClientError> {
        let answered = self.connection.ask(Request::Snapshot, Vec::new()).await?;
        match answered {
            Answered {
                reply: Reply::Snapshot(snapshot),
                mut fds,
                ..
            } => Ok((snapshot, fds.pop())),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Kills everything in the group and ends the keeper. When this returns, all of it is gone.
    ///
    /// # Errors
    /// [`FailureClass::Deadline`] if processes are still there; the keeper then stays and goes on
    /// waiting for them.
    ///
    /// [`FailureClass::Deadline`]: crate::protocol::FailureClass::Deadline
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        self.done(Request::Shutdown).await
    }

    async fn done(&self, request: Request) -> Result<(), ClientError> {
        match self.connection.ask(request, Vec::new()).await?.reply {
            Reply::Done => Ok(()),
            _ => Err(ClientError::WrongAnswer),
        }
    }
}
