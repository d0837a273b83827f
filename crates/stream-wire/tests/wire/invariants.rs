//! What must hold whatever a client sends. The properties try it with what is nearly right, and
//! the fuzz targets with anything.

use burstlet_stream_wire::spdy::{BLOCK_BYTES_MAX, Connection, StreamEvent};
use burstlet_stream_wire::{
    ChannelProtocol, Chunk, ClientEvent, CommandProtocol, CommandWire, ForwardEvent, ForwardWire,
    SpdyCommand, SpdyForward, Wanted, WebSocketCommand, WebSocketForward, WireError,
};
use bytes::{Bytes, BytesMut};

/// Streams of the connections that are tried.
const STREAMS_MAX: usize = 4;

pub(crate) const EVERYTHING: Wanted = Wanted {
    stdin: true,
    stdout: true,
    stderr: false,
    tty: true,
};

/// What was told, with neighbouring bytes as one, and how the reading ended.
pub(crate) type Told<E> = (Vec<E>, Option<WireError>);

/// Nothing panics; the cuts change nothing; the answers are bounded by what they answer.
pub(crate) fn check_connection(bytes: &[u8], cuts: &[usize]) {
    let whole = connection(&[bytes]);
    assert_eq!(connection(&pieces(bytes, cuts)), whole);
    for event in &whole.0 {
        if let StreamEvent::Opened { headers, .. } = event {
            assert!(format!("{headers:?}").len() <= 8 * BLOCK_BYTES_MAX);
        }
    }
}

/// The same for exec and attach.
pub(crate) fn check_command(bytes: &[u8], cuts: &[usize]) {
    let wire = || SpdyCommand::new(CommandProtocol::V4, EVERYTHING);
    let whole = command(wire(), &binary(&[bytes]));
    let cut = command(wire(), &binary(&pieces(bytes, cuts)));
    assert_eq!(cut, whole);
    let input: usize = whole.0.iter().map(stdin_bytes).sum();
    assert!(input <= bytes.len(), "input that nobody sent");
    let ready = whole.0.iter().filter(|event| **event == ClientEvent::Ready);
    assert!(ready.count() <= 1);
}

/// The same for port-forward, also in the messages of a tunnel.
pub(crate) fn check_forward(bytes: &[u8], cuts: &[usize]) {
    let whole = forward(SpdyForward::new(), &binary(&[bytes]));
    let cut = forward(SpdyForward::new(), &binary(&pieces(bytes, cuts)));
    assert_eq!(cut, whole);
    let mut open = Vec::new();
    for event in &whole.0 {
        match event {
            ForwardEvent::Open { pair, port } => {
                assert!(*port > 0 && !open.contains(pair));
                open.push(*pair);
            }
            ForwardEvent::Data { pair, .. } | ForwardEvent::End { pair } => {
                assert!(open.contains(pair), "{pair:?} is not open");
            }
            ForwardEvent::Abort { pair } => {
                assert!(open.contains(pair), "{pair:?} is not open");
                open.retain(|other| other != pair);
            }
        }
    }
}

/// Any messages, in every protocol.
pub(crate) fn check_messages(messages: &[Vec<u8>]) {
    // An empty message means nothing, and there is always one.
    let mut chunks = vec![Chunk::Binary(Bytes::new())];
    for message in messages {
        chunks.push(match String::from_utf8(message.clone()) {
            Ok(text) if message.len() % 2 == 0 => Chunk::Text(text),
            _ => Chunk::Binary(Bytes::copy_from_slice(message)),
        });
    }
    let sent: usize = messages.iter().map(Vec::len).sum();
    for protocol in ChannelProtocol::FOR_COMMANDS {
        let (events, _) = command(WebSocketCommand::new(protocol, EVERYTHING), &chunks);
        assert_eq!(events.first(), Some(&ClientEvent::Ready));
        let ends = events.iter().position(|e| *e == ClientEvent::StdinEnd);
        let after = ends.map_or(0, |at| events[at..].iter().map(stdin_bytes).sum());
        assert_eq!(after, 0, "input after its end");
        assert!(events.iter().map(stdin_bytes).sum::<usize>() <= sent);
    }
    for protocol in ChannelProtocol::FOR_PORTS {
        let wire = WebSocketForward::new(protocol, &[80, 81]).unwrap();
        let (events, _) = forward(wire, &chunks);
        assert!(matches!(
            events[..2],
            [
                ForwardEvent::Open { port: 80, .. },
                ForwardEvent::Open { port: 81, .. }
            ]
        ));
    }
}

/// The bytes, cut at these places.
pub(crate) fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    let mut from = 0;
    cuts.into_iter()
        .map(|to| &bytes[std::mem::replace(&mut from, to)..to])
        .collect()
}

pub(crate) fn binary(pieces: &[&[u8]]) -> Vec<Chunk> {
    let chunk = |piece: &&[u8]| Chunk::Binary(Bytes::copy_from_slice(piece));
    pieces.iter().map(chunk).collect()
}

/// Everything that a connection tells when it accepts all streams.
pub(crate) fn connection(pieces: &[&[u8]]) -> Told<StreamEvent> {
    let (mut connection, mut input) = (Connection::new(STREAMS_MAX), BytesMut::new());
    let (mut events, mut read) = (Vec::new(), 0);
    for piece in pieces {
        input.extend_from_slice(piece);
        read += piece.len();
        loop {
            match connection.next_event(&mut input) {
                Ok(Some(event)) => {
                    if let StreamEvent::Opened { id, .. } = event {
                        connection.accept(id);
                    }
                    join_stream(&mut events, event);
                }
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
        assert!(connection.outgoing_bytes() <= 2 * read);
    }
    (events, None)
}

pub(crate) fn command(mut wire: impl CommandWire, chunks: &[Chunk]) -> Told<ClientEvent> {
    let mut events: Vec<ClientEvent> = Vec::new();
    for chunk in chunks {
        wire.receive(chunk.clone());
        loop {
            match wire.next_event() {
                Ok(Some(ClientEvent::Stdin(bytes))) => match events.last_mut() {
                    Some(ClientEvent::Stdin(before)) => join(before, &bytes),
                    _ => events.push(ClientEvent::Stdin(bytes)),
                },
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

pub(crate) fn forward(mut wire: impl ForwardWire, chunks: &[Chunk]) -> Told<ForwardEvent> {
    let mut events: Vec<ForwardEvent> = Vec::new();
    for chunk in chunks {
        wire.receive(chunk.clone());
        loop {
            match wire.next_event() {
                Ok(Some(event)) => join_pair(&mut events, event),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

fn join_stream(events: &mut Vec<StreamEvent>, event: StreamEvent) {
    match (events.last_mut(), &event) {
        (Some(StreamEvent::Data { id, bytes: before }), StreamEvent::Data { id: same, bytes })
            if id == same =>
        {
            join(before, bytes);
        }
        _ => events.push(event),
    }
}

fn join_pair(events: &mut Vec<ForwardEvent>, event: ForwardEvent) {
    match (events.last_mut(), &event) {
        (
            Some(ForwardEvent::Data {
                pair,
                bytes: before,
            }),
            ForwardEvent::Data { pair: same, bytes },
        ) if pair == same => join(before, bytes),
        _ => events.push(event),
    }
}

fn stdin_bytes(event: &ClientEvent) -> usize {
    match event {
        ClientEvent::Stdin(bytes) => bytes.len(),
        _ => 0,
    }
}

fn join(before: &mut Bytes, after: &Bytes) {
    *before = [&before[..], after].concat().into();
}
