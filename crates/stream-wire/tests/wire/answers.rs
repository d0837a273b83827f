//! What clients are answered, frame by frame.

use burstlet_stream_wire::spdy::{CONTROL_BYTES_MAX, DATA_BYTES_MAX, HEADERS_MAX};
use burstlet_stream_wire::{
    ChannelProtocol, Chunk, ClientEvent, CommandProtocol, CommandWire, Exit, ForwardEvent,
    ForwardWire, Output, SpdyCommand, SpdyForward, Wanted, WebSocketCommand, WebSocketForward,
    Wire, WireError,
};
use bytes::Bytes;
use flate2::Decompress;

use crate::client::{Answer, Frames, GOAWAY, answers};

const SUCCESS: &[u8] = br#"{"metadata":{},"status":"Success"}"#;
const OUTPUT: Wanted = Wanted {
    stdin: false,
    stdout: true,
    stderr: false,
    tty: false,
};

fn kind(kind: &str) -> [(&str, &str); 1] {
    [("streamtype", kind)]
}

fn half<'a>(kind: &'a str, port: &'a str, request: &'a str) -> [(&'a str, &'a str); 3] {
    [("streamtype", kind), ("port", port), ("requestid", request)]
}

/// Everything that waits to be written.
fn written(inflate: &mut Decompress, mut next: impl FnMut() -> Option<Chunk>) -> Vec<Answer> {
    let mut all = Vec::new();
    while let Some(Chunk::Binary(bytes)) = next() {
        all.extend_from_slice(&bytes);
    }
    answers(inflate, &all)
}

fn messages(next: impl FnMut() -> Option<Chunk>) -> Vec<Chunk> {
    std::iter::from_fn(next).collect()
}

fn binary(bytes: &[u8]) -> Chunk {
    Chunk::Binary(Bytes::copy_from_slice(bytes))
}

/// A wire whose client sent these frames, all events of which were read.
fn command(frames: &Frames) -> Result<SpdyCommand, WireError> {
    let mut wire = SpdyCommand::new(CommandProtocol::V4, OUTPUT);
    wire.receive(frames.chunk());
    while wire.next_event()?.is_some() {}
    Ok(wire)
}

#[test]
fn a_command_is_answered_in_the_order_that_loses_nothing() {
    let frames = Frames::new()
        .open(1, false, &kind("error"))
        .open(3, false, &kind("stdout"));
    let mut wire = command(&frames).unwrap();
    let mut inflate = Decompress::new(true);
    let opened = written(&mut inflate, || wire.take_outgoing());
    assert_eq!(opened, [Answer::Reply(1), Answer::Reply(3)]);

    let much = vec![b'x'; DATA_BYTES_MAX + 1];
    wire.send(Output::Stdout, &much);
    wire.send(Output::Stderr, b"not asked for");
    wire.end(&Exit::Code(0));
    wire.close();
    let ended = written(&mut inflate, || wire.take_outgoing());
    let expected = [
        Answer::Data(3, much[..DATA_BYTES_MAX].to_vec()),
        Answer::Data(3, b"x".to_vec()),
        Answer::Data(1, SUCCESS.to_vec()),
        Answer::Fin(3),
        Answer::Fin(1),
        Answer::GoAway,
    ];
    assert_eq!(ended, expected);
}

#[test]
fn streams_that_nobody_asked_for_are_refused() {
    let frames = Frames::new()
        .open(1, false, &kind("stderr"))
        .open(3, false, &kind("other"))
        .open(5, false, &[])
        .open(7, false, &kind("stdout"))
        .open(9, false, &kind("stdout"));
    let mut wire = command(&frames).unwrap();
    let got = written(&mut Decompress::new(true), || wire.take_outgoing());
    let refused = |id| Answer::Reset(id, 3);
    assert_eq!(
        got,
        [
            refused(1),
            refused(3),
            refused(5),
            Answer::Reply(7),
            refused(9)
        ]
    );
}

#[test]
fn faults_of_streams_are_answered_and_the_connection_goes_on() {
    let frames = Frames::new()
        .open(2, false, &kind("error"))
        .open(5, true, &kind("error"))
        .open(3, false, &kind("stdout"))
        .data(9, false, b"of no stream")
        .data(5, false, b"after its end")
        .data(5, true, b"after its reset")
        .ping(1)
        .ping(2)
        .control(GOAWAY, 0, &[0; 8])
        .open(7, false, &kind("stdout"));
    let mut wire = command(&frames).unwrap();
    let expected = [
        Answer::Reset(2, 1),
        Answer::Reply(5),
        Answer::Reset(3, 1),
        Answer::Reset(9, 2),
        Answer::Reset(5, 9),
        Answer::Ping(1),
        Answer::Reset(7, 3),
    ];
    let got = written(&mut Decompress::new(true), || wire.take_outgoing());
    assert_eq!(got, expected);
}

