//! Groups whose image says what becomes of them:
//!
//! | image | what happens |
//! |---|---|
//! | `exits-N` | writes a line to each stream and ends with code N |
//! | `twice` | fails once, is restarted, ends well |
//! | `no-image` | its image cannot be pulled |
//! | `no-program` | its program is not there |
//! | `reads` | runs until its input is closed, then says what it read |
//! | `runs` | runs until a signal ends it |
//! | `backs-off` | has failed, and will be started again when the test is long over |

use std::pin::Pin;
use std::time::Duration;

use burstlet_proto::v1 as api;
use burstlet_proto::v1::container_groups_server::ContainerGroups;
use burstlet_proto::v1::container_status::State;
use burstlet_proto::v1::{ContainerGroup, GroupStatus, attach_request, attach_response};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

use super::agent::Agent;
use super::process;

/// The uid of the one group.
pub(crate) const UID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

type Answer<T> = Result<Response<T>, Status>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ContainerGroups for Agent {
    type WatchStream = Answers<api::WatchResponse>;
    type LogsStream = Answers<api::LogsResponse>;
    type ExecStream = Answers<api::ExecResponse>;
    type AttachStream = Answers<api::AttachResponse>;
    type PortForwardStream = Answers<api::PortForwardResponse>;
    type EventsStream = Answers<api::EventsResponse>;
    type StatsStream = Answers<api::StatsResponse>;

    async fn create(&self, request: Request<api::CreateRequest>) -> Answer<api::CreateResponse> {
        let Some(api::definition::Form::Manifest(text)) =
            request.into_inner().definition.unwrap().form
        else {
            return Err(Status::invalid_argument("no manifest"));
        };
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        if manifest["spec"]["containers"][0]["image"] == "REFUSED" {
            return Err(refusal());
        }
        self.seen().manifest = Some(manifest);
        let finding = api::Finding {
            path: "spec.nodeSelector".to_owned(),
            message: "has no effect here".to_owned(),
            ..api::Finding::default()
        };
        let findings = if text.contains("nodeSelector") {
            vec![finding]
        } else {
            vec![]
        };
        let group = Some(group("Pending", None, 0));
        Ok(Response::new(api::CreateResponse {
            group,
            findings,
            already_existed: false,
        }))
    }

    async fn get(&self, request: Request<api::GetRequest>) -> Answer<ContainerGroup> {
        let asked = request.into_inner().group.unwrap();
        match asked.name.as_str() {
            "web" => Ok(Response::new(group("Running", Some(running()), 0))),
            name => Err(Status::not_found(format!(
                "no group {name} in {}",
                asked.namespace
            ))),
        }
    }

    /// Two pages.
    async fn list(&self, request: Request<api::ListRequest>) -> Answer<api::ListResponse> {
        let is_first = request.into_inner().page_token.is_empty();
        let next_page_token = if is_first {
            "2".to_owned()
        } else {
            String::new()
        };
        let groups = vec![group("Running", Some(running()), 0)];
        Ok(Response::new(api::ListResponse {
            groups,
            next_page_token,
            resource_version: "1".to_owned(),
        }))
    }

    async fn watch(&self, _: Request<api::WatchRequest>) -> Answer<Self::WatchStream> {
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(live(self.clone(), send));
        let change = |group| {
            let r#type = api::watch_response::Type::Modified.into();
            Ok(api::WatchResponse {
                r#type,
                group: Some(group),
            })
        };
        let changes = ReceiverStream::new(receive)
            .map(change)
            .chain(stream::pending());
        Ok(Response::new(changes.boxed()))
    }

    async fn delete(&self, request: Request<api::DeleteRequest>) -> Answer<ContainerGroup> {
        self.seen()
            .deleted
            .push(request.into_inner().group.unwrap().uid);
        Ok(Response::new(group("Terminating", None, 0)))
    }

    async fn logs(&self, request: Request<api::LogsRequest>) -> Answer<Self::LogsStream> {
        let record = |stream: api::LogStream, text: &str| api::LogRecord {
            at: None,
            stream: stream.into(),
            text: text.as_bytes().to_vec(),
        };
        if request.get_ref().group.as_ref().unwrap().name == "web" {
            let lines =
                (0..200_000).map(move |n| record(api::LogStream::Stdout, &format!("{n}\n")));
            let batches = lines.collect::<Vec<_>>();
            let batches = batches.chunks(1000).map(<[_]>::to_vec).collect::<Vec<_>>();
            let batches = batches
                .into_iter()
                .map(|records| Ok(api::LogsResponse { records }));
            return Ok(Response::new(stream::iter(batches).boxed()));
        }
        self.logs.send_modify(|count| *count += 1);
        let follow = request.get_ref().follow;
        let agent = self.clone();
        let records = async move {
            let mut records = vec![
                record(api::LogStream::Stdout, "to stdout\n"),
                record(api::LogStream::Stderr, "to stderr\n"),
            ];
            match agent.image().as_str() {
                "reads" => {
                    let mut input = agent.input.subscribe();
                    let read = input
                        .wait_for(|(_, is_closed)| *is_closed)
                        .await
                        .unwrap()
                        .0
                        .clone();
                    records.push(record(
                        api::LogStream::Stdout,
                        &String::from_utf8(read).unwrap(),
                    ));
                }
                "runs" if follow => {
                    agent
                        .signal
                        .subscribe()
                        .wait_for(|signal| *signal != 0)
                        .await
                        .unwrap();
                }
                _ => {}
            }
            Ok(api::LogsResponse { records })
        };
        Ok(Response::new(stream::once(records).boxed()))
    }

    async fn exec(
        &self,
        request: Request<Streaming<api::ExecRequest>>,
    ) -> Answer<Self::ExecStream> {
        process::exec(request.into_inner())
            .await
            .map(|answers| Response::new(answers.boxed()))
    }

    async fn attach(
        &self,
        request: Request<Streaming<api::AttachRequest>>,
    ) -> Answer<Self::AttachStream> {
        use attach_request::Request as Asked;
        if self.image() == "backs-off" {
            return Err(Status::failed_precondition("the container waits"));
        }
        let (agent, mut requests) = (self.clone(), request.into_inner());
        let (send, receive) = mpsc::channel(4);
        tokio::spawn(async move {
            let started = attach_response::Response::Started(api::ExecStarted {});
            let _ = send
                .send(Ok(api::AttachResponse {
                    response: Some(started),
                }))
                .await;
            while let Ok(Some(request)) = requests.message().await {
                match request.request {
                    Some(Asked::Signal(number)) => {
                        agent.signal.send_replace(number);
                    }
                    // On a terminal this ends the container.
                    Some(Asked::Stdin(bytes)) if bytes == b"x" => {
                        let exit = attach_response::Response::Exit(api::ExecExit { code: 3 });
                        let _ = send
                            .send(Ok(api::AttachResponse {
                                response: Some(exit),
                            }))
                            .await;
                    }
                    Some(Asked::Stdin(bytes)) => {
                        agent.input.send_modify(|input| input.0.extend(bytes));
                    }
                    Some(Asked::CloseStdin(_)) => agent.input.send_modify(|input| input.1 = true),
                    _ => {}
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receive).boxed()))
    }

    /// Answers in capitals.
    async fn port_forward(
        &self,
        request: Request<Streaming<api::PortForwardRequest>>,
    ) -> Answer<Self::PortForwardStream> {
        use api::port_forward_request::Request as Asked;
        use api::port_forward_response::Response as Said;
        let requests = request.into_inner().take_while(|request| {
            let is_close = matches!(
                request,
                Ok(api::PortForwardRequest {
                    request: Some(Asked::Close(_))
                })
            );
            async move { !is_close }
        });
        let answers = requests.map(|request| {
            let said = match request?.request {
                Some(Asked::Data(bytes)) => Said::Data(bytes.to_ascii_uppercase()),
                _ => Said::Connected(api::PortConnected {}),
            };
            Ok(api::PortForwardResponse {
                response: Some(said),
            })
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn wait(&self, request: Request<api::WaitRequest>) -> Answer<ContainerGroup> {
        match request.into_inner().group.unwrap().name.as_str() {
            "done" => Ok(Response::new(group(
                "Failed",
                Some(terminated(7, "Error", "")),
                0,
            ))),
            _ => Err(Status::not_found("it is gone")),
        }
    }

    async fn validate(&self, _: Request<api::ValidateRequest>) -> Answer<api::ValidateResponse> {
        Ok(Response::new(api::ValidateResponse {
            valid: false,
            findings: vec![],
        }))
    }

    async fn export(&self, _: Request<api::ExportRequest>) -> Answer<api::ExportResponse> {
        let manifest = r#"{"kind":"Pod","spec":{"containers":[]}}"#.to_owned();
        Ok(Response::new(api::ExportResponse {
            manifest,
            notes: vec!["a note".to_owned()],
        }))
    }

    async fn policy_report(
        &self,
        _: Request<api::PolicyReportRequest>,
    ) -> Answer<api::PolicyReportResponse> {
        Err(unplayed())
    }

    async fn update(&self, _: Request<api::UpdateRequest>) -> Answer<ContainerGroup> {
        Err(unplayed())
    }

    async fn start(&self, _: Request<api::StartRequest>) -> Answer<ContainerGroup> {
        Err(unplayed())
    }

    async fn stop(&self, request: Request<api::StopRequest>) -> Answer<ContainerGroup> {
        self.seen()
            .stopped
            .push(request.into_inner().group.unwrap().uid);
        Ok(Response::new(group("Stopping", None, 0)))
    }

    async fn restart(&self, _: Request<api::RestartRequest>) -> Answer<ContainerGroup> {
        Err(unplayed())
    }

    async fn events(&self, _: Request<api::EventsRequest>) -> Answer<Self::EventsStream> {
        Err(unplayed())
    }

    async fn stats(&self, _: Request<api::StatsRequest>) -> Answer<Self::StatsStream> {
        Err(unplayed())
    }
}

/// The life of the group, as its image says.
async fn live(agent: Agent, send: mpsc::Sender<ContainerGroup>) {
    let tell = async |phase: &str, state: State, run: u32| {
        let _ = send.send(group(phase, Some(state), run)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let waiting = |reason: &str| {
        let (reason, message) = (reason.to_owned(), "why".to_owned());
        State::Waiting(api::ContainerWaiting { reason, message })
    };
    tell("Pending", waiting("ContainerCreating"), 0).await;
    match agent.image().as_str() {
        "no-image" => tell("Pending", waiting("ErrImagePull"), 0).await,
        "no-program" => {
            let ended = terminated(128, "StartError", "exec \"x\": No such file or directory");
            tell("Failed", ended, 0).await;
        }
        "twice" => {
            tell("Running", running(), 0).await;
            tell("Running", waiting("CrashLoopBackOff"), 0).await;
            tell("Running", running(), 1).await;
            tell("Succeeded", terminated(0, "Completed", ""), 1).await;
        }
        "backs-off" => {
            tell("Running", running(), 0).await;
            tell("Running", waiting("CrashLoopBackOff"), 0).await;
            std::future::pending::<()>().await;
        }
        "runs" => {
            tell("Running", running(), 0).await;
            let mut signal = agent.signal.subscribe();
            let number = *signal.wait_for(|number| *number != 0).await.unwrap();
            let code = 128 + i32::try_from(number).unwrap();
            tell("Failed", terminated(code, "Error", ""), 0).await;
        }
        "reads" => {
            tell("Running", running(), 0).await;
            agent
                .input
                .subscribe()
                .wait_for(|(_, is_closed)| *is_closed)
                .await
                .unwrap();
            tell("Succeeded", terminated(0, "Completed", ""), 0).await;
        }
        image => {
            let code = image.strip_prefix("exits-").unwrap().parse().unwrap();
            tell("Failed", terminated(code, "Error", ""), 0).await;
        }
    }
}

fn group(phase: &str, state: Option<State>, run: u32) -> ContainerGroup {
    let metadata = api::ObjectMeta {
        name: "web".to_owned(),
        namespace: "default".to_owned(),
        uid: UID.to_owned(),
        ..api::ObjectMeta::default()
    };
    let container = api::ContainerStatus {
        name: "main".to_owned(),
        state,
        restart_count: run,
        ..api::ContainerStatus::default()
    };
    let status = GroupStatus {
        phase: phase.to_owned(),
        container_statuses: vec![container],
        ..GroupStatus::default()
    };
    ContainerGroup {
        metadata: Some(metadata),
        spec: None,
        status: Some(status),
    }
}

fn running() -> State {
    State::Running(api::ContainerRunning::default())
}

fn terminated(exit_code: i32, reason: &str, message: &str) -> State {
    State::Terminated(api::ContainerTerminated {
        exit_code,
        reason: reason.to_owned(),
        message: message.to_owned(),
        ..api::ContainerTerminated::default()
    })
}

fn refusal() -> Status {
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("spec.containers[0].image", "has capitals");
    details.add_bad_request_violation("spec.restartPolicy", "is not known");
    Status::with_error_details(
        tonic::Code::InvalidArgument,
        "2 fields are refused",
        details,
    )
}

fn unplayed() -> Status {
    Status::unimplemented("not played")
}
