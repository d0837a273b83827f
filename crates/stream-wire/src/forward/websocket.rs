use std::collections::VecDeque;

use super::{ForwardEvent, ForwardWire, PairId};
use crate::{ChannelProtocol, Chunk, Wire, WireError};

/// Ports of a WebSocket: their channels are written as one printable character.
pub const PORTS_MAX: usize = 32;

/// Port-forward over a WebSocket's channels: one connection for each port that the request names.
/// The port's place in that list says its channels: two, for data and for errors. Nobody can say
/// there that a direction has ended.
#[derive(Debug)]
pub struct WebSocketForward {
    protocol: ChannelProtocol,
    /// Whether each port's connection may still come to something.
    is_open: Vec<bool>,
    received: VecDeque<Chunk>,
    events: VecDeque<ForwardEvent>,
    out: VecDeque<Chunk>,
    out_bytes: usize,
}

impl WebSocketForward {
    /// The wire after the upgrade; `None` with no port, port 0 or more than [`PORTS_MAX`].
    #[must_use]
    pub fn new(protocol: ChannelProtocol, ports: &[u16]) -> Option<Self> {
        if ports.is_empty() || ports.len() > PORTS_MAX || ports.contains(&0) {
            return None;
        }
        let mut wire = Self {
            protocol,
            is_open: vec![true; ports.len()],
            received: VecDeque::new(),
            events: VecDeque::new(),
            out: VecDeque::new(),
            out_bytes: 0,
        };
        for (index, port) in (0_u32..).zip(ports) {
            let (pair, port) = (PairId(index), *port);
            wire.events.push_back(ForwardEvent::Open { pair, port });
            for channel in [data_channel(pair), error_channel(pair)] {
                wire.write(channel, &port.to_le_bytes());
            }
        }
        Some(wire)
    }

    fn take(&mut self, message: Chunk) -> Result<Option<ForwardEvent>, WireError> {
        let Some((channel, bytes)) = self.protocol.read(message)? else {
            return Ok(None);
        };
        let pair = PairId(u32::from(channel / 2));
        let is_data = channel.is_multiple_of(2) && !bytes.is_empty() && self.is_open(pair);
        Ok(is_data.then_some(ForwardEvent::Data { pair, bytes }))
    }

    fn write(&mut self, channel: u8, bytes: &[u8]) {
        for message in self.protocol.write(channel, bytes) {
            self.out_bytes += message.len();
            self.out.push_back(message);
        }
    }

    fn is_open(&self, pair: PairId) -> bool {
        self.is_open.get(pair.0 as usize).copied().unwrap_or(false)
    }
}

impl Wire for WebSocketForward {
    type Event = ForwardEvent;

    fn receive(&mut self, chunk: Chunk) {
        self.received.push_back(chunk);
    }

    fn next_event(&mut self) -> Result<Option<ForwardEvent>, WireError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        while let Some(message) = self.received.pop_front() {
            if let Some(event) = self.take(message)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn close(&mut self) {
        self.out.push_back(Chunk::Close);
    }

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

impl ForwardWire for WebSocketForward {
    fn send(&mut self, pair: PairId, bytes: &[u8]) {
        if self.is_open(pair) && !bytes.is_empty() {
            self.write(data_channel(pair), bytes);
        }
    }

    /// There is no word for it, and clients cannot say theirs: it is the end of the pair.
    fn finish(&mut self, pair: PairId) {
        self.done(pair);
    }

    fn done(&mut self, pair: PairId) {
        if !self.is_open(pair) {
            return;
        }
        if let Some(is_open) = self.is_open.get_mut(pair.0 as usize) {
            *is_open = false;
        }
        if !self.is_open.contains(&true) {
            self.out.push_back(Chunk::Close);
        }
    }

    fn fail(&mut self, pair: PairId, why: &str) {
        if self.is_open(pair) {
            self.write(error_channel(pair), why.as_bytes());
            self.done(pair);
        }
    }

    /// Nothing is ever half open.
    fn sweep(&mut self) {}
}

/// There are at most [`PORTS_MAX`] pairs.
const fn data_channel(pair: PairId) -> u8 {
    pair.0 as u8 * 2
}

const fn error_channel(pair: PairId) -> u8 {
    pair.0 as u8 * 2 + 1
}
