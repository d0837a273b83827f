//! The host's side of published ports.
//!
//! The kernel leads outside clients to the group (`ruleset`). For clients on the host's loopback,
//! and by IPv6, it cannot; a proxy here serves them. Its sockets also hold the ports, so that no
//! other program takes them and a conflict is told when the group is created.
//!
//! SCTP has no proxy: its ports are led by the kernel only.

mod udp;

use std::future::ready;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::spec::Protocol;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tracing::debug;

use crate::NetworkError;
use crate::lease::{HostPort, PublishedPort};

/// Connections that one published port's proxy carries at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;

/// How long the group may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a proxy rests when a socket gives an error.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// The held ports of one group; dropping them frees the ports and ends their connections.
#[derive(Debug, Default)]
pub(crate) struct Published {
    tasks: Vec<AbortHandle>,
}

impl Published {
    /// Takes `ports` of the host for the group at `address`: all of them, or none.
    pub(crate) async fn open(
        ports: &[PublishedPort],
        address: Ipv4Addr,
    ) -> Result<Self, NetworkError> {
        let mut published = Self::default();
        for port in ports {
            let target = SocketAddr::new(address.into(), port.container_port);
            let task = match port.host.protocol {
                Protocol::Tcp => {
                    tokio::spawn(serve(bind(port.host, TcpListener::bind).await?, target))
                }
                Protocol::Udp => {
                    tokio::spawn(udp::serve(bind(port.host, UdpSocket::bind).await?, target))
                }
                Protocol::Sctp => tokio::spawn(ready(())),
            };
            published.tasks.push(task.abort_handle());
        }
        Ok(published)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Binds to the port's address. For "all addresses", IPv6's takes IPv4's in; a host without IPv6
/// has only the latter.
async fn bind<S, F: Future<Output = io::Result<S>>>(
    port: HostPort,
    socket: impl Fn(SocketAddr) -> F,
) -> Result<S, NetworkError> {
    let at = |ip: IpAddr| SocketAddr::new(ip, port.port.get());
    let any_v4 = at(Ipv4Addr::UNSPECIFIED.into());
    let (first, then) = match port.ip {
        Some(ip) => (at(ip), None),
        None => (at(Ipv6Addr::UNSPECIFIED.into()), Some(any_v4)),
    };
    match (socket(first).await, then) {
        (Ok(bound), _) => Ok(bound),
        (Err(error), Some(then)) if error.kind() != ErrorKind::AddrInUse => socket(then)
            .await
            .map_err(|source| NetworkError::PortInUse { at: then, source }),
        (Err(source), _) => Err(NetworkError::PortInUse { at: first, source }),
    }
}

async fn serve(listener: TcpListener, target: SocketAddr) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, from)) => {
                connections.spawn(async move {
                    let carried = carry(client, target).await;
                    debug!(%from, %target, ok = carried.is_ok(), "proxied connection ended");
                    drop(permit);
                });
            }
            Err(error) => {
                debug!(%error, %target, "accept a connection to a published port");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr) -> io::Result<()> {
    let mut group = timeout(CONNECT_TIMEOUT, TcpStream::connect(target)).await??;
    copy_bidirectional(&mut client, &mut group).await?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::num::NonZeroU16;

    use burstlet_model::ErrorKind;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

    fn published(protocol: Protocol, host: u16, container_port: u16) -> PublishedPort {
        let port = NonZeroU16::new(host).unwrap();
        PublishedPort {
            host: HostPort::new(Some(LOCALHOST.into()), protocol, port),
            container_port,
        }
    }

    /// A port that was free a moment ago.
    async fn free_port() -> u16 {
        TcpListener::bind((LOCALHOST, 0))
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port()
    }

    #[tokio::test]
    async fn carries_both_ways_and_ends_when_dropped() {
        let group = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
        let (host, inside) = (free_port().await, group.local_addr().unwrap().port());
        let ports = [published(Protocol::Tcp, host, inside)];
        let proxy = Published::open(&ports, LOCALHOST).await.unwrap();
        let mut client = TcpStream::connect((LOCALHOST, host)).await.unwrap();
        let (mut served, _) = group.accept().await.unwrap();
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut text = String::new();
        served.read_to_string(&mut text).await.unwrap();
        served.write_all(b"answer").await.unwrap();
        drop(served);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!((text.as_str(), answer.as_str()), ("question", "answer"));
        drop(proxy);
        tokio::task::yield_now().await;
        assert!(TcpListener::bind((LOCALHOST, host)).await.is_ok());
    }

    #[tokio::test]
    async fn carries_datagrams() {
        let group = UdpSocket::bind((LOCALHOST, 0)).await.unwrap();
        let (host, inside) = (free_port().await, group.local_addr().unwrap().port());
        let ports = [published(Protocol::Udp, host, inside)];
        let _proxy = Published::open(&ports, LOCALHOST).await.unwrap();
        let client = UdpSocket::bind((LOCALHOST, 0)).await.unwrap();
        client.connect((LOCALHOST, host)).await.unwrap();
        let mut buffer = [0; 16];
        for text in [b"one", b"two"] {
            client.send(text).await.unwrap();
            let (length, from) = group.recv_from(&mut buffer).await.unwrap();
            group.send_to(&buffer[..length], from).await.unwrap();
            let length = client.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], text);
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_told() {
        let other = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
        let ports = [published(
            Protocol::Tcp,
            other.local_addr().unwrap().port(),
            80,
        )];
        let error = Published::open(&ports, LOCALHOST).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }
}
