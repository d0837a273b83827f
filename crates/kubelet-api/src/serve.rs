//! Connections: taken, told apart by their certificates, and served one request after the other.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Guard;
use crate::backend::Backend;
use crate::handle::handle;
use crate::sessions::{Sessions, Timeouts};
use crate::tls::ClientCa;

/// Connections that are served; a session is none of them any more. More wait in the kernel.
const CONNECTIONS_MAX: usize = 512;
/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// How long a client may take to send a request's head, and to begin with another request.
const HEAD_READ_MAX: Duration = Duration::from_secs(60);
/// Bytes of a request's head, and of what is read at once.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long requests and sessions have to end when the agent goes down.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// The pause after the kernel refused a connection, so that a lack of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the port is made of.
#[derive(Debug)]
pub struct Kubelet<B, G> {
    /// What it shows and runs.
    pub backend: Arc<B>,
    /// Who may ask.
    pub guard: G,
    /// TLS, as [`tls_config`](crate::tls_config) makes it.
    pub tls: Arc<ServerConfig>,
    /// Whose certificates name clients.
    pub client_ca: ClientCa,
    /// How long sessions may be silent.
    pub timeouts: Timeouts,
}

/// Serves the port until `shutdown`. Sessions are then told that the agent goes down, and have a
/// few seconds to end.
pub async fn serve<B: Backend, G: Guard>(
    kubelet: Kubelet<B, G>,
    listener: TcpListener,
    shutdown: CancellationToken,
) {
    let sessions = Sessions::new(kubelet.timeouts, shutdown.clone());
    let kubelet = Arc::new(kubelet);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        // Both arms may be dropped at any point: a connection is taken whole or not.
        let (slot, stream) = tokio::select! {
            () = shutdown.cancelled() => break,
            next = next_connection(&listener, &slots) => next,
        };
        let (kubelet, sessions) = (Arc::clone(&kubelet), sessions.clone());
        connections.spawn(async move {
            let _slot = slot;
            serve_connection(&kubelet, &sessions, stream).await;
        });
    }
    connections.close();
    sessions.tasks.close();
    let drained = timeout(DRAIN_MAX, async {
        connections.wait().await;
        sessions.tasks.wait().await;
    });
    if drained.await.is_err() {
        tracing::debug!("clients of the kubelet's port are cut");
    }
}

async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, TcpStream) {
    // The semaphore is never closed, so there is always a permit in the end.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (slot, stream),
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn pause_after(error: &io::Error) {
    tracing::debug!(%error, "accept on the kubelet's port");
    sleep(ACCEPT_PAUSE).await;
}

async fn serve_connection<B: Backend, G: Guard>(
    kubelet: &Kubelet<B, G>,
    sessions: &Sessions,
    stream: TcpStream,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays slow");
    }
    let acceptor = TlsAcceptor::from(Arc::clone(&kubelet.tls));
    let stream = match timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let chain = stream.get_ref().1.peer_certificates();
    let identity = chain.and_then(|chain| kubelet.client_ca.identity(chain));
    let service = service_fn(|request| async {
        Ok::<_, Infallible>(handle(kubelet, sessions, identity.as_ref(), request).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = sessions.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "serve a connection of the kubelet's port");
    }
}
