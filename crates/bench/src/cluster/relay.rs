//! What a port can carry at most when TLS is between: a bare relay of our own, which reads from the
//! same server as a port-forward does and encrypts with the same library, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The relay's name.
const NAME: &str = "localhost";
/// What it holds of either direction.
const BUFFER_BYTES: usize = 64 << 10;

/// A connection through a relay, and the relay.
pub(super) struct Relayed {
    pub(super) stream: TlsStream<TcpStream>,
    relay: JoinHandle<Result<()>>,
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

/// Connects to `server` by a relay.
pub(super) async fn connect(server: SocketAddr) -> Result<Relayed> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([NAME.to_owned()]).context("make a certificate")?;
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let chain = vec![cert.der().clone()];
    let serving = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("use the certificate")?;
    let mut roots = RootCertStore::empty();
    roots
        .add(cert.der().clone())
        .context("trust the certificate")?;
    let trusting = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let listener = TcpListener::bind("127.0.0.1:0").await.context("listen")?;
    let address = listener.local_addr().context("ask for the port")?;
    let relay = tokio::spawn(relay(
        listener,
        TlsAcceptor::from(Arc::new(serving)),
        server,
    ));
    let plain = TcpStream::connect(address).await.context("connect")?;
    let name = ServerName::try_from(NAME).context("name the relay")?;
    let connector = TlsConnector::from(Arc::new(trusting));
    let stream = connector
        .connect(name, plain)
        .await
        .context("shake hands")?;
    Ok(Relayed { stream, relay })
}

/// Takes one connection, and carries it on.
async fn relay(listener: TcpListener, acceptor: TlsAcceptor, server: SocketAddr) -> Result<()> {
    let (plain, _) = listener.accept().await.context("accept")?;
    let mut near = acceptor.accept(plain).await.context("shake hands")?;
    let mut far = TcpStream::connect(server)
        .await
        .with_context(|| format!("connect to {server}"))?;
    copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER_BYTES, BUFFER_BYTES)
        .await
        .context("carry")?;
    Ok(())
}
