use bytes::{Bytes, BytesMut};

/// What is read from, or written to, a connection at once.
///
/// On a connection of bytes all chunks are `Binary`, and where one ends says nothing. On a
/// WebSocket each is a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes, or a binary message.
    Binary(Bytes),
    /// A text message.
    Text(String),
    /// A WebSocket's own ping. Only ever written.
    Ping,
    /// The end: of a WebSocket with code 1000, or of the connection. Only ever written, and last.
    Close,
}

impl Chunk {
    /// How many bytes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Binary(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            Self::Ping | Self::Close => 0,
        }
    }

    /// Whether it holds no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Adds a chunk's bytes to what was not read yet; without a copy when there is nothing.
pub(crate) fn append(input: &mut BytesMut, chunk: Chunk) {
    match chunk {
        Chunk::Binary(bytes) if input.is_empty() => *input = BytesMut::from(bytes),
        Chunk::Binary(bytes) => input.extend_from_slice(&bytes),
        Chunk::Text(text) => input.extend_from_slice(text.as_bytes()),
        Chunk::Ping | Chunk::Close => {}
    }
}
