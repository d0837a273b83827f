use burstlet_stream_wire::{
    ChannelProtocol, Chunk, ClientEvent, CommandProtocol, ForwardEvent, SpdyCommand, SpdyForward,
    TerminalSize, Wanted, WebSocketCommand,
};
use bytes::{Buf, Bytes};

use crate::invariants::{EVERYTHING, binary, command, forward};

pub(crate) const EXEC: &[u8] = include_bytes!("../captures/exec.spdy");
pub(crate) const TERMINAL: &[u8] = include_bytes!("../captures/terminal.spdy");
pub(crate) const FORWARD: &[u8] = include_bytes!("../captures/forward.spdy");
const MESSAGES: &[u8] = include_bytes!("../captures/exec.v5");

const STREAMS: Wanted = Wanted {
    stdin: true,
    stdout: true,
    stderr: true,
    tty: false,
};

fn hello() -> ClientEvent {
    ClientEvent::Stdin(Bytes::from_static(b"hello"))
}

#[test]
fn an_exec_of_client_go_is_understood() {
    let wire = SpdyCommand::new(CommandProtocol::V4, STREAMS);
    let (events, error) = command(wire, &binary(&[EXEC]));
    assert_eq!(error, None);
    // At its end the client resets all streams, of which its input has ended before.
    assert_eq!(events, [ClientEvent::Ready, hello(), ClientEvent::StdinEnd]);
}

#[test]
fn a_terminal_of_client_go_is_understood() {
    let wire = SpdyCommand::new(CommandProtocol::V4, EVERYTHING);
    let (events, error) = command(wire, &binary(&[TERMINAL]));
    assert_eq!(error, None);
    assert_eq!(events[0], ClientEvent::Ready);
    let size = |columns, rows| ClientEvent::Resize(TerminalSize { columns, rows });
    // Input and sizes come by streams of their own, and are sent by threads of their own.
    for expected in [
        [hello(), ClientEvent::StdinEnd],
        [size(120, 40), size(80, 24)],
    ] {
        let found: Vec<&ClientEvent> = events.iter().filter(|e| expected.contains(e)).collect();
        assert_eq!(found, [&expected[0], &expected[1]], "{events:?}");
    }
    assert_eq!(events.len(), 5, "{events:?}");
}

#[test]
fn a_forward_of_client_go_is_understood() {
    let (events, error) = forward(SpdyForward::new(), &binary(&[FORWARD]));
    assert_eq!(error, None);
    let mut told = Vec::new();
    for event in events {
        told.push(match event {
            ForwardEvent::Open { port, .. } => format!("open {port}"),
            ForwardEvent::Data { bytes, .. } => String::from_utf8_lossy(&bytes).into_owned(),
            ForwardEvent::End { .. } => "end".to_owned(),
            ForwardEvent::Abort { .. } => "abort".to_owned(),
        });
    }
    // Of the first pair the client resets nothing that was not there to the end.
    let first = &told[..3];
    assert_eq!(first, ["open 8080", "one", "end"], "{told:?}");
    let second = told.iter().skip(3).position(|event| event == "open 8080");
    let second = &told[3 + second.unwrap()..][..3];
    assert_eq!(second, ["open 8080", "two", "end"], "{told:?}");
}

#[test]
fn a_websocket_of_client_go_is_understood() {
    let wire = WebSocketCommand::new(ChannelProtocol::FOR_COMMANDS[0], STREAMS);
    let (events, error) = command(wire, &messages(MESSAGES));
    assert_eq!(error, None);
    assert_eq!(events, [ClientEvent::Ready, hello(), ClientEvent::StdinEnd]);
}

fn messages(mut capture: &[u8]) -> Vec<Chunk> {
    let mut messages = Vec::new();
    while !capture.is_empty() {
        let (kind, length) = (capture.get_u8(), capture.get_u32() as usize);
        let (message, rest) = capture.split_at(length);
        capture = rest;
        messages.push(match kind {
            b't' => Chunk::Text(String::from_utf8(message.to_vec()).unwrap()),
            _ => Chunk::Binary(Bytes::copy_from_slice(message)),
        });
    }
    messages
}
