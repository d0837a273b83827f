//! WebSockets as clients other than kubectl speak them.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::peer::{Head, Stream, connect, head, send};
use crate::port::Port;

pub(crate) type Socket = WebSocketStream<Stream>;

/// A WebSocket that offers these protocols, and what it was answered.
pub(crate) async fn upgrade(port: &Port, path: &str, protocols: &[&str]) -> (Head, Socket) {
    let mut stream = connect(port, None).await;
    let offered: Vec<String> = protocols
        .iter()
        .map(|names| format!("sec-websocket-protocol: {names}"))
        .collect();
    let mut headers = vec![
        "authorization: Bearer admin",
        "connection: keep-alive, Upgrade",
        "upgrade: WebSocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    headers.extend(offered.iter().map(String::as_str));
    send(&mut stream, "GET", path, &headers).await;
    let answer = head(&mut stream).await;
    let read = answer.rest.clone();
    let socket = WebSocketStream::from_partially_read(stream, read, Role::Client, None).await;
    (answer, socket)
}

async fn next(socket: &mut Socket) -> Message {
    socket.next().await.unwrap().unwrap()
}

fn binary(bytes: &[u8]) -> Message {
    Message::binary(bytes.to_vec())
}

async fn ends_well(socket: &mut Socket) {
    match next(socket).await {
        Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Normal),
        other => panic!("{other:?} is no close"),
    }
}

#[tokio::test]
async fn the_first_known_protocol_is_agreed_on() {
    let port = Port::new().await;
    let exec = "/exec/default/web/c?command=cat&output=1";
    for (offered, expected) in [
        (
            &["v9.channel.k8s.io, v4.channel.k8s.io"][..],
            Some("v4.channel.k8s.io"),
        ),
        (
            &["v4.base64.channel.k8s.io", "v5.channel.k8s.io"],
            Some("v4.base64.channel.k8s.io"),
        ),
        (
            &["v5.channel.k8s.io,v4.channel.k8s.io"],
            Some("v5.channel.k8s.io"),
        ),
        (&[], None),
    ] {
        let (answer, _) = upgrade(&port, exec, offered).await;
        assert_eq!(answer.status, 101, "{}", answer.head);
        // As the standard computes it from this key.
        assert!(
            answer.head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{}",
            answer.head
        );
        let line = expected.map(|name| format!("sec-websocket-protocol: {name}\r\n"));
        match line {
            Some(line) => assert!(
                format!("{}\r\n", answer.head).contains(&line),
                "{}",
                answer.head
            ),
            None => assert!(!answer.head.contains("sec-websocket-protocol")),
        }
    }
    let (answer, _) = upgrade(&port, exec, &["v9.channel.k8s.io"]).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn input_may_end_before_the_command_does() {
    let port = Port::new().await;
    let path = "/exec/default/web/c?command=cat&input=1&output=1&error=1";
    let (_, mut socket) = upgrade(&port, path, &["v5.channel.k8s.io"]).await;
    assert_eq!(next(&mut socket).await, binary(&[1]));
    socket.send(binary(b"\x00hello")).await.unwrap();
    assert_eq!(next(&mut socket).await, binary(b"\x01hello"));
    socket.send(binary(&[255, 0])).await.unwrap();
    let success = br#"{"metadata":{},"status":"Success"}"#;
    let status = [&[3], &success[..]].concat();
    assert_eq!(next(&mut socket).await, binary(&status));
    ends_well(&mut socket).await;
}

#[tokio::test]
async fn a_client_may_speak_base64() {
    let port = Port::new().await;
    let path = "/exec/default/web/c?command=say&command=out&command=&command=7&output=1";
    let (_, mut socket) = upgrade(&port, path, &["v4.base64.channel.k8s.io"]).await;
    assert_eq!(next(&mut socket).await, Message::text("1"));
    assert_eq!(next(&mut socket).await, Message::text("1b3V0"));
    let Message::Text(status) = next(&mut socket).await else {
        panic!("the status is no text");
    };
    assert!(status.starts_with("3eyJtZXRhZGF0YSI6e30s"), "{status}");
    ends_well(&mut socket).await;
}

#[tokio::test]
async fn a_client_that_names_no_protocol_gets_text_for_errors() {
    let port = Port::new().await;
    let path = "/exec/default/web/c?command=say&command=out&command=&command=7&output=1";
    let (_, mut socket) = upgrade(&port, path, &[]).await;
    assert_eq!(next(&mut socket).await, binary(&[1]));
    assert_eq!(next(&mut socket).await, binary(b"\x01out"));
    let error = b"\x03command terminated with non-zero exit code: exit status 7";
    assert_eq!(next(&mut socket).await, binary(error));
    ends_well(&mut socket).await;
}

#[tokio::test]
async fn ports_are_forwarded_over_channels() {
    let port = Port::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let number = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).await.unwrap();
        stream.write_all(&asked).await.unwrap();
    });
    let path = format!("/portForward/default/web?port={number}");
    let (_, mut socket) = upgrade(&port, &path, &["v4.channel.k8s.io"]).await;
    let [low, high] = number.to_le_bytes();
    assert_eq!(next(&mut socket).await, binary(&[0, low, high]));
    assert_eq!(next(&mut socket).await, binary(&[1, low, high]));
    socket.send(binary(b"\x00ping")).await.unwrap();
    assert_eq!(next(&mut socket).await, binary(b"\x00ping"));
    ends_well(&mut socket).await;
    server.await.unwrap();
    let (answer, _) = upgrade(&port, "/portForward/default/web", &["v4.channel.k8s.io"]).await;
    assert_eq!(answer.status, 400);
}
