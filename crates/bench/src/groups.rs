//! The API's calls, on a connection that stays open.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use burstlet_proto::v1::container_groups_client::ContainerGroupsClient;
use burstlet_proto::v1::{self, wait_request::Condition};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use crate::clock::Instant;
use crate::command::first_number;
use crate::engine::{IMAGE, MEMORY_LIMIT_BYTES, PAYLOAD};

/// How long anything may take that should take milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// What a group asks for of the processors: little, so that no start waits for room.
const CPU_REQUEST: Asks = Asks::Part("1m");
/// What it may use.
const CPU_LIMIT: &str = "1";
/// The group's only container.
const CONTAINER: &str = "main";

/// What a group asks for of the processors.
#[derive(Clone, Copy)]
pub(crate) enum Asks {
    /// This, of one that it may use whole.
    Part(&'static str),
    /// All that it may use, as who wants a processor of his own.
    Whole,
}

/// The calls that are measured.
#[derive(Clone)]
pub(crate) struct Groups(ContainerGroupsClient<Channel>);

impl Groups {
    /// Over a connection that is there.
    pub(crate) fn over(channel: Channel) -> Self {
        Self(ContainerGroupsClient::new(channel))
    }

    /// Creates a group of one container that runs the payload.
    pub(crate) async fn create(&mut self, name: &str, task: &[&str]) -> Result<()> {
        self.create_asking(name, task, CPU_REQUEST).await
    }

    /// The same, which asks for so much of the processors.
    pub(crate) async fn create_asking(
        &mut self,
        name: &str,
        task: &[&str],
        asks: Asks,
    ) -> Result<()> {
        let request = v1::CreateRequest {
            definition: Some(definition(name, task, asks)),
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

    /// Runs a command in a group's container, and returns what it printed.
    pub(crate) async fn exec(&mut self, name: &str, command: &[&str]) -> Result<String> {
        let start = v1::ExecStart {
            group: reference(name),
            command: command.iter().copied().map(str::to_owned).collect(),
            ..v1::ExecStart::default()
        };
        let request = v1::ExecRequest {
            request: Some(v1::exec_request::Request::Start(start)),
        };
        let answer = self.0.exec(tokio_stream::once(request)).await;
        let mut answers = answer
            .with_context(|| format!("exec in {name}"))?
            .into_inner();
        let mut text = Vec::new();
        while let Some(message) = answers.message().await.context("read an exec")? {
            match message.response {
                Some(v1::exec_response::Response::Stdout(bytes)) => text.extend(bytes),
                Some(v1::exec_response::Response::Exit(exit)) => {
                    ensure!(exit.code == 0, "the command ended with {}", exit.code);
                }
                _ => {}
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn definition(name: &str, task: &[&str], asks: Asks) -> v1::Definition {
    let words = std::iter::once(PAYLOAD).chain(task.iter().copied());
    let limits = [
        ("cpu", CPU_LIMIT.to_owned()),
        ("memory", MEMORY_LIMIT_BYTES.to_string()),
    ];
    let requests = match asks {
        Asks::Part(cpu) => [("cpu", cpu.to_owned()), ("memory", "4Mi".to_owned())],
        Asks::Whole => limits.clone(),
    };
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

/// Connects to an agent's socket as soon as it listens.
pub(crate) async fn connect(socket: &Path) -> Result<Channel> {
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
