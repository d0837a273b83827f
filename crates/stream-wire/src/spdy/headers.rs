//! Blocks of headers. One context of zlib for all blocks of a direction: a block that cannot be
//! read makes all later ones unreadable, so every error here ends the connection.

use bytes::Buf;
use flate2::{Decompress, FlushDecompress, Status};

use super::dictionary::{DICTIONARY_ID, dictionary};
use crate::WireError;

/// Headers of a stream; clients send three.
pub const HEADERS_MAX: usize = 64;
/// Bytes of a header's name, and of its value.
pub const HEADER_BYTES_MAX: usize = 16 << 10;
/// Bytes that a block inflates to.
pub const BLOCK_BYTES_MAX: usize = 64 << 10;

/// What the inflated block is first given room for; most fit.
const BLOCK_BYTES_EXPECTED: usize = 512;

/// A block with no headers. A compressor would take 256 KiB for each connection, to say the same
/// four zeros each time: they are stored, and an empty stored block flushes them.
const NO_HEADERS: &[u8] = &[
    0x00, 4, 0, 0xfb, 0xff, 0, 0, 0, 0, 0x00, 0x00, 0x00, 0xff, 0xff,
];
/// What a stream of zlib begins with: deflate, no dictionary.
const ZLIB_HEAD: &[u8] = &[0x78, 0x01];

/// The headers that a stream was opened with; names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(have, _)| have == name);
        found.and_then(|(_, value)| value.split('\0').next())
    }
}

/// What reads the blocks of a connection, in their order.
pub(super) struct HeaderReader {
    inflate: Decompress,
}

impl HeaderReader {
    pub(super) fn new() -> Self {
        Self {
            inflate: Decompress::new(true),
        }
    }

    pub(super) fn read(&mut self, block: &[u8]) -> Result<Headers, WireError> {
        parse(&self.inflate(block)?)
    }

    fn inflate(&mut self, mut block: &[u8]) -> Result<Vec<u8>, WireError> {
        let mut plain = Vec::with_capacity(BLOCK_BYTES_EXPECTED);
        loop {
            if plain.len() == plain.capacity() {
                plain.reserve(plain.len());
            }
            let (read, written) = (self.inflate.total_in(), plain.len());
            let result = self
                .inflate
                .decompress_vec(block, &mut plain, FlushDecompress::Sync);
            // The difference is at most the length of the block.
            let taken = (self.inflate.total_in() - read) as usize;
            block = block.get(taken..).unwrap_or_default();
            if plain.len() > BLOCK_BYTES_MAX {
                return Err(fault("it inflates to too much"));
            }
            match result {
                Ok(Status::StreamEnd) => return Err(fault("it ends the compressed stream")),
                Ok(_) if block.is_empty() && plain.len() < plain.capacity() => return Ok(plain),
                Ok(_) if taken == 0 && plain.len() == written => {
                    return Err(fault("it cannot be inflated"));
                }
                Ok(_) => {}
                Err(error) if error.needs_dictionary() == Some(DICTIONARY_ID) => {
                    self.inflate
                        .set_dictionary(dictionary())
                        .map_err(|_| fault("it takes no dictionary"))?;
                }
                Err(_) => return Err(fault("it cannot be inflated")),
            }
        }
    }
}

/// Writes blocks without headers.
#[derive(Debug, Default)]
pub(super) struct HeaderWriter {
    begun: bool,
}

impl HeaderWriter {
    pub(super) fn no_headers(&mut self) -> Vec<u8> {
        let head = if self.begun { &[] } else { ZLIB_HEAD };
        self.begun = true;
        [head, NO_HEADERS].concat()
    }
}

fn parse(mut plain: &[u8]) -> Result<Headers, WireError> {
    let count = plain.try_get_u32().map_err(|_| fault("it is cut off"))? as usize;
    if count > HEADERS_MAX {
        return Err(fault("it has too many headers"));
    }
    let mut headers: Vec<(String, String)> = Vec::with_capacity(count);
    for _ in 0..count {
        let name = text(&mut plain)?;
        let value = text(&mut plain)?;
        if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(fault("a name is empty, or not in lower case"));
        }
        if headers.iter().any(|(have, _)| *have == name) {
            return Err(fault("a name is there twice"));
        }
        headers.push((name, value));
    }
    if !plain.is_empty() {
        return Err(fault("something follows its last header"));
    }
    Ok(Headers(headers))
}

fn text(plain: &mut &[u8]) -> Result<String, WireError> {
    let length = plain.try_get_u32().map_err(|_| fault("it is cut off"))? as usize;
    if length > HEADER_BYTES_MAX {
        return Err(fault("a header is too long"));
    }
    let (text, rest) = plain
        .split_at_checked(length)
        .ok_or_else(|| fault("it is cut off"))?;
    *plain = rest;
    String::from_utf8(text.to_vec()).map_err(|_| fault("a header is not UTF-8"))
}

const fn fault(why: &'static str) -> WireError {
    WireError::Headers { why }
}
