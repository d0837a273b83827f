use std::collections::VecDeque;

use bytes::BytesMut;

use super::resize::SizeReader;
use super::{ClientEvent, CommandProtocol, CommandWire, Exit, Output, Wanted};
use crate::chunk::{Chunk, append};
use crate::error::WireError;
use crate::spdy::{Connection, Headers, ResetStatus, StreamEvent, StreamId};
use crate::wire::Wire;

/// Streams of a connection: the five that there are, and as many that are being refused.
const STREAMS_MAX: usize = 10;
/// Bytes that a client may send before all its streams are open.
const EARLY_BYTES_MAX: usize = 64 << 10;

/// Exec or attach over SPDY: a stream for each of error, stdin, stdout, stderr and resize, which
/// the client opens and names by the header `streamType`.
#[derive(Debug)]
pub struct SpdyCommand {
    protocol: CommandProtocol,
    connection: Connection,
    input: BytesMut,
    /// One for each kind that is expected.
    streams: Vec<(Kind, Option<StreamId>)>,
    is_ready: bool,
    early_bytes: usize,
    sizes: SizeReader,
    events: VecDeque<ClientEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Error,
    Stdin,
    Stdout,
    Stderr,
    Resize,
}

impl SpdyCommand {
    /// The wire after the upgrade, before the client has opened a stream.
    #[must_use]
    pub fn new(protocol: CommandProtocol, wanted: Wanted) -> Self {
        let expected = [
            (Kind::Error, true),
            (Kind::Stdin, wanted.stdin),
            (Kind::Stdout, wanted.stdout),
            (Kind::Stderr, wanted.stderr && !wanted.tty),
            (Kind::Resize, wanted.tty && protocol.has_resize()),
        ];
        Self {
            protocol,
            connection: Connection::new(STREAMS_MAX),
            input: BytesMut::new(),
            streams: expected
                .into_iter()
                .filter_map(|(kind, is_expected)| is_expected.then_some((kind, None)))
                .collect(),
            is_ready: false,
            early_bytes: 0,
            sizes: SizeReader::default(),
            events: VecDeque::new(),
        }
    }

    fn take(&mut self, event: StreamEvent) -> Result<(), WireError> {
        if let (false, StreamEvent::Data { bytes, .. }) = (self.is_ready, &event) {
            self.early_bytes += bytes.len();
            if self.early_bytes > EARLY_BYTES_MAX {
                let why = "there is too much before all streams are open";
                return Err(WireError::Frame { frame: "data", why });
            }
        }
        match event {
            StreamEvent::Opened { id, headers } => self.opened(id, &headers),
            StreamEvent::Data { id, bytes } => match self.kind(id) {
                Some(Kind::Stdin) => self.events.push_back(ClientEvent::Stdin(bytes)),
                Some(Kind::Resize) => {
                    let sizes = self.sizes.read(&bytes);
                    self.events
                        .extend(sizes.into_iter().map(ClientEvent::Resize));
                }
                Some(Kind::Error | Kind::Stdout | Kind::Stderr) | None => {}
            },
            StreamEvent::Finished { id } | StreamEvent::Reset { id } => {
                if self.kind(id) == Some(Kind::Stdin) {
                    self.events.push_back(ClientEvent::StdinEnd);
                }
            }
        }
        Ok(())
    }

    fn opened(&mut self, id: StreamId, headers: &Headers) {
        let kind = headers.get("streamtype").and_then(Kind::named);
        let free = self
            .streams
            .iter_mut()
            .find(|(expected, stream)| Some(*expected) == kind && stream.is_none());
        let Some((_, stream)) = free else {
            self.connection.reset(id, ResetStatus::Refused);
            return;
        };
        *stream = Some(id);
        self.connection.accept(id);
        if !self.is_ready && self.streams.iter().all(|(_, stream)| stream.is_some()) {
            self.is_ready = true;
            // What the client sent meanwhile comes after this.
            self.events.push_front(ClientEvent::Ready);
        }
    }

    fn kind(&self, id: StreamId) -> Option<Kind> {
        let found = self.streams.iter().find(|(_, stream)| *stream == Some(id));
        found.map(|(kind, _)| *kind)
    }

    fn stream(&self, kind: Kind) -> Option<StreamId> {
        let found = self.streams.iter().find(|(have, _)| *have == kind);
        found.and_then(|(_, stream)| *stream)
    }
}

impl Wire for SpdyCommand {
    type Event = ClientEvent;

    fn receive(&mut self, chunk: Chunk) {
        append(&mut self.input, chunk);
    }

    fn next_event(&mut self) -> Result<Option<ClientEvent>, WireError> {
        loop {
            if self.is_ready
                && let Some(event) = self.events.pop_front()
            {
                return Ok(Some(event));
            }
            match self.connection.next_event(&mut self.input)? {
                Some(event) => self.take(event)?,
                None => return Ok(None),
            }
        }
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

impl CommandWire for SpdyCommand {
    fn send(&mut self, output: Output, bytes: &[u8]) {
        let kind = match output {
            Output::Stdout => Kind::Stdout,
            Output::Stderr => Kind::Stderr,
        };
        if let Some(id) = self.stream(kind) {
            self.connection.send(id, bytes);
        }
    }

    fn end(&mut self, exit: &Exit) {
        let document = exit.to_error_stream(self.protocol.has_status_document());
        if let Some(error) = self.stream(Kind::Error) {
            self.connection.send(error, &document);
        }
        // The error stream last but for the client's own: when that ends, all output is there.
        for kind in [
            Kind::Stdout,
            Kind::Stderr,
            Kind::Error,
            Kind::Stdin,
            Kind::Resize,
        ] {
            if let Some(id) = self.stream(kind) {
                self.connection.finish(id);
            }
        }
    }
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "error" => Self::Error,
            "stdin" => Self::Stdin,
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            "resize" => Self::Resize,
            _ => return None,
        })
    }
}
