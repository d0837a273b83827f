//! Who comes in, and who does not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::os::unix::fs::PermissionsExt;

use burstlet_api_server::{Door, DoorError, Tls, bind_unix, serve};
use burstlet_metering::Meter;
use burstlet_model::Secret;
use burstlet_proto::v1;
use burstlet_proto::v1::node_client::NodeClient;
use burstlet_testkit::host::ScriptedHost;
use common::tls::{Authority, channel};
use tokio::net::{TcpListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

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

#[tokio::test]
async fn tcp_needs_a_certificate_of_the_right_authority() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let (certificate, key) = servers.issue("");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let shutdown = CancellationToken::new();
    let api = common::api(&ScriptedHost::new(), &Meter::default(), &shutdown);
    let tls = Tls {
        certificate,
        key: Secret::new(key),
        client_ca: Some(clients.pem()),
    };
    let doors = vec![Door::Tcp(listener, tls)];
    let dir = tempfile::tempdir().unwrap();
    let gate = common::gate(dir.path());
    let server = tokio::spawn(serve(api, doors, gate, common::nobody(), shutdown.clone()));
    connect(
        port,
        &servers,
        Some(clients.issue("spiffe://burstlet/role/admin")),
    )
    .await
    .unwrap();
    connect(port, &servers, None).await.unwrap_err();
    connect(
        port,
        &servers,
        Some(strangers.issue("spiffe://burstlet/role/admin")),
    )
    .await
    .unwrap_err();
    let unnamed = connect(port, &servers, Some(clients.issue(""))).await;
    assert!(unnamed.unwrap_err().contains("exactly one URI"));
    shutdown.cancel();
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn bad_certificates_are_told() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let shutdown = CancellationToken::new();
    let api = common::api(&ScriptedHost::new(), &Meter::default(), &shutdown);
    let tls = Tls {
        certificate: "no".to_owned(),
        key: Secret::new("no".to_owned()),
        client_ca: Some("no".to_owned()),
    };
    let doors = vec![Door::Tcp(listener, tls)];
    let dir = tempfile::tempdir().unwrap();
    let gate = common::gate(dir.path());
    let served = serve(api, doors, gate, common::nobody(), shutdown).await;
    let error = served.unwrap_err();
    assert_eq!(error.to_string(), "set up TLS for the API");
}
