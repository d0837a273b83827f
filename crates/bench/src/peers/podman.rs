//! podman on storage of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::Output;
use crate::engine::{Engine, IMAGE, MEMORY_LIMIT_BYTES, PAYLOAD, PIDS_LIMIT, Starter};
use crate::scratch::Scratch;

/// Whether a container gets an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// On a bridge, as by default.
    Bridge,
    /// Nothing but loopback.
    None,
}

/// The engine.
pub(crate) struct Podman<'a> {
    network: Network,
    scratch: &'a Scratch,
}

impl<'a> Podman<'a> {
    /// For containers on one kind of network.
    pub(crate) const fn new(network: Network, scratch: &'a Scratch) -> Self {
        Self { network, scratch }
    }

    /// Takes an image from an archive, and makes the bridge.
    pub(crate) fn prepare(&self, archive: &Path) -> Result<()> {
        let mut load = self.command()?;
        self.output()
            .of(load.arg("load").arg("--input").arg(archive))?;
        let mut network = self.command()?;
        let create = network.args(["network", "create", &bridge()]);
        self.output().of(create).map(drop)
    }

    /// Removes the bridge.
    pub(crate) fn end(&self) -> Result<()> {
        let mut remove = self.command()?;
        let removed = remove.args(["network", "rm", "--force", &bridge()]);
        self.output().of(removed).map(drop)
    }

    /// Pulls an image from a registry on this machine.
    pub(crate) fn pull(&self, image: &str) -> Result<()> {
        let mut pull = self.command()?;
        let pull = pull.args(["pull", "--quiet", "--tls-verify=false", image]);
        self.output().of(pull).map(drop)
    }

    /// Removes an image.
    pub(crate) fn forget(&self, image: &str) -> Result<()> {
        let mut remove = self.command()?;
        self.output().of(remove.args(["rmi", image])).map(drop)
    }

    /// How long the payload takes to write so many lines into podman's log file.
    pub(crate) fn log(&self, name: &str, lines: u64) -> Result<Duration> {
        let output = self.output();
        let log = self.scratch.path().join("podman.log");
        let mut run = self.run()?;
        run.args(["--detach", "--name", name, "--log-driver=k8s-file"]);
        run.arg(format!("--log-opt=path={}", log.display()));
        let lines = lines.to_string();
        output.of(run.args([IMAGE, PAYLOAD, "lines", &lines]))?;
        let mut wait = self.command()?;
        output.of(wait.args(["wait", name]))?;
        self.release(name)?;
        let text = std::fs::read_to_string(&log).context("read podman's log")?;
        std::fs::remove_file(&log).context("remove podman's log")?;
        let last = text.lines().rfind(|line| line.contains(" stderr "));
        let ns = last.and_then(|line| line.rsplit(' ').next());
        let ns = ns.context("find the payload's time")?.parse();
        Ok(Duration::from_nanos(ns.context("read the payload's time")?))
    }

    fn output(&self) -> Output<'_> {
        Output::new(self.scratch.path())
    }

    fn command(&self) -> Result<Command> {
        let dir = self.scratch.dir("podman")?;
        let mut command = Command::new("podman");
        command.arg("--root").arg(dir.join("root"));
        command.arg("--runroot").arg(dir.join("run"));
        command.arg("--tmpdir").arg(dir.join("tmp"));
        command
            .arg("--network-config-dir")
            .arg(dir.join("networks"));
        command.args([
            "--cgroup-manager=cgroupfs",
            "--events-backend=none",
            "--storage-driver=overlay",
        ]);
        Ok(command)
    }

    fn run(&self) -> Result<Command> {
        let mut command = self.command()?;
        command.args(["run", "--cpus=1"]);
        command.arg(format!("--memory={MEMORY_LIMIT_BYTES}"));
        command.arg(format!("--pids-limit={PIDS_LIMIT}"));
        // Raising limits needs a capability that a host may not have.
        command.args(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]);
        match self.network {
            Network::Bridge => command.args(["--network", &bridge()]),
            Network::None => command.arg("--network=none"),
        };
        Ok(command)
    }
}

impl Starter for Podman<'_> {
    fn label(&self) -> &'static str {
        match self.network {
            Network::Bridge => "podman run (own address)",
            Network::None => "podman run --network none",
        }
    }

    fn start(&self, name: &str) -> Result<Duration> {
        let mut run = self.run()?;
        let run = run.args(["--rm", "--name", name, IMAGE, PAYLOAD]);
        self.output().stamp(run)
    }
}

impl Engine for Podman<'_> {
    fn hold(&self, name: &str) -> Result<()> {
        let mut run = self.run()?;
        let run = run.args(["--detach", "--name", name, IMAGE, PAYLOAD, "sleep"]);
        self.output().of(run).map(drop)
    }

    fn exec(&self, name: &str) -> Result<Duration> {
        let mut exec = self.command()?;
        self.output().stamp(exec.args(["exec", name, PAYLOAD]))
    }

    fn pid(&self, name: &str) -> Result<u32> {
        let mut inspect = self.command()?;
        let inspect = inspect.args(["inspect", "--format", "{{.State.Pid}}", name]);
        let pid = self.output().of(inspect)?;
        pid.trim().parse().context("read a container's pid")
    }

    fn release(&self, name: &str) -> Result<()> {
        let mut remove = self.command()?;
        let remove = remove.args(["rm", "--force", "--time=0", name]);
        self.output().of(remove).map(drop)
    }
}

/// The name of our own network.
fn bridge() -> String {
    format!("bench{}", std::process::id() % 10_000)
}
