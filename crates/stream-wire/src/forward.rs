//! Port-forward: many connections to ports of a group, over one connection of the client.

mod spdy;
mod websocket;

use bytes::Bytes;

use crate::Wire;

pub use spdy::SpdyForward;
pub use websocket::{PORTS_MAX, WebSocketForward};

/// A connection to a port, within the wire: a pair of a data and an error stream or channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairId(pub(crate) u32);

/// What the client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardEvent {
    /// It wants to be connected to a port. Comes before all others of the pair.
    Open {
        /// What the connection is called from now on.
        pair: PairId,
        /// Never 0.
        port: u16,
    },
    /// Bytes for the port; never none.
    Data {
        /// Of which connection.
        pair: PairId,
        /// In the order in which they were sent.
        bytes: Bytes,
    },
    /// No more is coming for the port; what the port sends is still wanted.
    End {
        /// Of which connection.
        pair: PairId,
    },
    /// The connection is not wanted any more, in either direction. The pair is no more.
    Abort {
        /// Which connection.
        pair: PairId,
    },
}

/// The wire of one port-forward.
pub trait ForwardWire: Wire<Event = ForwardEvent> {
    /// Sends what a port sent. It goes nowhere if the client does not want it any more.
    fn send(&mut self, pair: PairId, bytes: &[u8]);

    /// Says that a port will send no more; what the client sends is still wanted.
    fn finish(&mut self, pair: PairId);

    /// Says that a connection has ended well, in both directions. The pair is no more.
    fn done(&mut self, pair: PairId);

    /// Says that there is no connection, and why. Many clients then end all of it, so it is not
    /// for a connection that merely broke. The pair is no more.
    fn fail(&mut self, pair: PairId, why: &str);

    /// Refuses what has been half open since the last call. To be called now and then.
    fn sweep(&mut self);
}
