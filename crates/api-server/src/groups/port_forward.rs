//! PortForward: one connection to a port inside a group.

use std::future::pending;

use burstlet_proto::v1;
use burstlet_proto::v1::port_forward_request::Request as Message;
use burstlet_proto::v1::port_forward_response::Response as Reply;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::stream::PortStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Status, Streaming};

use super::resolve;
use crate::access::Asked;
use crate::machine::Machine;
use crate::status;
use crate::streams::{self, Answer, Answers};

/// Bytes of one message.
const CHUNK_BYTES: usize = 64 << 10;

/// Connects to the port of the first message; the rest is the connection's bytes.
pub(crate) async fn port_forward<H: Host, M: Machine>(
    api: &Asked<H, M>,
    mut requests: Streaming<v1::PortForwardRequest>,
) -> Result<Answers<v1::PortForwardResponse>, Status> {
    let first = requests.message().await?.and_then(|first| first.request);
    let Some(Message::Start(start)) = first else {
        return Err(status::no_start());
    };
    let handle = resolve::group(api, start.group.as_ref())?;
    let port = u16::try_from(start.port).ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| status::invalid("port", "a port from 1 to 65535 is needed"))?;
    api.caller().note(|about| about.port = Some(port));
    let permit = api.stream_permit()?;
    let connection = api
        .groups()
        .dial(handle.uid(), port)
        .await
        .map_err(|refusal| status::refusal(&refusal))?;
    let span = tracing::info_span!("port_forward", group = %handle.name(), port);
    Ok(streams::task(permit, span, |answers| {
        run(connection, requests, answers)
    }))
}

/// Ends when the port's side closes. The client's end closes only its own direction.
async fn run(
    connection: PortStream,
    requests: Streaming<v1::PortForwardRequest>,
    answers: Answer<v1::PortForwardResponse>,
) -> Result<(), Status> {
    let (mut from_port, to_port) = connection.into_split();
    let connected = Reply::Connected(v1::PortConnected {});
    if streams::send(&answers, reply(connected)).await.is_err() {
        return Ok(());
    }
    let receive = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match from_port.read(&mut chunk).await {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    let bytes = chunk.get(..count).unwrap_or_default().to_vec();
                    if streams::send(&answers, reply(Reply::Data(bytes)))
                        .await
                        .is_err()
                    {
                        return Ok(());
                    }
                }
                Err(error) => return Err(status::connection_lost(&error)),
            }
        }
    };
    // Neither arm loses anything when it is dropped: the connection is over then.
    tokio::select! {
        result = receive => result,
        status = transmit(to_port, requests) => Err(status),
    }
}

/// Carries the client's bytes; comes back only with what ends the connection.
async fn transmit(
    mut to_port: tokio::net::tcp::OwnedWriteHalf,
    mut requests: Streaming<v1::PortForwardRequest>,
) -> Status {
    loop {
        match requests.message().await {
            Err(status) => return status,
            Ok(Some(message)) => match message.request {
                None => {}
                Some(Message::Start(_)) => {
                    return status::invalid("start", "the connection stands");
                }
                Some(Message::Data(bytes)) => match to_port.write_all(&bytes).await {
                    Ok(()) => {}
                    // A port that takes no more may still have something to say.
                    Err(_) => break,
                },
                Some(Message::Close(_)) => break,
            },
            Ok(None) => break,
        }
    }
    // An error means that the other side has closed already.
    let _ = to_port.shutdown().await;
    pending().await
}

const fn reply(reply: Reply) -> v1::PortForwardResponse {
    v1::PortForwardResponse {
        response: Some(reply),
    }
}
