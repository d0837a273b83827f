use std::collections::VecDeque;

use super::resize::SizeReader;
use super::{ClientEvent, CommandWire, Exit, Output, Wanted};
use crate::{ChannelProtocol, Chunk, Wire, WireError};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// The channel that says of another one that it ends.
const CLOSE: u8 = 255;

/// Exec or attach over a WebSocket: each message has a channel.
#[derive(Debug)]
pub struct WebSocketCommand {
    protocol: ChannelProtocol,
    wanted: Wanted,
    has_begun: bool,
    stdin_ended: bool,
    received: VecDeque<Chunk>,
    sizes: SizeReader,
    events: VecDeque<ClientEvent>,
    out: VecDeque<Chunk>,
    out_bytes: usize,
}

impl WebSocketCommand {
    /// The wire after the upgrade.
    #[must_use]
    pub fn new(protocol: ChannelProtocol, wanted: Wanted) -> Self {
        let mut wire = Self {
            protocol,
            wanted: Wanted {
                stderr: wanted.stderr && !wanted.tty,
                ..wanted
            },
            has_begun: false,
            stdin_ended: false,
            received: VecDeque::new(),
            sizes: SizeReader::default(),
            events: VecDeque::new(),
            out: VecDeque::new(),
            out_bytes: 0,
        };
        // Some clients wait for a first message, empty as it is.
        let first = match wire.wanted {
            Wanted { stdout: true, .. } => STDOUT,
            Wanted { stderr: true, .. } => STDERR,
            _ => ERROR,
        };
        wire.write(first, &[]);
        wire
    }

    fn take(&mut self, message: Chunk) -> Result<(), WireError> {
        let Some((channel, bytes)) = self.protocol.read(message)? else {
            return Ok(());
        };
        match channel {
            STDIN if self.wanted.stdin && !self.stdin_ended && !bytes.is_empty() => {
                self.events.push_back(ClientEvent::Stdin(bytes));
            }
            RESIZE if self.wanted.tty => {
                let sizes = self.sizes.read(&bytes);
                self.events
                    .extend(sizes.into_iter().map(ClientEvent::Resize));
            }
            CLOSE if self.ends_stdin(&bytes) => {
                self.stdin_ended = true;
                self.events.push_back(ClientEvent::StdinEnd);
            }
            _ => {}
        }
        Ok(())
    }

    fn ends_stdin(&self, channels: &[u8]) -> bool {
        let is_stdin = self.protocol.has_close && channels.first() == Some(&STDIN);
        is_stdin && self.wanted.stdin && !self.stdin_ended
    }

    fn write(&mut self, channel: u8, bytes: &[u8]) {
        for message in self.protocol.write(channel, bytes) {
            self.out_bytes += message.len();
            self.out.push_back(message);
        }
    }
}

impl Wire for WebSocketCommand {
    type Event = ClientEvent;

    fn receive(&mut self, chunk: Chunk) {
        self.received.push_back(chunk);
    }

    fn next_event(&mut self) -> Result<Option<ClientEvent>, WireError> {
        if !self.has_begun {
            self.has_begun = true;
            return Ok(Some(ClientEvent::Ready));
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            match self.received.pop_front() {
                Some(message) => self.take(message)?,
                None => return Ok(None),
            }
        }
    }

    /// Its end said so already.
    fn close(&mut self) {}

    fn keep_alive(&mut self) {
        self.out.push_back(Chunk::Ping);
    }

    fn take_outgoing(&mut self) -> Option<Chunk> {
        let chunk = self.out.pop_front()?;
        self.out_bytes -= chunk.len();
        Some(chunk)
    }

    fn outgoing_bytes(&self) -> usize {
        self.out_bytes
    }
}

impl CommandWire for WebSocketCommand {
    fn send(&mut self, output: Output, bytes: &[u8]) {
        let (channel, is_wanted) = match output {
            Output::Stdout => (STDOUT, self.wanted.stdout),
            Output::Stderr => (STDERR, self.wanted.stderr),
        };
        if is_wanted && !bytes.is_empty() {
            self.write(channel, bytes);
        }
    }

    fn end(&mut self, exit: &Exit) {
        let document = exit.to_error_stream(self.protocol.has_status_document);
        if !document.is_empty() {
            self.write(ERROR, &document);
        }
        self.out.push_back(Chunk::Close);
    }
}
