//! TLS of the TCP door. What it is made of can be replaced while the door is open: who comes in next
//! sees the new certificate, and who is in stays.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::{ErrorKind, Secret};
use futures_util::{Stream, StreamExt, future};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use crate::door::{CONNECTIONS_MAX, Guarded, clients};

/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// What TLS is made of, all in PEM.
#[derive(Clone)]
pub struct TlsParts {
    /// The server's certificate and those that lead to its authority.
    pub certificate: Vec<u8>,
    /// The server's key.
    pub key: Secret<Vec<u8>>,
    /// The authority of the clients' certificates.
    pub client_ca: Option<Vec<u8>>,
    /// Whether who has no certificate may come in, as he may have a token.
    pub takes_tokens: bool,
}

/// TLS, as whoever comes in next is served.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A part is not PEM.
    #[error("read the API's {what}")]
    Pem {
        /// Which.
        what: &'static str,
        /// What is wrong.
        source: pem::Error,
    },
    /// There is no certificate in a part.
    #[error("read the API's {what}: there is no certificate in it")]
    NoCertificate {
        /// In which.
        what: &'static str,
    },
    /// A certificate of the clients' authority cannot be used.
    #[error("use a certificate of the authority of the API's clients")]
    Authority(#[source] rustls::Error),
    /// The authority cannot be used.
    #[error("use the authority of the API's clients")]
    Verifier(#[source] VerifierBuilderError),
    /// Certificate and key do not serve.
    #[error("use the API's certificate and key")]
    Identity(#[source] rustls::Error),
}

impl TlsError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl Tls {
    /// Makes TLS of its parts.
    ///
    /// # Errors
    /// A part is not what it should be, or the key is not the certificate's.
    pub fn new(parts: &TlsParts) -> Result<Self, TlsError> {
        let chain = certificates("certificate", &parts.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(parts.key.expose());
        let key = key.map_err(|source| TlsError::Pem {
            what: "key",
            source,
        })?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Identity)?;
        let builder = match &parts.client_ca {
            Some(ca) => builder.with_client_cert_verifier(verifier(ca, parts.takes_tokens)?),
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(TlsError::Identity)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsParts").finish_non_exhaustive()
    }
}

/// A connection by TCP.
pub(crate) type TlsClient = TlsStream<Guarded<TcpStream>>;

/// Everybody who comes in by TCP and has shaken hands. Each does so on a task of his own, so that
/// nobody waits for another; their number is that of the connections.
pub(crate) fn tls_clients(
    door: TcpListener,
    tls: watch::Receiver<Tls>,
) -> impl Stream<Item = io::Result<TlsClient>> + Send {
    clients(door)
        .map(move |client| {
            let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow().0));
            let shaking = shake_hands(acceptor, client);
            AbortOnDropHandle::new(tokio::spawn(shaking))
        })
        .buffer_unordered(CONNECTIONS_MAX)
        .filter_map(|shaken| future::ready(shaken.ok().flatten().map(Ok)))
}

async fn shake_hands(
    acceptor: TlsAcceptor,
    client: io::Result<Guarded<TcpStream>>,
) -> Option<TlsClient> {
    let shaking = acceptor.accept(client.ok()?);
    match tokio::time::timeout(HANDSHAKE_MAX, shaking).await {
        Ok(Ok(client)) => Some(client),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client's TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("a client's TLS handshake took too long");
            None
        }
    }
}

/// Who has a certificate must have one of this authority's.
fn verifier(ca: &[u8], takes_tokens: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates("authority of clients", ca)? {
        roots.add(authority).map_err(TlsError::Authority)?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = match takes_tokens {
        true => verifier.allow_unauthenticated(),
        false => verifier,
    };
    verifier.build().map_err(TlsError::Verifier)
}

fn certificates(what: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let all = all.map_err(|source| TlsError::Pem { what, source })?;
    match all.is_empty() {
        true => Err(TlsError::NoCertificate { what }),
        false => Ok(all),
    }
}
