//! Who comes in, and who does not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::os::unix::fs::PermissionsExt;

use burstlet_api_server::{Door, DoorError, ServeError, Tls, TlsParts, bind_unix, serve};
use burstlet_metering::Meter;
use burstlet_model::Secret;
use burstlet_proto::v1;
use burstlet_proto::v1::node_client::NodeClient;
use burstlet_testkit::host::ScriptedHost;
use common::tls::{Authority, channel, tls};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

const ADMIN: &str = "spiffe://burstlet/role/admin";

#[tokio::test]
async fn only_the_owner_can_open_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let first = bind_unix(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(matches!(bind_unix(&path), Err(DoorError::InUse(_))));
    drop(first);
    // What an earlier agent left behind is replaced.
    let second = bind_unix(&path).unwrap();
    UnixStream::connect(&path).await.unwrap();
    drop(second);
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(bind_unix(&file), Err(DoorError::NotASocket(_))));
    assert!(matches!(
        bind_unix(&dir.path().join("no/where")),
        Err(DoorError::Listen { .. })
    ));
}

#[tokio::test]
async fn health_and_reflection_answer() {
    let edge = common::Edge::start().await;
    let mut health = HealthClient::new(edge.channel.clone());
    for service in [
        "",
        "burstlet.v1.ContainerGroups",
        "burstlet.v1.Images",
        "burstlet.v1.Node",
    ] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
}

async fn connect(
    port: u16,
    ca: &Authority,
    identity: Option<(String, String)>,
) -> Result<(), String> {
    let channel = channel(port, ca, identity).await?;
    let answer = NodeClient::new(channel).info(v1::NodeInfoRequest {}).await;
    answer.map(drop).map_err(|status| status.to_string())
}

/// A server by TCP, whose TLS can be replaced.
struct Served {
    port: u16,
    tls: watch::Sender<Tls>,
    shutdown: CancellationToken,
    server: JoinHandle<Result<(), ServeError>>,
    _dir: TempDir,
}

impl Served {
    async fn start(tls: Tls) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shutdown = CancellationToken::new();
        let api = common::api(&ScriptedHost::new(), &Meter::default(), &shutdown);
        let (tls, shown) = watch::channel(tls);
        let doors = vec![Door::Tcp(listener, shown)];
        let dir = tempfile::tempdir().unwrap();
        let gate = common::gate(dir.path());
        let server = tokio::spawn(serve(api, doors, gate, common::nobody(), shutdown.clone()));
        Self {
            port,
            tls,
            shutdown,
            server,
            _dir: dir,
        }
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn tcp_needs_a_certificate_of_the_right_authority() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let served = Served::start(tls(&servers, &clients)).await;
    let port = served.port;
    connect(port, &servers, Some(clients.issue(ADMIN)))
        .await
        .unwrap();
    connect(port, &servers, None).await.unwrap_err();
    connect(port, &servers, Some(strangers.issue(ADMIN)))
        .await
        .unwrap_err();
    let unnamed = connect(port, &servers, Some(clients.issue(""))).await;
    assert!(unnamed.unwrap_err().contains("exactly one URI"));
    served.end().await;
}

/// Who comes in next is served by what is new; who is in stays.
#[tokio::test]
async fn certificates_are_replaced_while_the_door_is_open() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let served = Served::start(tls(&servers, &clients)).await;
    let port = served.port;
    let old = clients.issue(ADMIN);
    let stays = channel(port, &servers, Some(old.clone())).await.unwrap();
    let mut stays = NodeClient::new(stays);
    stays.info(v1::NodeInfoRequest {}).await.unwrap();

    let (new_servers, new_clients) = (Authority::new(), Authority::new());
    served.tls.send_replace(tls(&new_servers, &new_clients));
    let new = new_clients.issue(ADMIN);
    connect(port, &new_servers, Some(new.clone()))
        .await
        .unwrap();
    connect(port, &new_servers, Some(old)).await.unwrap_err();
    connect(port, &servers, Some(new)).await.unwrap_err();
    stays.info(v1::NodeInfoRequest {}).await.unwrap();
    drop(stays);
    served.end().await;
}

/// A client that begins no handshake holds up nobody.
#[tokio::test]
async fn the_silent_hold_up_nobody() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let served = Served::start(tls(&servers, &clients)).await;
    let silent = TcpStream::connect(("127.0.0.1", served.port))
        .await
        .unwrap();
    connect(served.port, &servers, Some(clients.issue(ADMIN)))
        .await
        .unwrap();
    drop(silent);
    served.end().await;
}

#[test]
fn bad_certificates_are_told() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let (certificate, key) = servers.issue("");
    let made = |certificate: &str, key: &str, ca: &str| {
        let parts = TlsParts {
            certificate: certificate.as_bytes().to_vec(),
            key: Secret::new(key.as_bytes().to_vec()),
            client_ca: Some(ca.as_bytes().to_vec()),
            takes_tokens: false,
        };
        Tls::new(&parts)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let (ca, other) = (clients.pem(), servers.issue("").1);
    assert_eq!(made(&certificate, &key, &ca), Ok(()));
    for (certificate, key, ca, expected) in [
        (
            "no",
            &*key,
            &*ca,
            "read the API's certificate: there is no certificate in it",
        ),
        (&certificate, "no", &ca, "read the API's key"),
        (
            &certificate,
            &other,
            &ca,
            "use the API's certificate and key",
        ),
        (
            &certificate,
            &key,
            "no",
            "read the API's authority of clients: there is no certificate in it",
        ),
    ] {
        let error = made(certificate, key, ca).unwrap_err();
        assert_eq!(error, expected);
    }
}
