use std::collections::BTreeMap;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::frame::{self, DATA_BYTES_MAX, Frame, FrameReader};
use super::headers::{HeaderReader, HeaderWriter, Headers};
use crate::WireError;

/// A stream of a connection; the client opens them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u32);

/// Why a stream is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetStatus {
    /// The client did what it may not.
    ProtocolError = 1,
    /// There is no such stream.
    InvalidStream = 2,
    /// The stream is not wanted; nothing was done with it.
    Refused = 3,
    /// The stream is not needed any more.
    Cancel = 5,
    /// There was data after its end.
    AlreadyClosed = 9,
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// The client opened a stream, and waits for [`Connection::accept`] or [`Connection::reset`].
    Opened {
        /// Which.
        id: StreamId,
        /// What it says of it.
        headers: Headers,
    },
    /// Bytes of a stream; never none.
    Data {
        /// Which.
        id: StreamId,
        /// In the order in which they were sent.
        bytes: Bytes,
    },
    /// The client will send no more on a stream.
    Finished {
        /// Which.
        id: StreamId,
    },
    /// A stream is no more, in both directions.
    Reset {
        /// Which.
        id: StreamId,
    },
}

/// The server's side of a connection.
pub struct Connection {
    frames: FrameReader,
    headers: HeaderReader,
    reply: HeaderWriter,
    streams: BTreeMap<StreamId, Done>,
    /// The last stream that the client opened.
    last: u32,
    streams_max: usize,
    /// What follows the event that was told last.
    next: Option<StreamEvent>,
    client_leaves: bool,
    pings: u32,
    out: BytesMut,
}

/// Which sides of a stream have ended.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    client: bool,
    us: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection on which nothing was read or written yet. More than `streams_max` streams at
    /// once are refused.
    #[must_use]
    pub fn new(streams_max: usize) -> Self {
        Self {
            frames: FrameReader::default(),
            headers: HeaderReader::new(),
            reply: HeaderWriter::default(),
            streams: BTreeMap::new(),
            last: 0,
            streams_max,
            next: None,
            client_leaves: false,
            pings: 0,
            out: BytesMut::new(),
        }
    }

    /// What happened next, by the bytes of `input`, of which it takes what it has understood.
    ///
    /// # Errors
    /// The bytes are not SPDY/3.1, or against a bound. Nothing can be read after that.
    pub fn next_event(&mut self, input: &mut BytesMut) -> Result<Option<StreamEvent>, WireError> {
        if let Some(event) = self.next.take() {
            return Ok(Some(event));
        }
        while let Some(frame) = self.frames.next(input)? {
            if let Some(event) = self.take(frame)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Takes a stream that was opened. The client reads nothing of it before.
    pub fn accept(&mut self, id: StreamId) {
        if self.streams.contains_key(&id) {
            let block = self.reply.no_headers();
            frame::write_syn_reply(&mut self.out, id.0, &block);
        }
    }

    /// Sends bytes on a stream. They go nowhere if it is no more, or was finished.
    pub fn send(&mut self, id: StreamId, bytes: &[u8]) {
        if self.streams.get(&id).is_some_and(|done| !done.us) {
            for piece in bytes.chunks(DATA_BYTES_MAX) {
                frame::write_data(&mut self.out, id.0, piece, false);
            }
        }
    }

    /// Says that no more will be sent on a stream.
    pub fn finish(&mut self, id: StreamId) {
        let Some(done) = self.streams.get_mut(&id).filter(|done| !done.us) else {
            return;
        };
        done.us = true;
        if done.client {
            self.streams.remove(&id);
        }
        frame::write_data(&mut self.out, id.0, &[], true);
    }

    /// Ends a stream in both directions.
    pub fn reset(&mut self, id: StreamId, status: ResetStatus) {
        if self.streams.remove(&id).is_some() {
            self.write_reset(id.0, status);
        }
    }

    /// Asks the client for a sign of life.
    pub fn ping(&mut self) {
        // Ours are even, so that the client knows them from its own.
        self.pings = self.pings.wrapping_add(2).max(2);
        frame::write_ping(&mut self.out, self.pings);
    }

    /// Says that the connection ends. The client reads nothing after it.
    pub fn go_away(&mut self) {
        frame::write_go_away(&mut self.out, self.last);
    }

    /// What is to be written to the client; the caller takes it out.
    pub const fn outgoing(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// How much that is.
    #[must_use]
    pub fn outgoing_bytes(&self) -> usize {
        self.out.len()
    }

    fn take(&mut self, frame: Frame) -> Result<Option<StreamEvent>, WireError> {
        match frame {
            Frame::SynStream { id, fin, block } => {
                let headers = self.headers.read(&block)?;
                Ok(self.open(id, fin, headers))
            }
            Frame::OtherHeaders { block } => {
                self.headers.read(&block)?;
                Ok(None)
            }
            Frame::RstStream { id } => {
                let id = StreamId(id);
                Ok(self.streams.remove(&id).map(|_| StreamEvent::Reset { id }))
            }
            Frame::Ping { id } => {
                // An even one answers ours.
                if id % 2 == 1 {
                    frame::write_ping(&mut self.out, id);
                }
                Ok(None)
            }
            Frame::GoAway => {
                self.client_leaves = true;
                Ok(None)
            }
            Frame::Data {
                id,
                bytes,
                ends_frame,
                fin,
            } => Ok(self.data(id, bytes, ends_frame, fin)),
        }
    }

    fn open(&mut self, id: u32, fin: bool, headers: Headers) -> Option<StreamEvent> {
        if id.is_multiple_of(2) || id <= self.last {
            // A second opening of a stream ends the first.
            let known = self.streams.remove(&StreamId(id)).is_some();
            self.write_reset(id, ResetStatus::ProtocolError);
            return known.then_some(StreamEvent::Reset { id: StreamId(id) });
        }
        self.last = id;
        if self.client_leaves || self.streams.len() >= self.streams_max {
            self.write_reset(id, ResetStatus::Refused);
            return None;
        }
        let id = StreamId(id);
        let done = Done {
            client: fin,
            us: false,
        };
        self.streams.insert(id, done);
        self.next = fin.then_some(StreamEvent::Finished { id });
        Some(StreamEvent::Opened { id, headers })
    }

    fn data(&mut self, id: u32, bytes: Bytes, ends: bool, fin: bool) -> Option<StreamEvent> {
        let stream = StreamId(id);
        let Some(done) = self.streams.get_mut(&stream) else {
            // What was on its way when a stream ended is nobody's fault.
            let never_was = id > self.last || id.is_multiple_of(2);
            if ends && never_was {
                self.write_reset(id, ResetStatus::InvalidStream);
            }
            return None;
        };
        if done.client {
            self.reset(stream, ResetStatus::AlreadyClosed);
            return Some(StreamEvent::Reset { id: stream });
        }
        let finished = fin.then_some(StreamEvent::Finished { id: stream });
        if fin {
            done.client = true;
            if done.us {
                self.streams.remove(&stream);
            }
        }
        if bytes.is_empty() {
            return finished;
        }
        self.next = finished;
        Some(StreamEvent::Data { id: stream, bytes })
    }

    fn write_reset(&mut self, id: u32, status: ResetStatus) {
        frame::write_rst_stream(&mut self.out, id, status as u32);
    }
}