#[test]
fn what_has_no_meaning_is_passed_over() {
    let settings = [&2_u32.to_be_bytes()[..], &[0; 16]].concat();
    let frames = Frames::new()
        .control(4, 0, &settings)
        .control(9, 0, &[0, 0, 0, 1, 0, 1, 0, 0])
        .control(77, 0, &vec![1; CONTROL_BYTES_MAX + 1])
        .headers(1, &kind("error"))
        .open(1, false, &kind("error"));
    let mut wire = command(&frames).unwrap();
    let got = written(&mut Decompress::new(true), || wire.take_outgoing());
    assert_eq!(got, [Answer::Reply(1)]);
}

#[test]
fn too_much_and_the_malformed_end_the_connection() {
    let check = |frames: Frames, expected: &str| {
        let error = command(&frames).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let many: Vec<String> = (0..=HEADERS_MAX)
        .map(|number| format!("n{number}"))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
    check(Frames::new().open(1, false, &many), "too many headers");
    let long = "x".repeat(17 << 10);
    check(
        Frames::new().open(1, false, &kind(&long)),
        "a header is too long",
    );
    let (a, b, c, d) = ("a", "b", "c", "d");
    let wide = "y".repeat(16 << 10);
    let bomb = [(a, &*wide), (b, &*wide), (c, &*wide), (d, &*wide)];
    check(Frames::new().open(1, false, &bomb), "inflates to too much");
    check(
        Frames::new().open(1, false, &[(a, b), (a, c)]),
        "there twice",
    );
    check(
        Frames::new().open(1, false, &[("A", b)]),
        "not in lower case",
    );
    check(
        Frames::new().control(6, 0, &[0; 5]),
        "PING frame is malformed",
    );
    // A count that is not there is not believed.
    check(
        Frames::new().control(4, 0, &[0xff; 4]),
        "SETTINGS frame is malformed",
    );
    check(
        Frames::new().control(1, 0, &vec![0; CONTROL_BYTES_MAX + 1]),
        "at most 65536",
    );
    check(Frames::new().data(0, false, b"x"), "stream 0");
    let mut other_version = Frames::new();
    other_version.bytes = vec![0x80, 2, 0, 6, 0, 0, 0, 4];
    check(other_version, "version 2");
    let early = Frames::new()
        .open(1, false, &kind("error"))
        .data(1, false, &vec![0; 65 << 10]);
    check(early, "too much before all streams are open");
}

#[test]
fn a_forward_pairs_its_streams_in_any_order() {
    let frames = Frames::new()
        .open(1, true, &half("error", "80", "a"))
        .open(3, false, &half("data", "81", "b"))
        .open(5, true, &half("error", "81", "b"))
        .open(7, false, &half("data", "80", "a"))
        .data(7, true, b"to 80")
        // Old clients name no request.
        .open(9, true, &[("streamtype", "error"), ("port", "82")])
        .open(11, false, &[("streamtype", "data"), ("port", "82")])
        .reset(3);
    let mut wire = SpdyForward::new();
    wire.receive(frames.chunk());
    let mut pairs = Vec::new();
    let mut told = Vec::new();
    while let Some(event) = wire.next_event().unwrap() {
        if let ForwardEvent::Open { pair, port } = event {
            pairs.push((port, pair));
        }
        told.push(event);
    }
    let ports: Vec<u16> = pairs.iter().map(|(port, _)| *port).collect();
    assert_eq!(ports, [81, 80, 82]);
    let ((_, at_81), (_, at_80), (_, at_82)) = (pairs[0], pairs[1], pairs[2]);
    let data = ForwardEvent::Data {
        pair: at_80,
        bytes: Bytes::from_static(b"to 80"),
    };
    assert!(told.contains(&data) && told.contains(&ForwardEvent::End { pair: at_80 }));
    assert_eq!(told.last(), Some(&ForwardEvent::Abort { pair: at_81 }));

    wire.send(at_80, b"from 80");
    wire.finish(at_80);
    wire.done(at_80);
    wire.fail(at_82, "nobody there");
    let got = written(&mut Decompress::new(true), || wire.take_outgoing());
    let expected = [
        Answer::Fin(5),
        Answer::Data(7, b"from 80".to_vec()),
        Answer::Fin(7),
        Answer::Fin(1),
        Answer::Data(9, b"nobody there".to_vec()),
        Answer::Fin(9),
        Answer::Reset(11, 5),
    ];
    assert_eq!(got[6..], expected);
}

#[test]
fn a_forward_refuses_what_is_no_half_of_a_pair() {
    let frames = Frames::new()
        .open(1, false, &half("error", "0", "a"))
        .open(3, false, &half("error", "65536", "a"))
        .open(5, false, &half("stdin", "80", "a"))
        .open(7, false, &half("data", "80", "b"))
        .open(9, false, &half("data", "80", "b"))
        .open(11, false, &half("error", "81", "b"))
        .data(7, false, b"too early");
    let mut wire = SpdyForward::new();
    wire.receive(frames.chunk());
    assert_eq!(wire.next_event().unwrap(), None);
    let got = written(&mut Decompress::new(true), || wire.take_outgoing());
    let refused: Vec<Answer> = [1, 3, 5, 9, 11, 7].map(|id| Answer::Reset(id, 1)).into();
    assert_eq!(
        got.iter()
            .filter(|it| **it != Answer::Reply(7))
            .cloned()
            .collect::<Vec<_>>(),
        refused
    );
}

#[test]
fn a_half_of_a_pair_is_not_waited_for_for_ever() {
    let mut wire = SpdyForward::new();
    wire.receive(
        Frames::new()
            .open(1, false, &half("error", "80", "a"))
            .chunk(),
    );
    assert_eq!(wire.next_event().unwrap(), None);
    wire.sweep();
    let mut inflate = Decompress::new(true);
    let got = written(&mut inflate, || wire.take_outgoing());
    assert_eq!(got, [Answer::Reply(1)]);
    wire.sweep();
    let got = written(&mut inflate, || wire.take_outgoing());
    assert_eq!(got, [Answer::Reset(1, 5)]);
}

#[test]
fn a_websocket_command_begins_and_ends_as_clients_expect() {
    let [v5, _, v4_base64, unnamed, _] = ChannelProtocol::FOR_COMMANDS;
    let told = |protocol, exit: &Exit| {
        let mut wire = WebSocketCommand::new(protocol, OUTPUT);
        assert_eq!(wire.next_event().unwrap(), Some(ClientEvent::Ready));
        wire.send(Output::Stdout, b"out");
        wire.send(Output::Stderr, b"not asked for");
        wire.end(exit);
        messages(|| wire.take_outgoing())
    };
    let status = [&[3], SUCCESS].concat();
    let expected = [
        binary(&[1]),
        binary(b"\x01out"),
        binary(&status),
        Chunk::Close,
    ];
    assert_eq!(told(v5, &Exit::Code(0)), expected);
    let expected = [binary(&[1]), binary(b"\x01out"), Chunk::Close];
    assert_eq!(told(unnamed, &Exit::Code(0)), expected);
    let base64 = told(v4_base64, &Exit::Code(0));
    assert_eq!(
        base64[..2],
        [Chunk::Text("1".to_owned()), Chunk::Text("1b3V0".to_owned())]
    );
}

#[test]
fn a_websocket_forward_says_its_ports_and_ends_with_the_last() {
    let mut wire = WebSocketForward::new(ChannelProtocol::FOR_PORTS[0], &[80, 8080]).unwrap();
    let mut pairs = Vec::new();
    while let Some(ForwardEvent::Open { pair, .. }) = wire.next_event().unwrap() {
        pairs.push(pair);
    }
    let hello = [[0, 80, 0], [1, 80, 0], [2, 0x90, 0x1f], [3, 0x90, 0x1f]];
    let said = messages(|| wire.take_outgoing());
    assert_eq!(said, hello.map(|message| binary(&message)));
    wire.receive(binary(b"\x02in"));
    wire.receive(binary(b"\x03errors are not for clients to write"));
    let data = ForwardEvent::Data {
        pair: pairs[1],
        bytes: Bytes::from_static(b"in"),
    };
    assert_eq!(wire.next_event().unwrap(), Some(data));
    assert_eq!(wire.next_event().unwrap(), None);
    wire.fail(pairs[0], "no");
    wire.send(pairs[0], b"too late");
    wire.send(pairs[1], b"out");
    wire.done(pairs[1]);
    let said = messages(|| wire.take_outgoing());
    assert_eq!(said, [binary(b"\x01no"), binary(b"\x02out"), Chunk::Close]);
    for ports in [&[][..], &[0], &[1; 33]] {
        assert!(WebSocketForward::new(ChannelProtocol::FOR_PORTS[0], ports).is_none());
    }
}
