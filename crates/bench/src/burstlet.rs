//! Burstlet's agent, with one connection that stays open.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use burstlet_proto::v1::container_groups_client::ContainerGroupsClient;
use burstlet_proto::v1::images_client::ImagesClient;
use burstlet_proto::v1::import_images_request::Request;
use burstlet_proto::v1::{self, wait_request::Condition};
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

use crate::clock::Instant;
use crate::command::{Output, first_number};
use crate::engine::{Engine, IMAGE, MEMORY_LIMIT_BYTES, PAYLOAD, Starter};
use crate::scratch::Scratch;

/// How long anything may take that should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of one piece of an archive.
const PIECE_BYTES: usize = 256 * 1024;
/// The group's only container.
const CONTAINER: &str = "main";

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
        let dir = scratch.dir("burstlet")?;
        let config = dir.join("burstlet.toml");
        std::fs::write(&config, configuration(&dir)).context("write the agent's configuration")?;
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
        Groups(ContainerGroupsClient::new(self.channel.clone()))
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
        self.runtime.block_on(self.groups().exec(name))
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

/// The calls that are measured.
#[derive(Clone)]
pub(crate) struct Groups(ContainerGroupsClient<Channel>);

impl Groups {
    /// Creates a group of one container that runs the payload.
    pub(crate) async fn create(&mut self, name: &str, task: &[&str]) -> Result<()> {
        let request = v1::CreateRequest {
            definition: Some(definition(name, task)),
            request_id: String::new(),
        };
        let created = self.0.create(request).await;
        created
            .map(drop)
            .with_context(|| format!("create group {name}"))
    }

    /// Waits for a group.
    pub(crate) async fn wait(
        &mut self,
        name: &str,
        until: Condition,
    ) -> Result<v1::ContainerGroup> {
        let mut request = v1::WaitRequest {
            group: reference(name),
            timeout: Some(PATIENCE.into()),
            ..v1::WaitRequest::default()
        };
        request.set_condition(until);
        let answer = self.0.wait(request).await;
        let group = answer.with_context(|| format!("wait for group {name}"))?;
        Ok(group.into_inner())
    }

    /// Deletes a group at once, and waits until it is gone.
    pub(crate) async fn remove(&mut self, name: &str) -> Result<()> {
        let mut waiting = self.clone();
        let gone = waiting.wait(name, Condition::Deleted);
        let request = v1::DeleteRequest {
            group: reference(name),
            grace_period_seconds: Some(0),
        };
        let deleted = async {
            let answer = self.0.delete(request).await;
            answer.with_context(|| format!("delete group {name}"))
        };
        tokio::try_join!(deleted, gone).map(drop)
    }

    /// The last line that a group's container wrote to one of its streams.
    pub(crate) async fn last_line(&mut self, name: &str, stream: v1::LogStream) -> Result<String> {
        let mut request = v1::LogsRequest {
            group: reference(name),
            tail_lines: Some(1),
            ..v1::LogsRequest::default()
        };
        request.set_stream(stream);
        let answer = self.0.logs(request).await;
        let mut records = answer
            .with_context(|| format!("read the log of {name}"))?
            .into_inner();
        let mut text = Vec::new();
        while let Some(batch) = records.message().await.context("read a log")? {
            text.extend(batch.records.into_iter().flat_map(|record| record.text));
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Request to first instruction; the group is gone afterwards.
    pub(crate) async fn start(&mut self, name: &str) -> Result<Duration> {
        let asked = Instant::now();
        self.create(name, &["stamp"]).await?;
        self.wait(name, Condition::Finished).await?;
        let line = self.last_line(name, v1::LogStream::Stdout).await?;
        let began = first_number(&line)?;
        self.remove(name).await?;
        Ok(began.since(asked))
    }

    async fn exec(&mut self, name: &str) -> Result<Duration> {
        let start = v1::ExecStart {
            group: reference(name),
            command: vec![PAYLOAD.to_owned(), "stamp".to_owned()],
            ..v1::ExecStart::default()
        };
        let request = v1::ExecRequest {
            request: Some(v1::exec_request::Request::Start(start)),
        };
        let asked = Instant::now();
        let answer = self.0.exec(tokio_stream::once(request)).await;
        let mut answers = answer.context("exec the payload")?.into_inner();
        let mut text = Vec::new();
        while let Some(message) = answers.message().await.context("read an exec")? {
            match message.response {
                Some(v1::exec_response::Response::Stdout(bytes)) => text.extend(bytes),
                Some(v1::exec_response::Response::Exit(exit)) => {
                    ensure!(exit.code == 0, "the payload ended with {}", exit.code);
                }
                _ => {}
            }
        }
        Ok(first_number(&String::from_utf8_lossy(&text))?.since(asked))
    }
}

fn definition(name: &str, task: &[&str]) -> v1::Definition {
    let words = std::iter::once(PAYLOAD).chain(task.iter().copied());
    let limits = [
        ("cpu", "1".to_owned()),
        ("memory", MEMORY_LIMIT_BYTES.to_string()),
    ];
    // Small requests, so that no start waits for room.
    let requests = [("cpu", "1m".to_owned()), ("memory", "4Mi".to_owned())];
    let own = |(word, quantity): (&str, String)| (word.to_owned(), quantity);
    let container = v1::Container {
        name: CONTAINER.to_owned(),
        image: IMAGE.to_owned(),
        command: words.map(str::to_owned).collect(),
        resources: Some(v1::ResourceRequirements {
            requests: requests.map(own).into(),
            limits: limits.map(own).into(),
        }),
        ..v1::Container::default()
    };
    let group = v1::ContainerGroup {
        metadata: Some(v1::ObjectMeta {
            name: name.to_owned(),
            ..v1::ObjectMeta::default()
        }),
        spec: Some(v1::GroupSpec {
            containers: vec![container],
            restart_policy: "Never".to_owned(),
            ..v1::GroupSpec::default()
        }),
        status: None,
    };
    v1::Definition {
        form: Some(v1::definition::Form::Group(group)),
    }
}

fn reference(name: &str) -> Option<v1::GroupRef> {
    Some(v1::GroupRef {
        name: name.to_owned(),
        ..v1::GroupRef::default()
    })
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

async fn connect(socket: &Path) -> Result<Channel> {
    let socket = socket.to_owned();
    let endpoint = Endpoint::from_static("http://burstlet");
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let path = socket.clone();
        let dial = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        match endpoint.connect_with_connector(dial).await {
            Ok(channel) => return Ok(channel),
            Err(error) if tokio::time::Instant::now() >= until => {
                return Err(error).context("connect to the agent");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
