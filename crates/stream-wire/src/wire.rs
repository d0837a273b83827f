use crate::{Chunk, WireError};

/// What is spoken over one connection of a client.
pub trait Wire: Send {
    /// What a client does.
    type Event: Send;

    /// Takes what came from the connection.
    fn receive(&mut self, chunk: Chunk);

    /// What that means, one by one.
    ///
    /// # Errors
    /// The client does not keep to the protocol. Nothing can be read after that.
    fn next_event(&mut self) -> Result<Option<Self::Event>, WireError>;

    /// Says goodbye; nothing follows.
    fn close(&mut self);

    /// Sends something that a connection without a client cannot bear for long.
    fn keep_alive(&mut self);

    /// What is to be written to the connection next.
    fn take_outgoing(&mut self) -> Option<Chunk>;

    /// Bytes that wait to be taken.
    fn outgoing_bytes(&self) -> usize;
}
