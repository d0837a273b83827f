//! The sockets that groups ask at, and the bounds that keep one group from using them up.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tracing::debug;

use super::forward::{Transport, Upstreams, forward, read_framed, write_framed};
use super::message::{Reply, reply};
use super::names::SharedNames;
use crate::NetworkError;

/// Forwarded questions and TCP connections of all groups at a time; more are dropped.
const IN_FLIGHT_MAX: usize = 1024;

/// The same of one group.
const IN_FLIGHT_PER_GROUP_MAX: usize = 64;

/// The largest question over UDP.
const QUESTION_BYTES_MAX: usize = 4096;

/// How long a TCP connection may be silent.
const TCP_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many questions one TCP connection may ask.
const TCP_QUESTIONS_MAX: usize = 128;

/// How long the server rests when a socket gives an error.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    tasks: [AbortHandle; 2],
}

struct Context {
    names: SharedNames,
    upstreams: Upstreams,
}

impl Server {
    /// Serves on port 53 of `address`, UDP and TCP.
    pub(crate) async fn start(
        address: Ipv4Addr,
        names: SharedNames,
        upstreams: Upstreams,
    ) -> Result<Self, NetworkError> {
        let at = SocketAddr::new(address.into(), 53);
        let failed = |source| NetworkError::Dns { at, source };
        let udp = UdpSocket::bind(at).await.map_err(failed)?;
        let tcp = TcpListener::bind(at).await.map_err(failed)?;
        let context = Arc::new(Context { names, upstreams });
        let tasks = [
            tokio::spawn(serve_udp(Arc::new(udp), Arc::clone(&context))).abort_handle(),
            tokio::spawn(serve_tcp(tcp, context)).abort_handle(),
        ];
        Ok(Self { tasks })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Work under way, counted per group.
#[derive(Default)]
struct InFlight {
    tasks: JoinSet<Ipv4Addr>,
    per_group: HashMap<Ipv4Addr, usize>,
}

impl InFlight {
    /// Starts `work` for `asker` unless a bound is reached.
    fn start(&mut self, asker: Ipv4Addr, work: impl Future<Output = ()> + Send + 'static) {
        while let Some(Ok(done)) = self.tasks.try_join_next() {
            self.finish(done);
        }
        let count = self.per_group.get(&asker).copied().unwrap_or(0);
        if self.tasks.len() >= IN_FLIGHT_MAX || count >= IN_FLIGHT_PER_GROUP_MAX {
            debug!(%asker, count, "dropped a question: too many under way");
            return;
        }
        self.per_group.insert(asker, count + 1);
        self.tasks.spawn(async move {
            work.await;
            asker
        });
    }

    fn finish(&mut self, asker: Ipv4Addr) {
        if let Some(count) = self.per_group.get_mut(&asker) {
            *count -= 1;
            if *count == 0 {
                self.per_group.remove(&asker);
            }
        }
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, context: Arc<Context>) {
    let mut in_flight = InFlight::default();
    let mut buffer = vec![0; QUESTION_BYTES_MAX];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(RETRY_DELAY).await;
            continue;
        };
        let question = buffer.get(..length).unwrap_or_default();
        let IpAddr::V4(asker) = from.ip() else {
            continue;
        };
        match context.names.read(|names| reply(names, asker, question)) {
            Reply::Ignore => {}
            Reply::Answer(answer) => {
                let _ = socket.send_to(&answer, from).await;
            }
            Reply::Forward => {
                let (socket, context) = (Arc::clone(&socket), Arc::clone(&context));
                let question = question.to_vec();
                in_flight.start(asker, async move {
                    if let Some(answer) =
                        forward(&context.upstreams, Transport::Udp, &question).await
                    {
                        let _ = socket.send_to(&answer, from).await;
                    }
                });
            }
        }
    }
}

async fn serve_tcp(listener: TcpListener, context: Arc<Context>) {
    let mut in_flight = InFlight::default();
    loop {
        let (stream, asker) = match listener.accept().await {
            Ok((stream, from)) => match from.ip() {
                IpAddr::V4(asker) => (stream, asker),
                IpAddr::V6(_) => continue,
            },
            Err(error) => {
                // Out of file descriptors, most likely: others must end first.
                debug!(%error, "accept a connection of the name server");
                tokio::time::sleep(RETRY_DELAY).await;
                continue;
            }
        };
        let context = Arc::clone(&context);
        in_flight.start(asker, async move {
            if let Err(error) = serve_connection(stream, asker, &context).await {
                debug!(%asker, %error, "name server connection ended");
            }
        });
    }
}

async fn serve_connection(
    mut stream: TcpStream,
    asker: Ipv4Addr,
    context: &Context,
) -> std::io::Result<()> {
    for _ in 0..TCP_QUESTIONS_MAX {
        let question = timeout(TCP_IDLE_TIMEOUT, read_framed(&mut stream)).await??;
        let answer = match context.names.read(|names| reply(names, asker, &question)) {
            Reply::Ignore => return Ok(()),
            Reply::Answer(answer) => Some(answer),
            Reply::Forward => forward(&context.upstreams, Transport::Tcp, &question).await,
        };
        let Some(answer) = answer else {
            return Ok(());
        };
        timeout(TCP_IDLE_TIMEOUT, write_framed(&mut stream, &answer)).await??;
    }
    Ok(())
}
