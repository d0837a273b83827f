use std::collections::BTreeMap;

use bytes::BytesMut;

use super::{ForwardEvent, ForwardWire, PairId};
use crate::chunk::{Chunk, append};
use crate::error::WireError;
use crate::spdy::{Connection, Headers, ResetStatus, StreamEvent, StreamId};
use crate::wire::Wire;

/// Streams at once: two for each connection to a port.
const STREAMS_MAX: usize = 1024;
/// Bytes of the word by which a client pairs two streams; they send a number.
const REQUEST_BYTES_MAX: usize = 64;

/// Port-forward over SPDY. For each connection the client opens a stream for errors, which only we
/// write to, and one for data, with the same header `requestID`.
///
/// ```text
/// one stream ─► waiting ─► both: Open ─► data ended both ways, or reset ─► gone
///                  └─ two sweeps ─► reset
/// ```
#[derive(Debug)]
pub struct SpdyForward {
    connection: Connection,
    input: BytesMut,
    /// Streams that are alone yet, by the word that pairs them.
    waiting: BTreeMap<String, Waiting>,
    /// The error stream of each pair.
    pairs: BTreeMap<PairId, StreamId>,
}

#[derive(Debug)]
struct Waiting {
    id: StreamId,
    kind: Kind,
    port: u16,
    /// It was there at the last sweep.
    is_old: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Error,
    Data,
}

impl SpdyForward {
    /// The wire after the upgrade, before the client has opened a stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connection: Connection::new(STREAMS_MAX),
            input: BytesMut::new(),
            waiting: BTreeMap::new(),
            pairs: BTreeMap::new(),
        }
    }

    fn take(&mut self, event: StreamEvent) -> Option<ForwardEvent> {
        match event {
            StreamEvent::Opened { id, headers } => self.opened(id, &headers),
            StreamEvent::Data { id, bytes } => {
                let pair = PairId(id.0);
                if self.pairs.contains_key(&pair) {
                    return Some(ForwardEvent::Data { pair, bytes });
                }
                // Data before its pair is there is not kept.
                let waits = self.waiting.iter();
                let early = waits.filter(|(_, it)| it.id == id && it.kind == Kind::Data);
                if let Some(request) = early.map(|(request, _)| request.clone()).next() {
                    self.waiting.remove(&request);
                    self.connection.reset(id, ResetStatus::ProtocolError);
                }
                None
            }
            StreamEvent::Finished { id } => {
                let pair = PairId(id.0);
                let is_pair = self.pairs.contains_key(&pair);
                is_pair.then_some(ForwardEvent::End { pair })
            }
            StreamEvent::Reset { id } => {
                self.waiting.retain(|_, waiting| waiting.id != id);
                let pair = PairId(id.0);
                let error = self.pairs.remove(&pair)?;
                self.connection.finish(error);
                Some(ForwardEvent::Abort { pair })
            }
        }
    }

    fn opened(&mut self, id: StreamId, headers: &Headers) -> Option<ForwardEvent> {
        let Some((request, kind, port)) = read(id, headers) else {
            self.connection.reset(id, ResetStatus::ProtocolError);
            return None;
        };
        let Some(other) = self.waiting.remove(&request) else {
            self.connection.accept(id);
            let is_old = false;
            self.waiting.insert(
                request,
                Waiting {
                    id,
                    kind,
                    port,
                    is_old,
                },
            );
            return None;
        };
        if other.kind == kind || other.port != port {
            self.connection.reset(id, ResetStatus::ProtocolError);
            self.waiting.insert(request, other);
            return None;
        }
        self.connection.accept(id);
        let (error, data) = match kind {
            Kind::Data => (other.id, id),
            Kind::Error => (id, other.id),
        };
        let pair = PairId(data.0);
        self.pairs.insert(pair, error);
        Some(ForwardEvent::Open { pair, port })
    }
}

impl Default for SpdyForward {
    fn default() -> Self {
        Self::new()
    }
}

impl Wire for SpdyForward {
    type Event = ForwardEvent;

    fn receive(&mut self, chunk: Chunk) {
        append(&mut self.input, chunk);
    }

    fn next_event(&mut self) -> Result<Option<ForwardEvent>, WireError> {
        while let Some(event) = self.connection.next_event(&mut self.input)? {
            if let Some(event) = self.take(event) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn close(&mut self) {
        self.connection.go_away();
    }

    fn keep_alive(&mut self) {
        self.connection.ping();
    }

    fn take_outgoing(&mut self) -> Option<Chunk> {
        let out = self.connection.outgoing();
        (!out.is_empty()).then(|| Chunk::Binary(out.split().freeze()))
    }

    fn outgoing_bytes(&self) -> usize {
        self.connection.outgoing_bytes()
    }
}

impl ForwardWire for SpdyForward {
    fn send(&mut self, pair: PairId, bytes: &[u8]) {
        self.connection.send(StreamId(pair.0), bytes);
    }

    fn finish(&mut self, pair: PairId) {
        self.connection.finish(StreamId(pair.0));
    }

    fn done(&mut self, pair: PairId) {
        if let Some(error) = self.pairs.remove(&pair) {
            self.connection.finish(error);
            let data = StreamId(pair.0);
            self.connection.finish(data);
            // Only if the client has not ended it.
            self.connection.reset(data, ResetStatus::Cancel);
        }
    }

    fn fail(&mut self, pair: PairId, why: &str) {
        if let Some(error) = self.pairs.remove(&pair) {
            self.connection.send(error, why.as_bytes());
            self.connection.finish(error);
            self.connection.reset(StreamId(pair.0), ResetStatus::Cancel);
        }
    }

    fn sweep(&mut self) {
        let connection = &mut self.connection;
        self.waiting.retain(|_, waiting| {
            if waiting.is_old {
                connection.reset(waiting.id, ResetStatus::Cancel);
            }
            !std::mem::replace(&mut waiting.is_old, true)
        });
    }
}

/// What a stream belongs to, which half of it, and the port.
fn read(id: StreamId, headers: &Headers) -> Option<(String, Kind, u16)> {
    let kind = match headers.get("streamtype")? {
        "error" => Kind::Error,
        "data" => Kind::Data,
        _ => return None,
    };
    let port: u16 = headers.get("port")?.parse().ok()?;
    let request = match (headers.get("requestid"), kind) {
        (Some(request), _) => request.to_owned(),
        // Old clients open the data stream right after that for errors.
        (None, Kind::Error) => format!("stream {}", id.0),
        (None, Kind::Data) => format!("stream {}", id.0.checked_sub(2)?),
    };
    (port > 0 && request.len() <= REQUEST_BYTES_MAX).then_some((request, kind, port))
}
