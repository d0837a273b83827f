//! A client over its wire, and how a session with it may end.

use std::future::poll_fn;
use std::time::Duration;

use burstlet_stream_wire::{Wire, WireError};
use tokio::time::timeout;

use crate::link::{Link, LinkEnd, Turn};

/// Bytes that wait for a slow client, until nothing more is read for it.
const BACKLOG_BYTES_MAX: usize = 64 << 10;
/// How long a client has to leave when its session has ended.
const LEAVE_MAX: Duration = Duration::from_secs(10);
/// How long the last bytes may take.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// Why a client is no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error(transparent)]
    Link(#[from] LinkEnd),
    #[error("the client does not keep to the protocol")]
    Wire(#[from] WireError),
}

/// A client: its connection, and what is spoken over it.
pub(crate) struct Client<W> {
    link: Link,
    pub(crate) wire: W,
}

impl<W: Wire> Client<W> {
    pub(crate) const fn new(link: Link, wire: W) -> Self {
        Self { link, wire }
    }

    /// Whether the client takes what it is sent.
    pub(crate) fn has_room(&self) -> bool {
        self.link.unwritten() + self.wire.outgoing_bytes() < BACKLOG_BYTES_MAX
    }

    /// Writes what waits, and with `reads` tells what the client does next. `None` when there may
    /// be room again. Nothing is lost when the waiting is given up.
    pub(crate) async fn next(&mut self, reads: bool) -> Result<Option<W::Event>, Lost> {
        loop {
            if reads && let Some(event) = self.wire.next_event()? {
                return Ok(Some(event));
            }
            let Self { link, wire } = self;
            // Answers to what is read are made here too, so a client that reads nothing is not
            // read from for ever.
            let reads = reads && wire.outgoing_bytes() < 2 * BACKLOG_BYTES_MAX;
            let turn = poll_fn(|cx| link.poll_turn(cx, reads, &mut || wire.take_outgoing()));
            match turn.await? {
                Turn::Received(chunk) => self.wire.receive(chunk),
                Turn::Wrote => return Ok(None),
            }
        }
    }

    /// Waits for the client to read the end and leave, then closes the connection.
    pub(crate) async fn leave(mut self) {
        let left = timeout(LEAVE_MAX, async { while self.next(true).await.is_ok() {} });
        if left.await.is_ok() {
            return;
        }
        self.close().await;
    }

    /// Closes the connection, after what was sent.
    pub(crate) async fn close(mut self) {
        self.wire.close();
        let goodbye = timeout(GOODBYE_MAX, async {
            while self.next(false).await.is_ok() {
                if self.link.unwritten() + self.wire.outgoing_bytes() == 0 {
                    break;
                }
            }
            poll_fn(|cx| self.link.poll_shutdown(cx)).await
        });
        if !matches!(goodbye.await, Ok(Ok(()))) {
            tracing::debug!("a client did not take the end of its session");
        }
    }
}
