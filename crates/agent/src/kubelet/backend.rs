//! The groups of pods behind the kubelet's port.

use std::sync::Arc;
use std::time::Duration;

use burstlet_kubelet_api::{
    AttachRequest, Backend, ContainerPath, Document, ExecRequest, LogRecord, LogRequest, LogStream,
    PodPath, PortStream, Refused, Session, Since,
};
use burstlet_model::{ContainerName, ErrorKind, GroupName, WallTime};
use burstlet_supervisor::host::HostError;
use burstlet_supervisor::record::Origin;
use burstlet_supervisor::stream::{self, ExecSession, SessionControl, TerminalSize};
use burstlet_supervisor::{Groups, Refusal, Snapshot};
use tokio::sync::mpsc;

use super::documents::Documents;
use super::place;
use crate::host::RealHost;
use crate::machine;

/// What a terminal is until the client has told its size.
const TERMINAL: TerminalSize = TerminalSize {
    columns: 80,
    rows: 24,
};
/// Sizes that wait to be passed on; only the last counts.
const SIZES_MAX: usize = 4;
/// Records read ahead of a client.
const RECORDS_MAX: usize = 64;

/// The pods of this node.
pub(super) struct Pods {
    pub(super) groups: Groups<RealHost>,
    pub(super) heard: burstlet_kube_node::Pods,
    pub(super) documents: Documents,
}

impl Backend for Pods {
    async fn document(&self, document: Document) -> Result<String, Refused> {
        self.documents.make(document).await
    }

    fn admit(&self, pod: &PodPath, container: Option<&ContainerName>) -> Result<(), Refused> {
        let snapshot = self.group(pod)?;
        match container {
            Some(container) => place::running(&snapshot, container),
            None => Ok(()),
        }
    }

    async fn exec(&self, of: ContainerPath, request: ExecRequest) -> Result<Session, Refused> {
        let snapshot = self.group(&of.pod)?;
        let request = stream::ExecRequest {
            container: of.container,
            command: request.command,
            tty: request.tty.then_some(TERMINAL),
            stdin: request.stdin,
        };
        let begun = self.groups.exec(&snapshot.uid, request).await;
        begun.map(session).map_err(|refusal| refused(&refusal))
    }

    async fn attach(&self, of: ContainerPath, request: AttachRequest) -> Result<Session, Refused> {
        let snapshot = self.group(&of.pod)?;
        let request = stream::AttachRequest {
            container: of.container,
            stdin: request.stdin,
            // The terminal keeps its size until the client tells its own.
            size: None,
        };
        let joined = self.groups.attach(&snapshot.uid, request).await;
        joined.map(session).map_err(|refusal| refused(&refusal))
    }

    async fn dial(&self, pod: PodPath, port: u16) -> Result<PortStream, Refused> {
        let snapshot = self.group(&pod)?;
        let dialled = self.groups.dial(&snapshot.uid, port).await;
        dialled.map_err(|refusal| refused(&refusal))
    }

    async fn logs(
        &self,
        of: ContainerPath,
        request: LogRequest,
    ) -> Result<mpsc::Receiver<Result<LogRecord, Refused>>, Refused> {
        let snapshot = self.group_of(&of)?;
        if snapshot.status.container(of.container.as_str()).is_none() {
            // One that was added to the pod, and not to its group.
            return Err(place::no_group_of(&of, self.heard(&of.pod).as_ref()));
        }
        place::has_log(&snapshot, &of, request.previous)?;
        let wanted = log_request(of.container.clone(), &request, machine::now().wall);
        let records = self.groups.logs(&snapshot.uid, wanted).await;
        let records = records.map_err(|refusal| match refusal.kind() {
            ErrorKind::FailedPrecondition | ErrorKind::NotFound => place::log_is_gone(&of),
            _ => refused(&refusal),
        })?;
        Ok(pass_on(records))
    }
}

impl Pods {
    /// The group of a pod.
    fn group(&self, pod: &PodPath) -> Result<Arc<Snapshot>, Refused> {
        self.find(pod)
            .ok_or_else(|| place::no_group(pod, self.heard(pod).as_ref()))
    }

    /// The same for who asks about a container.
    fn group_of(&self, of: &ContainerPath) -> Result<Arc<Snapshot>, Refused> {
        self.find(&of.pod)
            .ok_or_else(|| place::no_group_of(of, self.heard(&of.pod).as_ref()))
    }

    fn find(&self, pod: &PodPath) -> Option<Arc<Snapshot>> {
        let name = GroupName {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
        };
        let group = self.groups.find_of(Origin::Kubernetes, &name).ok()?;
        let snapshot = group.snapshot();
        place::is_pod(&snapshot, pod).then_some(snapshot)
    }

    fn heard(&self, pod: &PodPath) -> Option<burstlet_kube_node::HeardPod> {
        self.heard.find(pod.namespace.as_str(), pod.name.as_str())
    }
}

fn session(session: ExecSession) -> Session {
    let ExecSession {
        stdin,
        stdout,
        stderr,
        control,
        exit,
    } = session;
    let (sizes, mut sizes_told) = mpsc::channel(SIZES_MAX);
    tokio::spawn(async move {
        while let Some(size) = sizes_told.recv().await {
            let burstlet_kubelet_api::TerminalSize { columns, rows } = size;
            let size = SessionControl::Resize(TerminalSize { columns, rows });
            if control.send(size).await.is_err() {
                return;
            }
        }
    });
    Session {
        stdin,
        stdout,
        stderr,
        sizes,
        exit: Box::pin(async move {
            match exit.await {
                Ok(Ok(exit)) => Ok(exit.code),
                Ok(Err(error)) => Err(failed(&error)),
                Err(_) => Err(Refused::new(ErrorKind::Unavailable, "the agent goes down")),
            }
        }),
    }
}

fn log_request(
    container: ContainerName,
    request: &LogRequest,
    now: WallTime,
) -> stream::LogRequest {
    stream::LogRequest {
        container,
        follow: request.follow,
        tail_lines: request.tail_lines,
        since: request.since.map(|since| match since {
            Since::Time(time) => time,
            Since::Seconds(seconds) => {
                let nanos = Duration::from_secs(seconds).as_nanos();
                WallTime(
                    now.0
                        .saturating_sub(i64::try_from(nanos).unwrap_or(i64::MAX)),
                )
            }
        }),
        until: None,
        previous: request.previous,
        stream: request.stream.map(|stream| match stream {
            LogStream::Stdout => stream::LogStream::Stdout,
            LogStream::Stderr => stream::LogStream::Stderr,
        }),
        // The port counts its times of day, too.
        limit_bytes: None,
    }
}

fn pass_on(
    mut records: mpsc::Receiver<Result<stream::LogRecord, HostError>>,
) -> mpsc::Receiver<Result<LogRecord, Refused>> {
    let (send, received) = mpsc::channel(RECORDS_MAX);
    tokio::spawn(async move {
        loop {
            // Either can be dropped at any time: a record is passed on or still there.
            let record = tokio::select! {
                record = records.recv() => record,
                () = send.closed() => return,
            };
            let Some(record) = record else { return };
            let record = record.map_err(|error| failed(&error));
            let record = record.map(|stream::LogRecord { at, text, .. }| LogRecord { at, text });
            if send.send(record).await.is_err() {
                return;
            }
        }
    });
    received
}

fn refused(refusal: &Refusal) -> Refused {
    Refused::new(refusal.kind(), refusal.to_string())
}

fn failed(error: &HostError) -> Refused {
    Refused::new(error.kind(), error.message.clone())
}
