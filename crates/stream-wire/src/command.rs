//! Exec and attach: the streams of one process, whatever the wire.

mod exit;
mod protocol;
mod resize;
mod spdy;
mod websocket;

use bytes::Bytes;

use crate::{Chunk, WireError};

pub use exit::Exit;
pub use protocol::CommandProtocol;
pub use resize::TerminalSize;
pub use spdy::SpdyCommand;
pub use websocket::WebSocketCommand;

/// Which streams the client asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error. Not with a terminal, which is one stream.
    pub stderr: bool,
    /// A terminal, and so its sizes.
    pub tty: bool,
}

/// What the client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// It is ready for output: the process may start. Comes once, before all others.
    Ready,
    /// Bytes for the standard input; never none.
    Stdin(Bytes),
    /// No more is coming for the standard input.
    StdinEnd,
    /// The size of its terminal.
    Resize(TerminalSize),
}

/// A stream from the process to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The wire of one exec or attach.
pub trait CommandWire: Send {
    /// Takes what came from the connection.
    fn receive(&mut self, chunk: Chunk);

    /// What that means, one by one.
    ///
    /// # Errors
    /// The client does not keep to the protocol. Nothing can be read after that.
    fn next_event(&mut self) -> Result<Option<ClientEvent>, WireError>;

    /// Sends output. It goes nowhere if the client did not ask for it or does not want it any
    /// more.
    fn send(&mut self, output: Output, bytes: &[u8]);

    /// Says how it ended, and that nothing follows. All output was sent before.
    fn end(&mut self, exit: &Exit);

    /// Says goodbye, when the client has had time to read the end.
    fn close(&mut self);

    /// Sends something that a connection without a client cannot bear for long.
    fn keep_alive(&mut self);

    /// What is to be written to the connection next.
    fn take_outgoing(&mut self) -> Option<Chunk>;

    /// Bytes that wait to be taken.
    fn outgoing_bytes(&self) -> usize;
}
