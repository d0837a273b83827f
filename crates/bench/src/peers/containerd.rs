//! containerd of our own, driven by its client `ctr`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::clock::Instant;
use crate::command::Output;
use crate::engine::{Engine, IMAGE, MEMORY_LIMIT_BYTES, PAYLOAD, Starter};
use crate::scratch::Scratch;

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The daemon and its client.
pub(crate) struct Containerd<'a> {
    child: Child,
    socket: PathBuf,
    scratch: &'a Scratch,
}

impl<'a> Containerd<'a> {
    /// Starts the daemon.
    pub(crate) fn start(scratch: &'a Scratch) -> Result<Self> {
        let dir = scratch.dir("containerd")?;
        let socket = dir.join("sock");
        let config = dir.join("config.toml");
        let text = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{1}\"\n",
            dir.display(),
            socket.display()
        );
        std::fs::write(&config, text).context("write containerd's configuration")?;
        let log = File::create(dir.join("log")).context("create containerd's log")?;
        let child = Command::new("containerd")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share containerd's log")?)
            .stderr(log)
            .spawn()
            .context("run containerd")?;
        let containerd = Self {
            child,
            socket,
            scratch,
        };
        let asked = Instant::now();
        while containerd
            .output()
            .of(containerd.ctr().arg("version"))
            .is_err()
        {
            let waited = Instant::now().since(asked);
            ensure!(waited < PATIENCE, "containerd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(containerd)
    }

    /// Takes an image from an archive.
    pub(crate) fn prepare(&self, archive: &Path) -> Result<()> {
        let mut import = self.ctr();
        self.output()
            .of(import.args(["image", "import"]).arg(archive))
            .map(drop)
    }

    /// Pulls and unpacks an image from a registry on this machine.
    pub(crate) fn pull(&self, image: &str) -> Result<()> {
        let mut pull = self.ctr();
        let pull = pull.args(["image", "pull", "--plain-http", image]);
        self.output().of(pull).map(drop)
    }

    /// Removes an image with all its layers.
    pub(crate) fn forget(&self, image: &str) -> Result<()> {
        let mut remove = self.ctr();
        let remove = remove.args(["image", "rm", "--sync", image]);
        self.output().of(remove).map(drop)
    }

    /// Ends the daemon.
    pub(crate) fn end(mut self) -> Result<()> {
        self.child.kill().context("end containerd")?;
        self.child.wait().context("wait for containerd").map(drop)
    }

    fn output(&self) -> Output<'_> {
        Output::new(self.scratch.path())
    }

    fn ctr(&self) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(&self.socket);
        command
    }

    fn run(&self) -> Command {
        let mut command = self.ctr();
        command.args(["run", "--seccomp", "--cpus=1"]);
        command.arg(format!("--memory-limit={MEMORY_LIMIT_BYTES}"));
        command
    }
}

impl Starter for Containerd<'_> {
    fn label(&self) -> &'static str {
        "ctr run (no address)"
    }

    fn start(&self, name: &str) -> Result<Duration> {
        let mut run = self.run();
        self.output()
            .stamp(run.args(["--rm", IMAGE, name, PAYLOAD]))
    }
}

impl Engine for Containerd<'_> {
    fn hold(&self, name: &str) -> Result<()> {
        let mut run = self.run();
        let run = run.args(["--detach", IMAGE, name, PAYLOAD, "sleep"]);
        self.output().of(run).map(drop)
    }

    fn exec(&self, name: &str) -> Result<Duration> {
        let mut exec = self.ctr();
        let exec = exec.args(["task", "exec", "--exec-id", "stamp", name, PAYLOAD]);
        self.output().stamp(exec)
    }

    fn pid(&self, name: &str) -> Result<u32> {
        let list = self.output().of(self.ctr().args(["task", "list"]))?;
        let rows = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.into_iter().find(|row| row.first() == Some(&name));
        let pid = row.and_then(|row| row.get(1).copied());
        let pid = pid.with_context(|| format!("find the task {name}"))?;
        pid.parse().context("read a container's pid")
    }

    fn release(&self, name: &str) -> Result<()> {
        let mut remove = self.ctr();
        self.output()
            .of(remove.args(["task", "delete", "--force", name]))?;
        let mut remove = self.ctr();
        self.output()
            .of(remove.args(["container", "delete", name]))
            .map(drop)
    }
}
