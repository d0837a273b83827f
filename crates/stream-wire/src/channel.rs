//! Messages of the channel protocols: a channel's number, then bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Chunk, WireError};

/// Bytes of a message that is written.
const MESSAGE_BYTES_MAX: usize = 32 << 10;

/// A channel protocol of a WebSocket. The older ones have no name, or one without a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelProtocol {
    name: &'static str,
    is_base64: bool,
    /// The error channel holds a document.
    pub(crate) has_status_document: bool,
    /// A client can say that a channel of its ends.
    pub(crate) has_close: bool,
}

impl ChannelProtocol {
    /// What a client that names no protocol speaks.
    pub const UNNAMED: Self = Self::new("");
    /// Those of exec and attach.
    pub const FOR_COMMANDS: [Self; 5] = [
        Self {
            has_status_document: true,
            has_close: true,
            ..Self::new("v5.channel.k8s.io")
        },
        Self {
            has_status_document: true,
            ..Self::new("v4.channel.k8s.io")
        },
        Self {
            has_status_document: true,
            is_base64: true,
            ..Self::new("v4.base64.channel.k8s.io")
        },
        Self::new("channel.k8s.io"),
        Self {
            is_base64: true,
            ..Self::new("base64.channel.k8s.io")
        },
    ];
    /// Those of port-forward.
    pub const FOR_PORTS: [Self; 2] = [
        Self::new("v4.channel.k8s.io"),
        Self {
            is_base64: true,
            ..Self::new("v4.base64.channel.k8s.io")
        },
    ];

    const fn new(name: &'static str) -> Self {
        Self {
            name,
            is_base64: false,
            has_status_document: false,
            has_close: false,
        }
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The channel and the bytes of a message; nothing for an empty one.
    pub(crate) fn read(self, message: Chunk) -> Result<Option<(u8, Bytes)>, WireError> {
        let mut bytes = match message {
            Chunk::Binary(bytes) => bytes,
            Chunk::Text(text) => Bytes::from(text),
            Chunk::Ping | Chunk::Close => return Ok(None),
        };
        let Ok(first) = bytes.try_get_u8() else {
            return Ok(None);
        };
        if !self.is_base64 {
            return Ok(Some((first, bytes)));
        }
        let decoded = STANDARD.decode(&bytes);
        let why = "it is not base64";
        let decoded = decoded.map_err(|_| WireError::Message { why })?;
        Ok(Some((first.wrapping_sub(b'0'), Bytes::from(decoded))))
    }

    /// Messages with these bytes; one if there are none.
    pub(crate) fn write(self, channel: u8, bytes: &[u8]) -> impl Iterator<Item = Chunk> {
        let empty = bytes.is_empty().then(|| self.message(channel, &[]));
        let pieces = bytes.chunks(MESSAGE_BYTES_MAX);
        empty
            .into_iter()
            .chain(pieces.map(move |piece| self.message(channel, piece)))
    }

    fn message(self, channel: u8, bytes: &[u8]) -> Chunk {
        if self.is_base64 {
            let mut text = String::with_capacity(1 + bytes.len().div_ceil(3) * 4);
            text.push(char::from(b'0' + channel));
            STANDARD.encode_string(bytes, &mut text);
            return Chunk::Text(text);
        }
        let mut message = BytesMut::with_capacity(1 + bytes.len());
        message.put_u8(channel);
        message.put_slice(bytes);
        Chunk::Binary(message.freeze())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const BASE64: ChannelProtocol = ChannelProtocol::FOR_PORTS[1];

    #[test]
    fn a_message_is_a_channel_and_bytes() {
        let written: Vec<Chunk> = ChannelProtocol::UNNAMED.write(1, b"hi").collect();
        assert_eq!(written, [Chunk::Binary(Bytes::from_static(b"\x01hi"))]);
        let written: Vec<Chunk> = BASE64.write(10, b"hi").collect();
        assert_eq!(written, [Chunk::Text(":aGk=".to_owned())]);
        let read = BASE64.read(Chunk::Text(":aGk=".to_owned())).unwrap();
        assert_eq!(read, Some((10, Bytes::from_static(b"hi"))));
    }

    #[test]
    fn much_is_cut_and_nothing_is_said() {
        let much = vec![7; MESSAGE_BYTES_MAX + 1];
        let sizes: Vec<usize> = ChannelProtocol::UNNAMED
            .write(1, &much)
            .map(|message| message.len())
            .collect();
        assert_eq!(sizes, [MESSAGE_BYTES_MAX + 1, 2]);
        let nothing: Vec<Chunk> = ChannelProtocol::UNNAMED.write(1, &[]).collect();
        assert_eq!(nothing, [Chunk::Binary(Bytes::from_static(&[1]))]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_nothing_is_nothing() {
        let read = BASE64.read(Chunk::Text("0a?".to_owned()));
        assert!(matches!(read, Err(WireError::Message { .. })), "{read:?}");
        assert_eq!(BASE64.read(Chunk::Binary(Bytes::new())).unwrap(), None);
    }
}
