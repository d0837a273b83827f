//! A client's side of SPDY, as small as the tests need it: it writes frames and reads answers.

use burstlet_stream_wire::Chunk;
use burstlet_stream_wire::spdy::dictionary;
use bytes::{Buf, Bytes};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

pub(crate) const SYN_REPLY: u16 = 2;
pub(crate) const RST_STREAM: u16 = 3;
pub(crate) const PING: u16 = 6;
pub(crate) const GOAWAY: u16 = 7;

/// Writes frames; the compression goes over all of them.
pub(crate) struct Frames {
    deflate: Compress,
    pub(crate) bytes: Vec<u8>,
}

impl Frames {
    pub(crate) fn new() -> Self {
        let mut deflate = Compress::new(Compression::best(), true);
        deflate.set_dictionary(dictionary()).unwrap();
        let bytes = Vec::new();
        Self { deflate, bytes }
    }

    pub(crate) fn open(mut self, id: u32, fin: bool, headers: &[(&str, &str)]) -> Self {
        let block = self.block(headers);
        let payload = [&id.to_be_bytes()[..], &[0; 6], &block].concat();
        self.control(1, u8::from(fin), &payload)
    }

    /// Headers in the middle of a stream.
    pub(crate) fn headers(mut self, id: u32, headers: &[(&str, &str)]) -> Self {
        let block = self.block(headers);
        let payload = [&id.to_be_bytes()[..], &block].concat();
        self.control(8, 0, &payload)
    }

    pub(crate) fn control(mut self, kind: u16, flags: u8, payload: &[u8]) -> Self {
        self.bytes.extend([0x80, 3]);
        self.bytes.extend(kind.to_be_bytes());
        self.length(flags, payload.len());
        self.bytes.extend(payload);
        self
    }

    pub(crate) fn data(mut self, id: u32, fin: bool, bytes: &[u8]) -> Self {
        self.bytes.extend(id.to_be_bytes());
        self.length(u8::from(fin), bytes.len());
        self.bytes.extend(bytes);
        self
    }

    pub(crate) fn reset(self, id: u32) -> Self {
        let payload = [id.to_be_bytes(), 5_u32.to_be_bytes()].concat();
        self.control(RST_STREAM, 0, &payload)
    }

    pub(crate) fn ping(self, id: u32) -> Self {
        self.control(PING, 0, &id.to_be_bytes())
    }

    pub(crate) fn chunk(&self) -> Chunk {
        Chunk::Binary(Bytes::copy_from_slice(&self.bytes))
    }

    fn length(&mut self, flags: u8, length: usize) {
        let length = u32::try_from(length).unwrap();
        self.bytes
            .extend((u32::from(flags) << 24 | length).to_be_bytes());
    }

    fn block(&mut self, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut plain = u32::try_from(headers.len()).unwrap().to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            plain.extend(text.as_bytes());
        }
        let mut block = Vec::with_capacity(plain.len() + 256);
        self.deflate
            .compress_vec(&plain, &mut block, FlushCompress::Sync)
            .unwrap();
        block
    }
}

/// A frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Reply(u32),
    Reset(u32, u32),
    Ping(u32),
    GoAway,
    Data(u32, Vec<u8>),
    Fin(u32),
}

/// Reads everything that a server wrote; `inflate` is the connection's.
pub(crate) fn answers(inflate: &mut Decompress, mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let word = bytes.get_u32();
        let (fin, length) = (bytes[0] & 1 == 1, (bytes.get_u32() & 0xff_ffff) as usize);
        let (mut payload, rest) = bytes.split_at(length);
        bytes = rest;
        if word >> 31 == 0 {
            if !payload.is_empty() {
                answers.push(Answer::Data(word, payload.to_vec()));
            }
            answers.extend(fin.then_some(Answer::Fin(word)));
            continue;
        }
        assert_eq!(word >> 16, 0x8003);
        answers.push(match (word & 0xffff) as u16 {
            SYN_REPLY => {
                let id = payload.get_u32();
                assert_eq!(inflated(inflate, payload), [0; 4], "a count of no headers");
                Answer::Reply(id)
            }
            RST_STREAM => Answer::Reset(payload.get_u32(), payload.get_u32()),
            PING => Answer::Ping(payload.get_u32()),
            GOAWAY => Answer::GoAway,
            other => panic!("a client does not bear control frames of type {other}"),
        });
    }
    answers
}

fn inflated(inflate: &mut Decompress, block: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(64);
    let before = inflate.total_in();
    inflate
        .decompress_vec(block, &mut plain, FlushDecompress::Sync)
        .unwrap();
    assert_eq!(inflate.total_in() - before, block.len() as u64);
    plain
}
