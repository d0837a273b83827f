//! Burstlet's agent, with one connection that stays open.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use burstlet_proto::v1::images_client::ImagesClient;
use burstlet_proto::v1::import_images_request::Request;
use burstlet_proto::v1::{self, wait_request::Condition};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::clock::Instant;
use crate::command::{Output, first_number};
use crate::engine::{Engine, PAYLOAD, Starter};
use crate::groups::{Groups, connect};
use crate::scratch::Scratch;

/// Bytes of one piece of an archive.
const PIECE_BYTES: usize = 256 * 1024;

/// An agent of our own and a client of it.
pub(crate) struct Burstlet<'a> {
    program: PathBuf,
    config: PathBuf,
    scratch: &'a Scratch,
    child: Child,
    channel: Channel,
    runtime: &'a Runtime,
}

impl<'a> Burstlet<'a> {
    /// Starts an agent on directories, a bridge and cgroups of its own.
    pub(crate) fn start(
        programs: &Path,
        scratch: &'a Scratch,
        runtime: &'a Runtime,
    ) -> Result<Self> {
        Self::start_with(programs, scratch, runtime, "")
    }

    /// The same with more sections of its configuration.
    pub(crate) fn start_with(
        programs: &Path,
        scratch: &'a Scratch,
        runtime: &'a Runtime,
        more: &str,
    ) -> Result<Self> {
        let dir = scratch.dir("burstlet")?;
        let config = dir.join("burstlet.toml");
        let text = configuration(&dir) + more;
        std::fs::write(&config, text).context("write the agent's configuration")?;
        let program = programs.join("burstlet");
        let log = File::create(dir.join("log")).context("create the agent's log")?;
        let child = Command::new(&program)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the agent's log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("run {}", program.display()))?;
        let socket = dir.join("run/burstlet.sock");
        let channel = runtime.block_on(connect(&socket)).with_context(|| {
            format!("reach the agent; its log is {}", dir.join("log").display())
        })?;
        Ok(Self {
            program,
            config,
            scratch,
            child,
            channel,
            runtime,
        })
    }

    /// The agent's process.
    pub(crate) fn agent_pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn runtime(&self) -> &'a Runtime {
        self.runtime
    }

    pub(crate) fn groups(&self) -> Groups {
        Groups::over(self.channel.clone())
    }

    pub(crate) fn import(&self, archive: &Path) -> Result<()> {
        let bytes =
            std::fs::read(archive).with_context(|| format!("read {}", archive.display()))?;
        let pieces = bytes.chunks(PIECE_BYTES);
        let data = pieces.map(|piece| Request::Data(piece.to_vec()));
        let start = Request::Start(v1::ImportStart::default());
        let requests: Vec<_> = std::iter::once(start)
            .chain(data)
            .map(|request| v1::ImportImagesRequest {
                request: Some(request),
            })
            .collect();
        let mut images = ImagesClient::new(self.channel.clone());
        let import = images.import(tokio_stream::iter(requests));
        self.runtime.block_on(import).context("import an image")?;
        Ok(())
    }

    /// Pulls an image.
    pub(crate) fn pull(&self, image: &str) -> Result<()> {
        let request = v1::PullImageRequest {
            image: image.to_owned(),
            ..v1::PullImageRequest::default()
        };
        let mut images = ImagesClient::new(self.channel.clone());
        self.runtime.block_on(async {
            let answer = images.pull(request).await.context("ask for a pull")?;
            let mut progress = answer.into_inner();
            while progress.message().await.context("pull an image")?.is_some() {}
            Ok(())
        })
    }

    /// Removes an image with all its layers.
    pub(crate) fn forget(&self, image: &str) -> Result<()> {
        let image = image.to_owned();
        let mut images = ImagesClient::new(self.channel.clone());
        self.runtime.block_on(async {
            let request = v1::RemoveImageRequest { image };
            images.remove(request).await.context("remove an image")?;
            let request = v1::PruneImagesRequest { all: false };
            images.prune(request).await.context("prune the store")?;
            Ok(())
        })
    }

    /// Ends the agent and removes every trace of it.
    pub(crate) fn end(mut self) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).context("stop the agent")?;
        self.child.wait().context("wait for the agent")?;
        let mut uninstall = Command::new(&self.program);
        uninstall.arg("--config").arg(&self.config);
        let output = Output::new(self.scratch.path());
        output.of(uninstall.args(["uninstall", "--yes"])).map(drop)
    }
}

impl Starter for Burstlet<'_> {
    fn label(&self) -> &'static str {
        "Burstlet (gRPC, own address)"
    }

    fn start(&self, name: &str) -> Result<Duration> {
        self.runtime.block_on(self.groups().start(name))
    }
}

impl Engine for Burstlet<'_> {
    fn hold(&self, name: &str) -> Result<()> {
        let mut groups = self.groups();
        self.runtime.block_on(async {
            groups.create(name, &["sleep"]).await?;
            groups.wait(name, Condition::Running).await.map(drop)
        })
    }

    fn exec(&self, name: &str) -> Result<Duration> {
        let asked = Instant::now();
        let mut groups = self.groups();
        let exec = groups.exec(name, &[PAYLOAD, "stamp"]);
        let printed = self.runtime.block_on(exec)?;
        Ok(first_number(&printed)?.since(asked))
    }

    fn pid(&self, name: &str) -> Result<u32> {
        let mut groups = self.groups();
        let group = groups.wait(name, Condition::Running);
        let status = self.runtime.block_on(group)?.status.unwrap_or_default();
        let state = status.container_statuses.into_iter().next();
        match state.and_then(|container| container.state) {
            Some(v1::container_status::State::Running(running)) => Ok(running.pid),
            _ => anyhow::bail!("group {name} does not run"),
        }
    }

    fn release(&self, name: &str) -> Result<()> {
        self.runtime.block_on(self.groups().remove(name))
    }
}

/// Two runs at once on one machine differ in their process ids.
fn configuration(dir: &Path) -> String {
    let (dir, own) = (dir.display(), std::process::id() % 10_000);
    let (high, low) = (100 + own / 250 % 40, own % 250);
    format!(
        "state_dir = \"{dir}/state\"\nrun_dir = \"{dir}/run\"\ncgroup_root = \"bb{own}\"\n\
         [admin]\nlisten = \"\"\n[network]\nbridge = \"bb{own}\"\nsubnet = \"10.{high}.{low}.0/24\"\n\
         address_quarantine_s = 0\n[registries.\"{}\"]\nplain_http = true\n",
        crate::pull::REGISTRY
    )
}
