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
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
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

/// An authority, and certificates of it.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

async fn connect(
    port: u16,
    ca: &Authority,
    identity: Option<(String, String)>,
) -> Result<(), String> {
    let mut tls = ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(ca.0.pem()));
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let channel: Channel = Endpoint::from_shared(format!("https://127.0.0.1:{port}"))
        .unwrap()
        .tls_config(tls)
        .unwrap()
        .connect()
        .await
        .map_err(|error| error.to_string())?;
    let answer = NodeClient::new(channel).info(v1::NodeInfoRequest {}).await;
    answer.map(drop).map_err(|status| status.to_string())
}

#[tokio::test]
async fn tcp_needs_a_certificate_of_the_right_authority() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let (certificate, key) = servers.issue("localhost");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let shutdown = CancellationToken::new();
    let api = common::api(&ScriptedHost::new(), &Meter::default(), &shutdown);
    let tls = Tls {
        certificate,
        key: Secret::new(key),
        client_ca: clients.0.pem(),
    };
    let doors = vec![Door::Tcp(listener, tls)];
    let server = tokio::spawn(serve(api, doors, common::nobody(), shutdown.clone()));
    connect(port, &servers, Some(clients.issue("alice")))
        .await
        .unwrap();
    connect(port, &servers, None).await.unwrap_err();
    connect(port, &servers, Some(strangers.issue("mallory")))
        .await
        .unwrap_err();
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
        client_ca: "no".to_owned(),
    };
    let doors = vec![Door::Tcp(listener, tls)];
    let served = serve(api, doors, common::nobody(), shutdown).await;
    let error = served.unwrap_err();
    assert_eq!(error.to_string(), "set up TLS for the API");
}
