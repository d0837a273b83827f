//! The wires by which Kubernetes clients exec, attach and forward ports: bytes in, events out.
//!
//! Nothing here reads a socket, a clock or a process. Whoever holds the connection gives what came
//! to `receive`, asks for `next_event` until there is none, and writes what `take_outgoing` gives:
//!
//! ```text
//! connection ─► Chunk ─► receive ─► next_event ─► ClientEvent | ForwardEvent ─► process, socket
//! connection ◄─ Chunk ◄─ take_outgoing ◄─ send, finish, fail … ◄─────────────── process, socket
//! ```
//!
//! | what | over SPDY/3.1 | over WebSocket messages |
//! |---|---|---|
//! | exec, attach ([`CommandWire`]) | [`SpdyCommand`] | [`WebSocketCommand`] |
//! | port-forward ([`ForwardWire`]) | [`SpdyForward`] | [`WebSocketForward`] |
//!
//! In a WebSocket's `SPDY/3.1+portforward.k8s.io` tunnel the messages are pieces of SPDY's bytes,
//! so it is [`SpdyForward`] again. The framing of WebSocket itself is not here.
//!
//! **Bounds.** Whatever a peer sends, what is kept for it is bounded by constants with names, and
//! no count or length that it claims is believed before its bytes are there. Answers that a wire
//! makes by itself (to pings, to streams it refuses) take at most twice the bytes of what they
//! answer: a caller that stops receiving while much waits to be written bounds them too.
//!
//! **Flow control.** The peers of this protocol neither grant nor heed SPDY's windows, so there
//! are none: a caller slows its client down by not receiving.

mod channel;
mod chunk;
mod command;
mod error;
mod forward;
mod negotiate;
pub mod spdy;
mod wire;

pub use channel::ChannelProtocol;
pub use chunk::Chunk;
pub use command::{
    ClientEvent, CommandProtocol, CommandWire, Exit, Output, SpdyCommand, TerminalSize, Wanted,
    WebSocketCommand,
};
pub use error::WireError;
pub use forward::{ForwardEvent, ForwardWire, PORTS_MAX, PairId, SpdyForward, WebSocketForward};
pub use negotiate::first_known;
pub use wire::Wire;
