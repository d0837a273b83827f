//! One request: who, what, whether, and then it is done.

use std::sync::Arc;

use burstlet_model::ErrorKind;
use burstlet_stream_wire::{
    CommandWire, ForwardWire, SpdyCommand, SpdyForward, Wanted, WebSocketCommand, WebSocketForward,
};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use crate::access::{Guard, Identity};
use crate::backend::{
    AttachRequest, Backend, ContainerPath, Document, ExecRequest, PodPath, Session,
};
use crate::body::{Answer, JSON, LOG, METRICS, TEXT, answer, refusal, streamed};
use crate::client::Client;
use crate::credentials::{authenticate, authorize};
use crate::link::Link;
use crate::query::Query;
use crate::refused::Refused;
use crate::route::{Route, route};
use crate::serve::Kubelet;
use crate::sessions::{Audit, Outcome, Sessions};
use crate::upgrade::{self, CommandUpgrade, ForwardUpgrade};
use crate::{command, forward, logs};

/// Answers a request of the client that a certificate names, if one does.
pub(crate) async fn handle<B: Backend, G: Guard>(
    kubelet: &Kubelet<B, G>,
    sessions: &Sessions,
    by_certificate: Option<&Identity>,
    request: Request<Incoming>,
) -> Answer {
    let asked = Asking {
        kubelet,
        sessions,
        by_certificate,
    };
    asked
        .answer(request)
        .await
        .unwrap_or_else(|refusal| *refusal)
}

struct Asking<'a, B, G> {
    kubelet: &'a Kubelet<B, G>,
    sessions: &'a Sessions,
    by_certificate: Option<&'a Identity>,
}

type Answered = Result<Answer, Box<Answer>>;

impl From<Refused> for Box<Answer> {
    fn from(refused: Refused) -> Self {
        Self::new(refusal(&refused))
    }
}

