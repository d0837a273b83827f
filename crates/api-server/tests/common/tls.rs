//! An edge over TCP, and callers with certificates.

use std::path::PathBuf;

use burstlet_api_server::{Door, RatesByNamespace, Tls, TlsParts, serve};
use burstlet_metering::Meter;
use burstlet_model::Secret;
use burstlet_proto::v1;
use burstlet_proto::v1::container_groups_client::ContainerGroupsClient;
use burstlet_supervisor::Quotas;
use burstlet_testkit::host::ScriptedHost;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// An authority, and certificates of it.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this host, with this URI if it is not empty, and its key.
    pub fn issue(&self, uri: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        if !uri.is_empty() {
            let uri = SanType::URI(uri.try_into().unwrap());
            params.subject_alt_names.push(uri);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// TLS of a server of one authority, for clients of another.
pub fn tls(servers: &Authority, clients: &Authority) -> Tls {
    let (certificate, key) = servers.issue("");
    let parts = TlsParts {
        certificate: certificate.into_bytes(),
        key: Secret::new(key.into_bytes()),
        client_ca: Some(clients.pem().into_bytes()),
        takes_tokens: false,
    };
    Tls::new(&parts).unwrap()
}

/// A connection to a port of this host.
pub async fn channel(
    port: u16,
    ca: &Authority,
    identity: Option<(String, String)>,
) -> Result<Channel, String> {
    let mut tls = ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(ca.pem()));
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{port}")).unwrap();
    let connected = endpoint.tls_config(tls).unwrap().connect().await;
    connected.map_err(|error| error.to_string())
}

/// An edge over TCP.
pub struct TlsEdge {
    servers: Authority,
    clients: Authority,
    port: u16,
    dir: tempfile::TempDir,
    shutdown: CancellationToken,
    pub host: ScriptedHost,
}

impl TlsEdge {
    pub async fn start(quotas: Quotas, rates: RatesByNamespace) -> Self {
        let (servers, clients) = (Authority::new(), Authority::new());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_, tls) = watch::channel(tls(&servers, &clients));
        let (host, shutdown) = (ScriptedHost::new(), CancellationToken::new());
        let api = super::api_with(&host, &Meter::default(), &shutdown, quotas, rates);
        let dir = tempfile::tempdir().unwrap();
        let gate = super::gate(dir.path());
        let doors = vec![Door::Tcp(listener, tls)];
        tokio::spawn(serve(api, doors, gate, super::nobody(), shutdown.clone()));
        Self {
            servers,
            clients,
            port,
            dir,
            shutdown,
            host,
        }
    }

    /// A connection of somebody whose certificate has this URI.
    pub async fn channel(&self, uri: &str) -> Channel {
        let identity = self.clients.issue(uri);
        let channel = channel(self.port, &self.servers, Some(identity)).await;
        channel.unwrap()
    }

    /// The groups, for somebody whose identity ends so: `role/admin`.
    pub async fn groups(&self, whose: &str) -> ContainerGroupsClient<Channel> {
        let uri = format!("spiffe://burstlet/{whose}");
        ContainerGroupsClient::new(self.channel(&uri).await)
    }

    /// Creates a group of one container.
    pub async fn create(&self, namespace: &str, name: &str) -> v1::ContainerGroup {
        let create = super::create(&definition(namespace, name), "");
        let created = self.groups("role/admin").await.create(create).await;
        created.unwrap().into_inner().group.unwrap()
    }

    /// The audit trail.
    pub fn trail(&self) -> Vec<Value> {
        let path: PathBuf = self.dir.path().join("audit/audit.log");
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for TlsEdge {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A group of one container, which asks for a processor and a mebibyte.
pub fn definition(namespace: &str, name: &str) -> String {
    serde_json::json!({
        "apiVersion": "burstlet.dev/v1",
        "kind": "ContainerGroup",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{
            "name": "main",
            "image": "busybox:1",
            "resources": {"requests": {"cpu": "10m", "memory": "1Mi"}},
        }]},
    })
    .to_string()
}
