//! Probes and hooks, made inside the group: commands by exec, connections from its network.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::spec::{HookAction, HttpGet, ProbeAction};
use burstlet_model::{ContainerName, ErrorKind, GroupUid};
use burstlet_supervisor::host::{HostError, ProbeResult};
use burstlet_supervisor::stream::{ExecRequest, SessionExit};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::RealHost;
use super::exec::dial;
use super::group::Standing;
use super::http::{self, Answer};

/// Of a command's output, kept for people.
const OUTPUT_BYTES_MAX: u64 = 1024;
const HOOK_FAILED: &str = "HookFailed";

/// What came of a try.
type Tried = Result<(), String>;

impl RealHost {
    pub(super) async fn probe_once(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        action: &ProbeAction,
        timeout: Duration,
    ) -> Result<ProbeResult, HostError> {
        let standing = self.group(uid).running()?;
        let own = own_address(&standing);
        let attempt = async {
            match action {
                ProbeAction::Exec(command) => {
                    let tried = self.command(uid, container, command).await;
                    tried.map(said)
                }
                ProbeAction::HttpGet(get) => Ok(judged(request(&standing, get).await)),
                ProbeAction::TcpSocket { host, port } => {
                    Ok(said(connect(&standing, host.as_deref(), *port).await))
                }
                ProbeAction::Grpc { port, service } => {
                    Ok(said(health(&standing, own, *port, service).await))
                }
            }
        };
        let tried = tokio::time::timeout(timeout, attempt).await;
        tried.unwrap_or_else(|_| {
            let late = format!("no answer within {} s", timeout.as_secs());
            Ok(ProbeResult::Failure(late))
        })
    }

    pub(super) async fn hook(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        action: &HookAction,
        timeout: Duration,
    ) -> Result<(), HostError> {
        let standing = self.group(uid).running()?;
        let attempt = async {
            match action {
                HookAction::Exec(command) => self.command(uid, container, command).await,
                HookAction::HttpGet(get) => Ok(request(&standing, get).await.map(drop)),
                HookAction::Sleep { duration_s } => {
                    tokio::time::sleep(Duration::from_secs((*duration_s).into())).await;
                    Ok(Ok(()))
                }
            }
        };
        let tried = tokio::time::timeout(timeout, attempt).await.map_err(|_| {
            let text = format!("the hook did not end within {} s", timeout.as_secs());
            HostError::new(ErrorKind::DeadlineExceeded, HOOK_FAILED, text)
        })?;
        tried?.map_err(|seen| HostError::new(ErrorKind::FailedPrecondition, HOOK_FAILED, seen))
    }

    /// Runs a command; exit 0 is success. When this is dropped at a deadline, the command is ended.
    async fn command(
        &self,
        uid: &GroupUid,
        container: &ContainerName,
        command: &[String],
    ) -> Result<Tried, HostError> {
        let request = ExecRequest {
            container: container.clone(),
            command: command.to_vec(),
            tty: None,
            stdin: false,
        };
        let session = match self.exec_session(uid, request).await {
            Ok(session) => session,
            // That the command is not there is the container's fault, not the prober's.
            Err(error) if error.kind() == ErrorKind::Invalid => return Ok(Err(error.message)),
            Err(error) => return Err(error),
        };
        let output = async {
            let mut kept = Vec::new();
            for stream in [session.stdout, session.stderr].into_iter().flatten() {
                drain(stream, &mut kept).await;
            }
            kept
        };
        let (kept, exit) = tokio::join!(output, session.exit);
        match exit {
            Ok(Ok(SessionExit { code: 0 })) => Ok(Ok(())),
            Ok(Ok(SessionExit { code })) => {
                let shown = String::from_utf8_lossy(&kept)
                    .trim()
                    .escape_debug()
                    .to_string();
                Ok(Err(format!(
                    "command {command:?} exited with {code}: {shown}"
                )))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(HostError::new(
                ErrorKind::Unavailable,
                HOOK_FAILED,
                "the command's end was not told",
            )),
        }
    }
}

/// Keeps the beginning and reads the rest away, so that the command is never held back.
async fn drain(mut stream: impl AsyncRead + Unpin, kept: &mut Vec<u8>) {
    let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len() as u64);
    if (&mut stream).take(room).read_to_end(kept).await.is_ok() {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
}

fn own_address(standing: &Standing) -> IpAddr {
    standing
        .sandbox
        .ip
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn said(tried: Tried) -> ProbeResult {
    match tried {
        Ok(()) => ProbeResult::Success,
        Err(seen) => ProbeResult::Failure(seen),
    }
}

/// What an answer says of a container. One that leads to another host is not followed there, and a
/// success all the same: the words are a kubelet's.
fn judged(answer: Result<Answer, String>) -> ProbeResult {
    match answer {
        Ok(answer) if answer.status.is_redirection() => ProbeResult::Warning(format!(
            "Probe terminated redirects, Response body: {}",
            answer.shown
        )),
        Ok(_) => ProbeResult::Success,
        Err(seen) => ProbeResult::Failure(seen),
    }
}

/// Asks; an answer is a success.
async fn request(standing: &Standing, get: &HttpGet) -> Result<Answer, String> {
    let keeper = &standing.keeper;
    let dialled = |address| {
        let keeper = keeper.clone();
        async move {
            dial(&keeper, address)
                .await
                .map_err(|error| error.to_string())
        }
    };
    let answer = http::get(get, own_address(standing), dialled)
        .await
        .map_err(|error| error.to_string())?;
    if answer.is_success() {
        Ok(answer)
    } else {
        Err(format!(
            "HTTP status {}: {}",
            answer.status.as_u16(),
            answer.shown
        ))
    }
}

async fn connect(standing: &Standing, host: Option<&str>, port: u16) -> Tried {
    let address =
        http::target(host, port, own_address(standing)).map_err(|error| error.to_string())?;
    dial(&standing.keeper, address)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

async fn health(standing: &Standing, own: IpAddr, port: u16, service: &str) -> Tried {
    let address = std::net::SocketAddr::new(own, port);
    let keeper = Arc::new(standing.keeper.clone());
    let connector = tower::service_fn(move |_| {
        let keeper = Arc::clone(&keeper);
        async move {
            dial(&keeper, address)
                .await
                .map(TokioIo::new)
                .map_err(std::io::Error::other)
        }
    });
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
    let channel = endpoint.connect_with_connector(connector).await;
    let channel = channel.map_err(|error| super::failure::chain(&error))?;
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = HealthClient::new(channel)
        .check(request)
        .await
        .map_err(|status| status.message().to_owned())?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(format!("service {service:?} is {}", other.as_str_name())),
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    #[test]
    fn what_an_answer_says() {
        let answer = |status| {
            Ok(Answer {
                status,
                shown: "<a href=\"http://192.0.2.1/\">Found</a>.".to_owned(),
            })
        };
        assert_eq!(judged(answer(StatusCode::OK)), ProbeResult::Success);
        let warning = "Probe terminated redirects, Response body: \
                       <a href=\"http://192.0.2.1/\">Found</a>.";
        let warning = ProbeResult::Warning(warning.to_owned());
        assert_eq!(judged(answer(StatusCode::FOUND)), warning);
        let failure = ProbeResult::Failure("no".to_owned());
        assert_eq!(judged(Err("no".to_owned())), failure);
    }
}