impl<B: Backend, G: Guard> Asking<'_, B, G> {
    async fn answer(&self, mut request: Request<Incoming>) -> Answered {
        let guard = &self.kubelet.guard;
        let who = authenticate(guard, self.by_certificate, request.headers()).await?;
        let (route, needed) = route(request.method(), request.uri().path());
        authorize(guard, &who, needed).await?;
        let query = Query::parse(request.uri().query())?;
        match route {
            Route::Health => Ok(answer(StatusCode::OK, TEXT, "ok")),
            Route::Document(document) => self.document(document, &query).await,
            Route::Logs(container) => self.logs(container, &query).await,
            Route::Exec(container) => self.exec(who, &container, &query, &mut request),
            Route::Attach(container) => self.attach(who, &container, &query, &mut request),
            Route::PortForward(pod) => self.forward(who, pod, &query, &mut request),
            Route::Nothing => Ok(answer(StatusCode::NOT_FOUND, TEXT, "404 page not found")),
            Route::OtherMethod => {
                let status = StatusCode::METHOD_NOT_ALLOWED;
                Ok(answer(status, TEXT, "405: Method Not Allowed"))
            }
        }
    }

    async fn document(&self, document: Document, query: &Query) -> Answered {
        let (document, kind) = match document {
            Document::StatsSummary { .. } => {
                let only_cpu_and_memory = query.only_cpu_and_memory()?;
                let document = Document::StatsSummary {
                    only_cpu_and_memory,
                };
                (document, JSON)
            }
            Document::Pods | Document::RunningPods | Document::Configuration => (document, JSON),
            Document::Metrics
            | Document::MetricsResource
            | Document::MetricsCadvisor
            | Document::MetricsProbes
            | Document::MetricsBilling => (document, METRICS),
        };
        let text = self.kubelet.backend.document(document).await?;
        Ok(answer(StatusCode::OK, kind, text))
    }

    async fn logs(&self, container: ContainerPath, query: &Query) -> Answered {
        let asked = query.log()?;
        let backend = &self.kubelet.backend;
        let records = backend.logs(container, asked.request).await?;
        let text = logs::text(records, asked.timestamps, asked.limit_bytes);
        Ok(streamed(LOG, text))
    }

    fn exec(
        &self,
        who: Identity,
        container: &ContainerPath,
        query: &Query,
        request: &mut Request<Incoming>,
    ) -> Answered {
        let (wanted, command) = (query.wanted()?, query.command()?);
        let audit = audit(who, "exec", container, command.clone());
        let exec = ExecRequest {
            command,
            stdin: wanted.stdin,
            tty: wanted.tty,
        };
        let (backend, of) = (Arc::clone(&self.kubelet.backend), container.clone());
        let start = async move { backend.exec(of, exec).await };
        let asked = Asked {
            audit,
            wanted,
            what: "error executing command in container",
        };
        self.command(container, asked, start, request)
    }

    fn attach(
        &self,
        who: Identity,
        container: &ContainerPath,
        query: &Query,
        request: &mut Request<Incoming>,
    ) -> Answered {
        let wanted = query.wanted()?;
        let audit = audit(who, "attach", container, Vec::new());
        let attach = AttachRequest {
            stdin: wanted.stdin,
            tty: wanted.tty,
        };
        let (backend, of) = (Arc::clone(&self.kubelet.backend), container.clone());
        let start = async move { backend.attach(of, attach).await };
        let asked = Asked {
            audit,
            wanted,
            what: "error attaching to container",
        };
        self.command(container, asked, start, request)
    }

    fn command(
        &self,
        container: &ContainerPath,
        asked: Asked,
        start: impl Future<Output = Result<Session, Refused>> + Send + 'static,
        request: &mut Request<Incoming>,
    ) -> Answered {
        let (pod, name) = (&container.pod, &container.container);
        self.kubelet.backend.admit(pod, Some(name))?;
        let (upgrade, answer) = upgrade::command(request.headers())?;
        let place = self.sessions.enter()?;
        let sessions = self.sessions.clone();
        let (wanted, what) = (asked.wanted, asked.what);
        self.upgraded(place, asked.audit, request, move |upgraded| async move {
            match upgrade {
                CommandUpgrade::Spdy(protocol) => {
                    let wire = SpdyCommand::new(protocol, wanted);
                    let client = Client::new(Link::bytes(upgraded), wire);
                    run_command(client, start, what, sessions).await
                }
                CommandUpgrade::WebSocket(protocol) => {
                    let wire = WebSocketCommand::new(protocol, wanted);
                    let client = Client::new(Link::messages(upgraded).await, wire);
                    run_command(client, start, what, sessions).await
                }
            }
        });
        Ok(answer)
    }

    fn forward(
        &self,
        who: Identity,
        pod: PodPath,
        query: &Query,
        request: &mut Request<Incoming>,
    ) -> Answered {
        self.kubelet.backend.admit(&pod, None)?;
        let (upgrade, answer) = upgrade::forward(request.headers())?;
        let channels = match upgrade {
            ForwardUpgrade::WebSocket(protocol) => Some(ports(protocol, query)?),
            ForwardUpgrade::Spdy | ForwardUpgrade::Tunnel => None,
        };
        let place = self.sessions.enter()?;
        let audit = Audit {
            who,
            verb: "port-forward",
            pod: pod.clone(),
            container: None,
            command: Vec::new(),
        };
        let (backend, sessions) = (Arc::clone(&self.kubelet.backend), self.sessions.clone());
        let dial = move |port| {
            let (backend, pod) = (Arc::clone(&backend), pod.clone());
            async move { backend.dial(pod, port).await }
        };
        self.upgraded(place, audit, request, move |upgraded| async move {
            let link = match upgrade {
                ForwardUpgrade::Spdy => Link::bytes(upgraded),
                _ => Link::messages(upgraded).await,
            };
            match channels {
                Some(wire) => run_forward(Client::new(link, wire), dial, sessions).await,
                None => run_forward(Client::new(link, SpdyForward::new()), dial, sessions).await,
            }
        });
        Ok(answer)
    }

    /// Runs a session when the client has read the answer that grants it.
    fn upgraded<F>(
        &self,
        place: OwnedSemaphorePermit,
        audit: Audit,
        request: &mut Request<Incoming>,
        session: impl FnOnce(Upgraded) -> F + Send + 'static,
    ) where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let upgrading: OnUpgrade = hyper::upgrade::on(request);
        self.sessions.spawn(place, audit, async move {
            match upgrading.await {
                Ok(upgraded) => session(upgraded).await,
                Err(error) => {
                    let message = format!("the connection was not handed over: {error}");
                    Outcome::Failed(Refused::new(ErrorKind::Unavailable, message))
                }
            }
        });
    }
}

/// A session that is asked for.
struct Asked {
    audit: Audit,
    wanted: Wanted,
    /// What a failure says first.
    what: &'static str,
}

fn audit(
    who: Identity,
    verb: &'static str,
    container: &ContainerPath,
    command: Vec<String>,
) -> Audit {
    Audit {
        who,
        verb,
        pod: container.pod.clone(),
        container: Some(container.container.to_string()),
        command,
    }
}

fn ports(
    protocol: burstlet_stream_wire::ChannelProtocol,
    query: &Query,
) -> Result<WebSocketForward, Refused> {
    let max = burstlet_stream_wire::PORTS_MAX;
    let wire = WebSocketForward::new(protocol, &query.ports()?);
    wire.ok_or_else(|| Refused::invalid(format!("query parameter \"port\" needs 1 to {max} ports")))
}

async fn run_command<W: CommandWire>(
    client: Client<W>,
    start: impl Future<Output = Result<Session, Refused>>,
    what: &str,
    sessions: Sessions,
) -> Outcome {
    command::run(client, start, what, sessions.timeouts, sessions.stop).await
}

async fn run_forward<W, D, F>(client: Client<W>, dial: D, sessions: Sessions) -> Outcome
where
    W: ForwardWire,
    D: Fn(u16) -> F,
    F: Future<Output = Result<crate::backend::PortStream, Refused>> + Send + 'static,
{
    forward::run(client, dial, sessions.timeouts, sessions.stop).await
}
