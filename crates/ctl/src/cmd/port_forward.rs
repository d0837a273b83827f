//! `port-forward`: local ports that lead into a group.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result};
use burstlet_proto::v1::port_forward_request::Request;
use burstlet_proto::v1::port_forward_response::Response;
use burstlet_proto::v1::{ClosePort, PortForwardRequest, PortForwardResponse, PortForwardStart};
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::client::{Client, Groups};
use crate::error::Exit;
use crate::output::print;

/// Connections at a time, over all ports; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 256;
/// What is read from a connection at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Messages of a connection on their way.
const CHUNKS_MAX: usize = 4;

/// The flags of `port-forward`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The group
    name: String,
    /// PORT, LOCAL:PORT, or :PORT for a free local port
    #[arg(required = true)]
    ports: Vec<Mapping>,
    /// The local address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    bind: IpAddr,
}

/// A local port, 0 for a free one, and the group's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    local: u16,
    inside: u16,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("{text:?} is not PORT, LOCAL:PORT or :PORT");
        let number = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(fault)
        };
        match text.split_once(':') {
            Some(("", inside)) => Ok(Self {
                local: 0,
                inside: number(inside)?,
            }),
            Some((local, inside)) => Ok(Self {
                local: number(local)?,
                inside: number(inside)?,
            }),
            None => number(text).map(|port| Self {
                local: port,
                inside: port,
            }),
        }
    }
}

/// Serves until the user ends it.
pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    // A name that is wrong is told now, not to whoever connects later.
    client.get(&args.name).await?;
    let group = client.group(&args.name).unwrap_or_default();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut listening = JoinSet::new();
    for mapping in &args.ports {
        let listener = TcpListener::bind((args.bind, mapping.local)).await;
        let listener =
            listener.with_context(|| format!("listen on {}:{}", args.bind, mapping.local))?;
        let local = listener.local_addr().context("ask for the local port")?;
        print(format!(
            "{local} leads to port {} of {}\n",
            mapping.inside, args.name
        ))?;
        let start = PortForwardStart {
            group: Some(group.clone()),
            port: mapping.inside.into(),
        };
        listening.spawn(listen(listener, client.groups(), start, Arc::clone(&slots)));
    }
    if let Some(ended) = listening.join_next().await {
        ended.context("serve a port")??;
    }
    Ok(Exit::SUCCESS)
}

async fn listen(
    listener: TcpListener,
    groups: Groups,
    start: PortForwardStart,
    slots: Arc<Semaphore>,
) -> Result<()> {
    loop {
        let slot = Arc::clone(&slots)
            .acquire_owned()
            .await
            .context("take a slot")?;
        let (stream, from) = listener.accept().await.context("accept a connection")?;
        let (groups, start) = (groups.clone(), start.clone());
        tokio::spawn(async move {
            let _slot = slot;
            let port = start.port;
            if let Err(fault) = forward(groups, start, stream).await {
                let text = crate::error::render(&fault);
                eprint!("burstctl: connection of {from} to port {port}: {text}");
            }
        });
    }
}

/// Carries one connection until its far side closes.
async fn forward(mut groups: Groups, start: PortForwardStart, stream: TcpStream) -> Result<()> {
    let (read, write) = stream.into_split();
    let (send, receive) = mpsc::channel(CHUNKS_MAX);
    let requests = stream::once(async { Request::Start(start) });
    let requests = requests
        .chain(ReceiverStream::new(receive))
        .chain(stream::pending());
    let requests = requests.map(|request| PortForwardRequest {
        request: Some(request),
    });
    let answers = groups.port_forward(requests).await?.into_inner();
    let upward = tokio::spawn(send_all(read, send));
    let outcome = receive_all(answers, write).await;
    upward.abort();
    outcome
}

async fn send_all(mut from: OwnedReadHalf, to: mpsc::Sender<Request>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    // A connection that breaks is the same to the far side as one that ends.
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let data = buffer.iter().take(length).copied().collect::<Vec<u8>>();
        if to.send(Request::Data(data)).await.is_err() {
            return;
        }
    }
    // If nobody takes it the connection is over anyway.
    let _ = to.send(Request::Close(ClosePort {})).await;
}

async fn receive_all(
    mut from: Streaming<PortForwardResponse>,
    mut to: OwnedWriteHalf,
) -> Result<()> {
    while let Some(answer) = from.message().await? {
        if let Some(Response::Data(data)) = answer.response
            && to.write_all(&data).await.is_err()
        {
            // The local side has gone; dropping the call tells the far one.
            return Ok(());
        }
    }
    // It may be closed already.
    let _ = to.shutdown().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_mapped() {
        let read = |text: &str| text.parse::<Mapping>().map(|m| (m.local, m.inside));
        assert_eq!(read("80"), Ok((80, 80)));
        assert_eq!(read("8080:80"), Ok((8080, 80)));
        assert_eq!(read(":80"), Ok((0, 80)));
        for text in ["", "0", "x", "1:2:3", "80:", "70000"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
