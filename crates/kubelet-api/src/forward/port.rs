//! One connection to a port.

use burstlet_stream_wire::PairId;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::backend::PortStream;
use crate::refused::Refused;

/// Bytes of one read.
const READ_BYTES: usize = 32 << 10;
/// A piece below this is copied, so that it does not hold all that it was read with.
const SMALL_BYTES: usize = 4 << 10;

/// What a port is sent, and its part of the session's budget.
pub(super) struct ToPort {
    bytes: Bytes,
    _held: OwnedSemaphorePermit,
}

/// What a port does.
pub(super) enum FromPort {
    Data(Bytes),
    /// It sends no more.
    End,
    /// Both directions have ended.
    Done,
    /// It cannot be reached, and why.
    Failed(String),
}

impl ToPort {
    pub(super) fn new(bytes: &Bytes, held: OwnedSemaphorePermit) -> Self {
        let bytes = if bytes.len() < SMALL_BYTES {
            Bytes::copy_from_slice(bytes)
        } else {
            bytes.clone()
        };
        Self { bytes, _held: held }
    }
}

/// Connects, and copies until both directions have ended.
pub(super) async fn run(
    pair: PairId,
    port: u16,
    dialing: impl Future<Output = Result<PortStream, Refused>>,
    queue: mpsc::Receiver<ToPort>,
    answers: mpsc::Sender<(PairId, FromPort)>,
) {
    let last = match dialing.await {
        Err(refused) => FromPort::Failed(format!("error forwarding port {port}: {refused}")),
        Ok(stream) => {
            let (read, write) = stream.into_split();
            tokio::join!(to_port(queue, write), from_port(pair, read, &answers));
            FromPort::Done
        }
    };
    // Without a session there is nobody to tell.
    let _ = answers.send((pair, last)).await;
}

async fn to_port(mut queue: mpsc::Receiver<ToPort>, mut port: OwnedWriteHalf) {
    let mut reads = true;
    while let Some(piece) = queue.recv().await {
        // A port that reads no more may still have something to say.
        if reads && let Err(error) = port.write_all(&piece.bytes).await {
            tracing::debug!(%error, "a port reads no more");
            reads = false;
        }
    }
    if let Err(error) = port.shutdown().await {
        tracing::debug!(%error, "a port has gone before its end");
    }
}

async fn from_port(
    pair: PairId,
    mut port: OwnedReadHalf,
    answers: &mpsc::Sender<(PairId, FromPort)>,
) {
    let mut read = BytesMut::new();
    loop {
        read.reserve(READ_BYTES);
        match port.read_buf(&mut read).await {
            Ok(count) if count > 0 => {
                let bytes = read.split().freeze();
                if answers.send((pair, FromPort::Data(bytes))).await.is_err() {
                    return;
                }
            }
            // A connection that breaks has ended: clients would end all others for an error.
            _ => break,
        }
    }
    let _ = answers.send((pair, FromPort::End)).await;
}
