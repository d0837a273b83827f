//! Frames: cut out of the bytes as they come, and written.
//!
//! A control frame is given whole, so its length is bounded. A data frame is passed on piece by
//! piece as it comes, however long it says it is.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::WireError;

/// Bytes of a control frame that is read whole.
pub const CONTROL_BYTES_MAX: usize = 64 << 10;
/// Bytes of a data frame that is written.
pub const DATA_BYTES_MAX: usize = 32 << 10;

const HEAD_BYTES: usize = 8;
const VERSION: u16 = 3;
const CONTROL: u32 = 1 << 31;
const LENGTH: u32 = 0x00ff_ffff;
const FLAG_FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// What a peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    SynStream {
        id: u32,
        fin: bool,
        block: Bytes,
    },
    /// A block of headers that means nothing here, and without which later ones cannot be read.
    OtherHeaders {
        block: Bytes,
    },
    RstStream {
        id: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    /// A piece of a data frame.
    Data {
        id: u32,
        bytes: Bytes,
        /// It is the frame's last piece.
        ends_frame: bool,
        /// It is the stream's last piece.
        fin: bool,
    },
}

/// Where in a frame the bytes are.
#[derive(Debug, Default)]
pub(super) enum FrameReader {
    #[default]
    Head,
    Data {
        id: u32,
        left: usize,
        fin: bool,
    },
    Skipped {
        left: usize,
    },
}

impl FrameReader {
    /// The next frame, or piece of one, taken from `input`; `None` when more bytes are needed.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        loop {
            match *self {
                Self::Head => match self.head(input)? {
                    Head::Incomplete => return Ok(None),
                    Head::Frame(frame) => return Ok(Some(frame)),
                    Head::PassedOver => {}
                },
                Self::Data { id, left, fin } => return Ok(self.piece(input, id, left, fin)),
                Self::Skipped { left } => {
                    let here = left.min(input.len());
                    input.advance(here);
                    if here < left {
                        *self = Self::Skipped { left: left - here };
                        return Ok(None);
                    }
                    *self = Self::Head;
                }
            }
        }
    }

    fn piece(&mut self, input: &mut BytesMut, id: u32, left: usize, fin: bool) -> Option<Frame> {
        if input.is_empty() {
            return None;
        }
        let bytes = input.split_to(left.min(input.len())).freeze();
        let left = left - bytes.len();
        let ends_frame = left == 0;
        *self = if ends_frame {
            Self::Head
        } else {
            Self::Data { id, left, fin }
        };
        Some(Frame::Data {
            id,
            bytes,
            ends_frame,
            fin: fin && ends_frame,
        })
    }

    fn head(&mut self, input: &mut BytesMut) -> Result<Head, WireError> {
        let Some((mut head, _)) = input.split_at_checked(HEAD_BYTES) else {
            return Ok(Head::Incomplete);
        };
        let (word, flags_and_length) = (head.get_u32(), head.get_u32());
        let length = (flags_and_length & LENGTH) as usize;
        let fin = (flags_and_length >> 24) as u8 & FLAG_FIN != 0;
        if word & CONTROL == 0 {
            input.advance(HEAD_BYTES);
            return self.data_head(word, length, fin);
        }
        let (version, kind) = ((word >> 16) as u16 & 0x7fff, (word & 0xffff) as u16);
        if version != VERSION {
            return Err(WireError::Version { version });
        }
        let Some(frame) = name(kind) else {
            input.advance(HEAD_BYTES);
            *self = Self::Skipped { left: length };
            return Ok(Head::PassedOver);
        };
        if length > CONTROL_BYTES_MAX {
            let max = CONTROL_BYTES_MAX;
            return Err(WireError::FrameTooLong { frame, length, max });
        }
        if input.len() < HEAD_BYTES + length {
            return Ok(Head::Incomplete);
        }
        input.advance(HEAD_BYTES);
        let payload = input.split_to(length).freeze();
        let parsed = control(kind, fin, payload)
            .ok_or_else(|| malformed(frame, "its length does not fit its kind"))?;
        Ok(parsed.map_or(Head::PassedOver, Head::Frame))
    }

    fn data_head(&mut self, id: u32, length: usize, fin: bool) -> Result<Head, WireError> {
        if id == 0 {
            return Err(malformed("data", "it is of stream 0"));
        }
        if length > 0 {
            *self = Self::Data {
                id,
                left: length,
                fin,
            };
            return Ok(Head::PassedOver);
        }
        Ok(Head::Frame(Frame::Data {
            id,
            bytes: Bytes::new(),
            ends_frame: true,
            fin,
        }))
    }
}

