//! An upgraded connection: a stream of bytes, or a WebSocket's messages.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use burstlet_stream_wire::Chunk;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Sink, Stream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWrite;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::io::poll_read_buf;

use crate::read_size::ReadSize;

/// Bytes that a WebSocket reads at once: those of a record of TLS.
const READ_BYTES: usize = 16 << 10;
/// Bytes of a message, and of one of its frames.
const MESSAGE_BYTES_MAX: usize = 2 << 20;
/// Bytes of a WebSocket that wait to be written before it says that it is full.
const WRITE_BYTES: usize = 32 << 10;
/// The bytes that it may hold then: those, and one message that we write.
const WRITE_BYTES_MAX: usize = 256 << 10;

type Io = TokioIo<Upgraded>;

/// What a turn of a link gave.
#[derive(Debug)]
pub(crate) enum Turn {
    Received(Chunk),
    /// Something was written: there is room again.
    Wrote,
}

/// Why a link goes on no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkEnd {
    #[error("the client has gone")]
    Gone,
    #[error("the connection of the client broke")]
    Broken(#[source] io::Error),
}

/// Both directions of a connection, driven by whoever waits for it.
pub(crate) struct Link {
    ends: Ends,
    /// Bytes that are written.
    current: Bytes,
    unflushed: bool,
    closing: bool,
}

enum Ends {
    Bytes {
        io: Io,
        read: BytesMut,
        size: ReadSize,
    },
    Messages(Box<WebSocketStream<Io>>),
}

impl Link {
    pub(crate) fn bytes(upgraded: Upgraded) -> Self {
        Self::new(Ends::Bytes {
            io: TokioIo::new(upgraded),
            read: BytesMut::new(),
            size: ReadSize::new(),
        })
    }

    pub(crate) async fn messages(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(WRITE_BYTES)
            .max_write_buffer_size(WRITE_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        Self::new(Ends::Messages(Box::new(socket)))
    }

    const fn new(ends: Ends) -> Self {
        Self {
            ends,
            current: Bytes::new(),
            unflushed: false,
            closing: false,
        }
    }

    /// Bytes that were taken to be written, and are not.
    pub(crate) fn unwritten(&self) -> usize {
        self.current.len()
    }

    /// Writes what `next` gives, as far as the client takes it, and reads if `reads`. Nothing is
    /// lost when the waiting is given up.
    pub(crate) fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        reads: bool,
        next: &mut dyn FnMut() -> Option<Chunk>,
    ) -> Poll<Result<Turn, LinkEnd>> {
        let wrote = self.write(cx, next).map_err(LinkEnd::Broken)?;
        if reads && let Poll::Ready(chunk) = self.poll_read(cx) {
            return Poll::Ready(chunk.map(Turn::Received));
        }
        if wrote {
            return Poll::Ready(Ok(Turn::Wrote));
        }
        Poll::Pending
    }

    /// Ends the connection, after what was written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.ends {
            Ends::Bytes { io, .. } => Pin::new(io).poll_shutdown(cx),
            Ends::Messages(socket) => Pin::new(socket.get_mut()).poll_shutdown(cx),
        }
    }

    /// Whether anything was written.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        next: &mut dyn FnMut() -> Option<Chunk>,
    ) -> io::Result<bool> {
        let mut wrote = false;
        loop {
            match self.poll_write(cx, next) {
                Poll::Ready(Ok(true)) => {
                    wrote = true;
                    self.unflushed = true;
                }
                Poll::Ready(Ok(false)) => break,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(wrote),
            }
        }
        if self.unflushed {
            match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
        }
        Ok(wrote)
    }

    /// `false` when there is nothing to write.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        next: &mut dyn FnMut() -> Option<Chunk>,
    ) -> Poll<io::Result<bool>> {
        match &mut self.ends {
            Ends::Bytes { io, .. } => {
                while self.current.is_empty() {
                    match next() {
                        Some(Chunk::Binary(bytes)) => self.current = bytes,
                        Some(Chunk::Text(text)) => self.current = Bytes::from(text),
                        Some(Chunk::Ping | Chunk::Close) => {}
                        None => return Poll::Ready(Ok(false)),
                    }
                }
                match ready!(Pin::new(io).poll_write(cx, &self.current))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => self.current.advance(count),
                }
            }
            Ends::Messages(socket) => {
                ready!(Pin::new(socket.as_mut()).poll_ready(cx)).map_err(to_io)?;
                // Nothing may follow a close.
                let Some(chunk) = next().filter(|_| !self.closing) else {
                    return Poll::Ready(Ok(false));
                };
                self.closing = chunk == Chunk::Close;
                let sent = Pin::new(socket.as_mut()).start_send(message(chunk));
                sent.map_err(to_io)?;
            }
        }
        Poll::Ready(Ok(true))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.ends {
            Ends::Bytes { io, .. } => Pin::new(io).poll_flush(cx),
            Ends::Messages(socket) => Pin::new(socket.as_mut()).poll_flush(cx).map_err(to_io),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, LinkEnd>> {
        match &mut self.ends {
            Ends::Bytes { io, read, size } => {
                read.reserve(size.bytes());
                match ready!(poll_read_buf(Pin::new(io), cx, read)) {
                    Ok(0) => Poll::Ready(Err(LinkEnd::Gone)),
                    Ok(count) => {
                        size.came(count);
                        Poll::Ready(Ok(Chunk::Binary(read.split().freeze())))
                    }
                    Err(error) => Poll::Ready(Err(LinkEnd::Broken(error))),
                }
            }
            Ends::Messages(socket) => loop {
                match ready!(Pin::new(socket.as_mut()).poll_next(cx)) {
                    Some(Ok(Message::Binary(bytes))) => {
                        return Poll::Ready(Ok(Chunk::Binary(bytes)));
                    }
                    Some(Ok(Message::Text(text))) => {
                        return Poll::Ready(Ok(Chunk::Text(text.as_str().to_owned())));
                    }
                    // The library answers them.
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed))
                    | None => return Poll::Ready(Err(LinkEnd::Gone)),
                    Some(Err(error)) => return Poll::Ready(Err(LinkEnd::Broken(to_io(error)))),
                }
            },
        }
    }
}

fn message(chunk: Chunk) -> Message {
    match chunk {
        Chunk::Binary(bytes) => Message::Binary(bytes),
        Chunk::Text(text) => Message::Text(text.into()),
        Chunk::Ping => Message::Ping(Bytes::new()),
        Chunk::Close => Message::Close(Some(CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        })),
    }
}

fn to_io(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
