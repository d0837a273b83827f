//! A port that is served, on loopback.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use burstlet_kubelet_api::{ClientCa, Kubelet, Timeouts, serve, tls_config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backend::{Fake, Rights};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) type Certified = (CertificateDer<'static>, PrivateKeyDer<'static>);

pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    pub(crate) backend: Arc<Fake>,
    /// The authority of the port, and of the clients that it knows.
    pub(crate) authority: Authority,
    pub(crate) ca_file: NamedTempFile,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for a server's address, or a client's name.
    pub(crate) fn certify(&self, address: Option<&str>, user: &str) -> Certified {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = address.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, user);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (certificate.der().clone(), PrivateKeyDer::from(key))
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }
}

impl Port {
    pub(crate) async fn new() -> Self {
        Self::with(Timeouts::default()).await
    }

    /// One whose sessions may not be silent for as long as those of others.
    pub(crate) async fn impatient() -> Self {
        let timeouts = Timeouts {
            idle: Duration::from_millis(1500),
            creation: Duration::from_secs(5),
        };
        Self::with(timeouts).await
    }

    async fn with(timeouts: Timeouts) -> Self {
        let authority = Authority::new();
        let (certificate, key) = authority.certify(Some("127.0.0.1"), "node");
        let provider = ring::default_provider();
        let certified = CertifiedKey::from_der(vec![certificate], key, &provider).unwrap();
        let client_ca = ClientCa::new();
        client_ca.replace(&[authority.der()]).unwrap();
        let backend = Arc::new(Fake::default());
        let kubelet = Kubelet {
            backend: Arc::clone(&backend),
            guard: Rights,
            tls: tls_config(Arc::new(SingleCertAndKey::from(certified))).unwrap(),
            client_ca,
            timeouts,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(kubelet, listener, stop.clone()));
        let mut ca_file = NamedTempFile::new().unwrap();
        ca_file.write_all(authority.0.pem().as_bytes()).unwrap();
        Self {
            address,
            backend,
            authority,
            ca_file,
            stop,
            served,
        }
    }
}