/// What the first bytes of a frame gave.
enum Head {
    Incomplete,
    PassedOver,
    Frame(Frame),
}

fn name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        SYN_STREAM => "SYN_STREAM",
        SYN_REPLY => "SYN_REPLY",
        RST_STREAM => "RST_STREAM",
        SETTINGS => "SETTINGS",
        PING => "PING",
        GOAWAY => "GOAWAY",
        HEADERS => "HEADERS",
        WINDOW_UPDATE => "WINDOW_UPDATE",
        _ => return None,
    })
}

/// `None` when the length is wrong, `Some(None)` when there is nothing to do.
fn control(kind: u16, fin: bool, mut payload: Bytes) -> Option<Option<Frame>> {
    let exactly = |bytes: usize| (payload.len() == bytes).then_some(());
    Some(match kind {
        SYN_STREAM => {
            let id = payload.try_get_u32().ok()? & !CONTROL;
            // The associated stream, the priority and the credential's slot.
            payload.try_get_u32().ok()?;
            payload.try_get_u16().ok()?;
            let block = payload;
            Some(Frame::SynStream { id, fin, block })
        }
        SYN_REPLY | HEADERS => {
            payload.try_get_u32().ok()?;
            Some(Frame::OtherHeaders { block: payload })
        }
        RST_STREAM => {
            exactly(8)?;
            let id = payload.get_u32() & !CONTROL;
            Some(Frame::RstStream { id })
        }
        PING => {
            exactly(4)?;
            let id = payload.get_u32();
            Some(Frame::Ping { id })
        }
        GOAWAY => {
            exactly(8)?;
            Some(Frame::GoAway)
        }
        WINDOW_UPDATE => {
            exactly(8)?;
            None
        }
        SETTINGS => {
            let entries = payload.try_get_u32().ok()? as usize;
            (entries.checked_mul(8) == Some(payload.len())).then_some(())?;
            None
        }
        _ => None,
    })
}

const fn malformed(frame: &'static str, why: &'static str) -> WireError {
    WireError::Frame { frame, why }
}

pub(super) fn write_syn_reply(out: &mut BytesMut, id: u32, block: &[u8]) {
    control_head(out, SYN_REPLY, 4 + block.len());
    out.put_u32(id);
    out.put_slice(block);
}

pub(super) fn write_rst_stream(out: &mut BytesMut, id: u32, status: u32) {
    control_head(out, RST_STREAM, 8);
    out.put_u32(id);
    out.put_u32(status);
}

pub(super) fn write_ping(out: &mut BytesMut, id: u32) {
    control_head(out, PING, 4);
    out.put_u32(id);
}

pub(super) fn write_go_away(out: &mut BytesMut, last: u32) {
    control_head(out, GOAWAY, 8);
    out.put_u32(last);
    out.put_u32(0);
}

/// At most [`DATA_BYTES_MAX`] bytes.
pub(super) fn write_data(out: &mut BytesMut, id: u32, bytes: &[u8], fin: bool) {
    out.reserve(HEAD_BYTES + bytes.len());
    out.put_u32(id);
    put_length(out, if fin { FLAG_FIN } else { 0 }, bytes.len());
    out.put_slice(bytes);
}

fn control_head(out: &mut BytesMut, kind: u16, length: usize) {
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    put_length(out, 0, length);
}

fn put_length(out: &mut BytesMut, flags: u8, length: usize) {
    let length = u32::try_from(length).unwrap_or(LENGTH) & LENGTH;
    out.put_u32(u32::from(flags) << 24 | length);
}
