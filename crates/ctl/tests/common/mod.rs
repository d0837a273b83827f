//! `burstctl` as a process, against a server in the test that plays an agent.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod agent;
pub(crate) mod groups;
pub(crate) mod images;
pub(crate) mod process;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use agent::Agent;

/// What no test here takes.
const TEST_SECONDS_MAX: u64 = 60;

/// A playing agent with its socket.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) agent: Agent,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let agent = Agent::serve(&dir.path().join("agent.sock"));
        Self { dir, agent }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command(&self.path("agent.sock"), args)
    }

    /// Runs a command with nothing on its standard input.
    pub(crate) async fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, b"").await
    }

    /// Runs a command with this on its standard input.
    pub(crate) async fn run_with(&self, args: &[&str], stdin: &[u8]) -> Done {
        let mut child = piped(self.command(args));
        let mut pipe = child.stdin.take().unwrap();
        let stdin = stdin.to_vec();
        // What is left over when the command ends is of no interest.
        tokio::spawn(async move { pipe.write_all(&stdin).await });
        done(child).await
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.agent.stop();
    }
}

/// The command with pipes for its streams.
pub(crate) fn piped(mut command: Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.kill_on_drop(true).spawn().unwrap()
}

/// Waits for the end.
pub(crate) async fn done(child: Child) -> Done {
    let limit = Duration::from_secs(TEST_SECONDS_MAX);
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    Done {
        code: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

fn command(socket: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_burstctl"));
    command
        .env_clear()
        .env("BURSTLET_ADDRESS", socket)
        .args(args);
    command
}
