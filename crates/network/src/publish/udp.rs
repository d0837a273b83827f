//! The proxy for datagrams: a socket towards the group for each client, until both are silent.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::RETRY_DELAY;

/// Clients that one published port's proxy serves at a time; datagrams of more are dropped.
const CLIENTS_MAX: usize = 256;

/// How long a client's socket outlives the group's last answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

const DATAGRAM_BYTES_MAX: usize = 64 << 10;

pub(super) async fn serve(socket: UdpSocket, target: SocketAddr) {
    let socket = Arc::new(socket);
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answering: JoinSet<SocketAddr> = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            sleep(RETRY_DELAY).await;
            continue;
        };
        while let Some(done) = answering.try_join_next() {
            done.ok().and_then(|client| clients.remove(&client));
        }
        let group = match clients.get(&client) {
            Some(group) => Arc::clone(group),
            None if clients.len() >= CLIENTS_MAX => continue,
            None => match connect(target).await {
                Ok(group) => {
                    let group = Arc::new(group);
                    clients.insert(client, Arc::clone(&group));
                    answering.spawn(answer(Arc::clone(&socket), Arc::clone(&group), client));
                    group
                }
                Err(_) => continue,
            },
        };
        if let Some(datagram) = buffer.get(..length) {
            // Datagrams may be lost; whoever needs them asks again.
            let _ = group.send(datagram).await;
        }
    }
}

async fn connect(target: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(target).await?;
    Ok(socket)
}

/// Passes the group's answers back until there are none for a while.
async fn answer(socket: Arc<UdpSocket>, group: Arc<UdpSocket>, client: SocketAddr) -> SocketAddr {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok(Ok(length)) = timeout(IDLE_TIMEOUT, group.recv(&mut buffer)).await {
        if let Some(datagram) = buffer.get(..length) {
            let _ = socket.send_to(datagram, client).await;
        }
    }
    client
}
