//! Where clients come in: a unix socket for this host's root and for ourselves, TCP for whoever
//! shows a certificate. Each connection is counted, and must speak within a few seconds.

use std::fs::{self, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use burstlet_model::ErrorKind;
use futures_util::{Stream, stream};
use nix::unistd::geteuid;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::Connected;

use crate::tls::Tls;

/// Connections that are open at once on one door. Those beyond wait in the kernel's queue.
pub(crate) const CONNECTIONS_MAX: usize = 512;
/// How long a connection may take to say its first words (the HTTP/2 preface).
const FIRST_WORDS_MAX: Duration = Duration::from_secs(10);
/// Bytes of the first words.
const FIRST_WORDS_BYTES: usize = 24;
/// The pause after a failed accept: the usual reason, no free descriptors, does not go at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Failed accepts are told so often at most, whatever comes in between: without descriptors one client
/// comes in whenever another goes.
const TELLING_PAUSE: Duration = Duration::from_secs(30);

/// A listening socket, bound by the caller.
#[derive(Debug)]
pub enum Door {
    /// Root and the agent's own user come in; see [`bind_unix`].
    Unix(UnixListener),
    /// Clients with a certificate of the given authority come in, or with a token if those are taken.
    Tcp(TcpListener, watch::Receiver<Tls>),
}

/// Why a socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Another process answers there.
    #[error("{0} is in use: another agent listens there; stop it or configure another run_dir")]
    InUse(PathBuf),
    /// Something that is no socket is there.
    #[error("{0} exists and is not a socket; move it away")]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error("listen on {path}")]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl DoorError {
    /// What class of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InUse(_) | Self::NotASocket(_) => ErrorKind::FailedPrecondition,
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                _ => ErrorKind::Internal,
            },
        }
    }
}

/// Listens on a unix socket that only its owner can open. A socket that an earlier agent left is
/// replaced; one on which somebody answers is not.
///
/// # Errors
/// Somebody answers there, something else is there, or the socket cannot be made.
pub fn bind_unix(path: &Path) -> Result<UnixListener, DoorError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(DoorError::NotASocket(path.to_owned()));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(DoorError::InUse(path.to_owned()));
        }
        _ => {}
    }
    let listen = |source| DoorError::Listen {
        path: path.to_owned(),
        source,
    };
    // Made under another name and moved, so that it is never there with wider permissions.
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(listen(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&fresh).map_err(listen)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o600)).map_err(listen)?;
    fs::rename(&fresh, path).map_err(listen)?;
    Ok(listener)
}

/// How a door lets somebody in.
pub(crate) trait Accept: Send + 'static {
    /// A connection.
    type Client: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static;

    /// The next one who may come in; an error for one who may not.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Client>> + Send;
}

impl Accept for UnixListener {
    type Client = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        let (client, _) = Self::accept(self).await?;
        let peer = client.peer_cred()?.uid();
        if peer != 0 && peer != geteuid().as_raw() {
            tracing::warn!(
                uid = peer,
                "refused a connection: only root and our own user may"
            );
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(client)
    }
}

/// Certificates are looked at after this.
impl Accept for TcpListener {
    type Client = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (client, _) = Self::accept(self).await?;
        client.set_nodelay(true)?;
        Ok(client)
    }
}

/// Everybody who comes in by a door.
pub(crate) fn clients<A: Accept>(
    door: A,
) -> impl Stream<Item = io::Result<Guarded<A::Client>>> + Send {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let failures = Failures::default();
    stream::unfold(
        (door, room, failures),
        async |(door, room, mut failures)| {
            loop {
                // Room first: those who do not fit wait in the kernel's queue.
                let permit = Arc::clone(&room).acquire_owned().await.ok()?;
                match door.accept().await {
                    Ok(client) => {
                        let client = Guarded::new(client, permit);
                        return Some((Ok(client), (door, room, failures)));
                    }
                    Err(error) => {
                        if let Some(count) = failures.told_now(Instant::now()) {
                            tracing::warn!(%error, count, "connections are not accepted; clients wait");
                        }
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        },
    )
}

/// Failed accepts that nobody was told of yet.
#[derive(Debug, Default)]
struct Failures {
    told: Option<Instant>,
    count: u64,
}

impl Failures {
    /// One more; how many there were, if it is time to tell of them.
    fn told_now(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        let is_early = |told: Instant| now.saturating_duration_since(told) < TELLING_PAUSE;
        if self.told.is_some_and(is_early) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

/// A connection that holds its place among the connections, and is cut when it does not begin to
/// speak.
#[derive(Debug)]
pub(crate) struct Guarded<C> {
    client: C,
    patience: Option<(Pin<Box<Sleep>>, usize)>,
    _permit: OwnedSemaphorePermit,
}

impl<C> Guarded<C> {
    fn new(client: C, permit: OwnedSemaphorePermit) -> Self {
        Self {
            client,
            patience: Some((Box::pin(sleep(FIRST_WORDS_MAX)), FIRST_WORDS_BYTES)),
            _permit: permit,
        }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Guarded<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.client).poll_read(cx, buffer);
        let Some((timer, wanted)) = &mut this.patience else {
            return read;
        };
        *wanted = wanted.saturating_sub(buffer.filled().len().saturating_sub(before));
        if *wanted == 0 {
            this.patience = None;
        } else if read.is_pending() && timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Guarded<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.client).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.client).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.client.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_shutdown(cx)
    }
}

impl<C: Connected> Connected for Guarded<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.client.connect_info()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    async fn guarded() -> (Guarded<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let room = Arc::new(Semaphore::new(1));
        let (client, peer) = duplex(64);
        let permit = room.acquire_owned().await.unwrap();
        (Guarded::new(client, permit), peer)
    }

    #[test]
    fn failures_are_told_and_do_not_fill_the_log() {
        let (mut failures, begun) = (Failures::default(), Instant::now());
        assert_eq!(failures.told_now(begun), Some(1));
        let many = (1..=1200).map(|number| begun + number * ACCEPT_PAUSE);
        let told: Vec<u64> = many.filter_map(|now| failures.told_now(now)).collect();
        assert_eq!(told, [600, 600]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_silent_are_cut() {
        let (mut client, mut peer) = guarded().await;
        peer.write_all(b"PRI * HTTP").await.unwrap();
        let mut bytes = [0; 64];
        assert_eq!(client.read(&mut bytes).await.unwrap(), 10);
        let error = client.read(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_spoken_may_be_silent() {
        let (mut client, mut peer) = guarded().await;
        peer.write_all(&[0; FIRST_WORDS_BYTES]).await.unwrap();
        let mut bytes = [0; 64];
        assert_eq!(client.read(&mut bytes).await.unwrap(), FIRST_WORDS_BYTES);
        let patient = tokio::time::timeout(FIRST_WORDS_MAX * 100, client.read(&mut bytes));
        assert!(patient.await.is_err());
    }
}
