//! The launcher, from outside.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use burstlet_model::GroupUid;
use tokio::process::Command;

use super::ClientError;
use super::connection::Connection;
use super::keeper::{Adopted, Connected, Keeper};
use super::outside::Table;
use crate::plan::GroupPlan;
use crate::protocol::{self, Reply, Request};

/// How the launcher is found and started.
#[derive(Clone, Debug)]
pub struct LauncherConfig {
    /// The launcher's binary.
    pub binary: PathBuf,
    /// Where the sockets are.
    pub run_dir: PathBuf,
    /// Where layers and groups are.
    pub state_dir: PathBuf,
    /// Files to write `0` to, so that the launcher is in a cgroup of its own.
    pub join: Vec<PathBuf>,
}

/// The launcher of a node.
#[derive(Clone, Debug)]
pub struct Launcher {
    config: LauncherConfig,
}

impl Launcher {
    /// Names a launcher; nothing is done yet.
    #[must_use]
    pub fn new(config: LauncherConfig) -> Self {
        Self { config }
    }

    /// Makes sure that the launcher runs: asks the one that does, or starts it and waits until it
    /// listens.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn ensure(&self) -> Result<(), ClientError> {
        match self.ping().await {
            Err(error) if is_absent(&error) => self.spawn().await,
            Err(ClientError::Lost) => self.spawn().await,
            answered => answered,
        }
    }

    /// Asks the launcher for a sign of life.
    ///
    /// # Errors
    /// Nobody listens, or the answer does not come.
    pub async fn ping(&self) -> Result<(), ClientError> {
        let (connection, _events) = self.connect()?;
        match connection.ask(Request::Ping, Vec::new()).await?.reply {
            Reply::Done => Ok(()),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Creates a group: namespaces, and a keeper that holds them. Starts the launcher if need be.
    ///
    /// # Errors
    /// The plan names something that is not there, or the keeper could not set the group up; there
    /// is then nothing left of it.
    pub async fn create_group(&self, mut plan: GroupPlan) -> Result<Connected, ClientError> {
        let fds = Table::group(&mut plan)?;
        let connected = match self.connect() {
            Err(error) if is_absent(&error) => {
                self.spawn().await?;
                self.connect()
            }
            connected => connected,
        };
        let (connection, events) = connected?;
        let request = Request::CreateGroup {
            plan: Box::new(plan),
        };
        let mut answered = connection.ask(request, fds).await?;
        match answered.reply {
            Reply::Ready { pid } => Ok(Connected {
                keeper: Keeper::new(connection, pid),
                network: answered.fds.pop(),
                events,
            }),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Connects to the keeper of a group that is there already, taking over from whoever was
    /// connected before.
    ///
    /// # Errors
    /// [`ClientError::NoKeeper`] if the group's keeper is gone, and its containers with it.
    pub async fn adopt(&self, uid: &GroupUid) -> Result<Adopted, ClientError> {
        let path = protocol::keeper_socket(&self.config.run_dir, uid);
        let (connection, events) =
            Connection::open(&path).map_err(|source| match is_unserved(&source) {
                true => ClientError::NoKeeper(uid.clone()),
                false => ClientError::Connect { path, source },
            })?;
        let (snapshot, network) = Keeper::new(connection.clone(), 0)
            .snapshot_and_network()
            .await?;
        let keeper = Keeper::new(connection, snapshot.pid);
        Ok(Adopted {
            connected: Connected {
                keeper,
                network,
                events,
            },
            snapshot,
        })
    }

    /// The groups that have a keeper's socket. Their keepers may be gone all the same.
    ///
    /// # Errors
    /// The run directory cannot be read.
    pub fn groups(&self) -> io::Result<Vec<GroupUid>> {
        let dir = match std::fs::read_dir(self.config.run_dir.join("keepers")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            dir => dir?,
        };
        let uid = |entry: io::Result<std::fs::DirEntry>| -> Option<GroupUid> {
            let name = entry.ok()?.file_name();
            GroupUid::new(name.to_str()?.strip_suffix(".sock")?).ok()
        };
        Ok(dir.filter_map(uid).collect())
    }

    /// Ends the launcher. Keepers and their groups go on.
    ///
    /// # Errors
    /// The answer does not come, as of one that has no descriptors left. That nobody listens is no
    /// error.
    pub async fn quit(&self) -> Result<(), ClientError> {
        let (connection, _events) = match self.connect() {
            Err(error) if is_absent(&error) => return Ok(()),
            connected => connected?,
        };
        connection.ask(Request::Quit, Vec::new()).await.map(drop)
    }

    fn connect(&self) -> Result<ConnectedSocket, ClientError> {
        let path = protocol::launcher_socket(&self.config.run_dir);
        Connection::open(&path).map_err(|source| ClientError::Connect { path, source })
    }

    /// The command ends when the launcher listens, or could not.
    async fn spawn(&self) -> Result<(), ClientError> {
        let LauncherConfig {
            binary,
            run_dir,
            state_dir,
            join,
        } = &self.config;
        let mut command = Command::new(binary);
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
            .arg("--run-dir")
            .arg(run_dir)
            .arg("--state-dir")
            .arg(state_dir);
        for file in join {
            command.arg("--join").arg(file);
        }
        let output = command.output().await;
        let output = output.map_err(|source| ClientError::Spawn {
            path: binary.clone(),
            source,
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(ClientError::LauncherFailed { said })
    }

    /// Where the launcher and the keepers have their sockets.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.config.run_dir
    }
}

type ConnectedSocket = (Connection, tokio::sync::mpsc::Receiver<super::KeeperEvent>);

/// Whether there is no launcher, as against one that has no room for another client.
fn is_absent(error: &ClientError) -> bool {
    matches!(error, ClientError::Connect { source, .. } if is_unserved(source))
}

fn is_unserved(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused)
}
