//! Exec and attach: the streams of one process, whatever the wire.

mod exit;
mod protocol;
mod resize;
mod spdy;
mod websocket;

use bytes::Bytes;

use crate::Wire;

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
pub trait CommandWire: Wire<Event = ClientEvent> {
    /// Sends output. It goes nowhere if the client did not ask for it or does not want it any
    /// more.
    fn send(&mut self, output: Output, bytes: &[u8]);

    /// Says how it ended, and that no output follows. All of it was sent before.
    fn end(&mut self, exit: &Exit);
}
