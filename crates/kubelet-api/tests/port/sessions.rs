//! Exec, attach and port-forward by the libraries that kubectl uses, over both wires.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::backend::FLOOD_BYTES;
use crate::go::client;
use crate::peer::{connect, head, rest, send};
use crate::port::Port;

const WIRES: [&str; 2] = ["spdy", "websocket"];

/// One command without input; what its client tells after the sums.
async fn check(port: &Port, wire: &str, tty: &str, query: &str, expected: &[&str]) {
    let told = client(port, wire, &["exec", tty, "0", query]).await;
    let told: Vec<&str> = told.iter().skip(2).map(String::as_str).collect();
    assert_eq!(told, expected, "{wire} {query}");
}

#[tokio::test]
async fn commands_end_with_their_codes_and_all_their_output() {
    let port = Port::new().await;
    let say = |code: u8| {
        format!(
            "/exec/default/web/c?command=say&command=out&command=err&command={code}&output=1&error=1"
        )
    };
    for wire in WIRES {
        for code in [0, 1, 137] {
            let exit = format!("exit {code}");
            let expected = ["bytes 3", r#"stdout "out""#, r#"stderr "err""#, &exit];
            check(&port, wire, "plain", &say(code), &expected).await;
        }
        // Its end follows at once after much output.
        let bytes = format!("bytes {FLOOD_BYTES}");
        let flood = "/exec/default/web/c?command=flood&output=1&error=1";
        check(
            &port,
            wire,
            "plain",
            flood,
            &[&bytes, r#"stderr """#, "exit 9"],
        )
        .await;
    }
    port.backend.all_gone().await;
}

#[tokio::test]
async fn a_command_that_is_not_there_is_an_error_of_the_command() {
    let port = Port::new().await;
    for wire in WIRES {
        let path = "/exec/default/web/the-uid/c?command=none&output=1&error=1";
        let told = client(&port, wire, &["exec", "plain", "0", path]).await;
        let expected = "error Internal error occurred: error executing command in container: \
                        exec: \"none\": executable file not found in $PATH";
        assert_eq!(told.last().unwrap(), expected, "{wire}");
    }
}

#[tokio::test]
async fn refusals_before_a_session_reach_the_client() {
    let port = Port::new().await;
    for wire in WIRES {
        for (path, expected) in [
            (
                "/exec/default/missing/c?command=cat&output=1&error=1",
                "pod does not exist",
            ),
            (
                "/exec/default/web/other-uid/c?command=cat&output=1&error=1",
                "pod does not exist",
            ),
            (
                "/attach/default/web/missing?output=1&error=1",
                "container not found",
            ),
            (
                "/exec/default/web/c?command=cat",
                "at least 1 of stdin, stdout, stderr",
            ),
            (
                "/exec/default/web/c?output=1&error=1",
                "must specify a command",
            ),
        ] {
            let told = client(&port, wire, &["exec", "plain", "0", path]).await;
            let last = told.last().unwrap();
            // The library for WebSockets keeps the text to itself.
            let text = if wire == "spdy" {
                expected
            } else {
                "bad handshake"
            };
            assert!(last.contains(text), "{wire} {path}: {last}");
        }
    }
    assert_eq!(port.backend.alive(), 0);
}

#[tokio::test]
async fn much_goes_through_in_both_directions_and_none_is_lost() {
    let port = Port::new().await;
    let much = (200 << 20).to_string();
    for wire in WIRES {
        for (kind, count) in [("exec", much.as_str()), ("attach", "100000")] {
            let path = format!("/{kind}/default/web/c?command=cat&input=1&output=1&error=1");
            let told = client(&port, wire, &["exec", "plain", count, &path]).await;
            let (sent, received) = (told[0].split_once(' '), told[1].split_once(' '));
            assert_eq!(sent.unwrap().1, received.unwrap().1, "{wire} {kind}");
            assert_eq!(told[2], format!("bytes {count}"), "{wire} {kind}");
            assert_eq!(told.last().unwrap(), "exit 0", "{wire} {kind}");
        }
    }
    port.backend.all_gone().await;
}

#[tokio::test]
async fn a_terminal_s_sizes_reach_the_command() {
    let port = Port::new().await;
    for wire in WIRES {
        // Clients ask for both outputs, of which a terminal has one.
        let path = "/exec/default/web/c?command=sizes&output=1&error=1&tty=1";
        let expected = [
            "bytes 13",
            r#"stdout "120x40 80x40 ""#,
            r#"stderr """#,
            "exit 0",
        ];
        check(&port, wire, "tty", path, &expected).await;
    }
}

#[tokio::test]
async fn clients_of_older_protocols_are_served() {
    let port = Port::new().await;
    let say = "/exec/default/web/c?command=say&command=out&command=err&command=3&output=1&error=1";
    // A code came with the fourth; before that, an error is a text.
    let text = "error error executing remote command: command terminated with non-zero exit code: \
                exit status 3";
    let (said, erred) = (r#"stdout "out""#, r#"stderr "err""#);
    for (wire, last) in [
        ("websocket:v4.channel.k8s.io", "exit 3"),
        ("spdy:v4.channel.k8s.io", "exit 3"),
        ("spdy:v3.channel.k8s.io", text),
        ("spdy:v2.channel.k8s.io", text),
    ] {
        check(&port, wire, "plain", say, &["bytes 3", said, erred, last]).await;
    }
    // A client of the first does not wait for output when there is an error.
    let well = say.replace("command=3", "command=0");
    let expected = ["bytes 3", said, erred, "exit 0"];
    check(&port, "spdy:channel.k8s.io", "plain", &well, &expected).await;
    let cat = "/exec/default/web/c?command=cat&input=1&output=1&error=1";
    for wire in ["spdy:v3.channel.k8s.io", "spdy:v2.channel.k8s.io"] {
        let told = client(&port, wire, &["exec", "plain", "100000", cat]).await;
        assert_eq!(
            (told[2].as_str(), told[4].as_str()),
            ("bytes 100000", "exit 0"),
            "{wire}"
        );
    }
}

#[tokio::test]
async fn ports_are_forwarded_many_at_once() {
    let port = Port::new().await;
    let (echo, number) = echo().await;
    for wire in WIRES {
        let told = client(&port, wire, &["forward", &number, "100"]).await;
        assert_eq!(
            told,
            ["good 100", r#"problems """#, "ended <nil>"],
            "{wire}"
        );
    }
    echo.abort();
}

#[tokio::test]
async fn a_closed_port_is_told_as_a_kubelet_tells_it() {
    let port = Port::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    for wire in WIRES {
        let told = client(&port, wire, &["forward", &closed, "1"]).await;
        assert_eq!(told[0], "good 0", "{wire}");
        let problem = format!("error forwarding port {closed}: connection refused");
        let all = told.join("\n");
        assert!(all.contains(&problem), "{wire}: {all}");
    }
}

#[tokio::test]
async fn silence_and_a_client_without_streams_are_not_borne_for_ever() {
    let port = Port::impatient().await;
    // Streams that never come.
    let mut stream = connect(&port, None).await;
    let headers = [
        "authorization: Bearer admin",
        "connection: Upgrade",
        "upgrade: SPDY/3.1",
        "x-stream-protocol-version: v5.channel.k8s.io, v4.channel.k8s.io",
    ];
    let path = "/exec/default/web/c?command=cat&input=1&output=1";
    send(&mut stream, "POST", path, &headers).await;
    let answer = head(&mut stream).await;
    assert_eq!(answer.status, 101);
    assert!(
        answer
            .head
            .contains("x-stream-protocol-version: v4.channel.k8s.io")
    );
    // A GOAWAY is all that there is to say.
    let goodbye = [answer.rest, rest(&mut stream).await].concat();
    assert_eq!(goodbye[..4], [0x80, 3, 0, 7]);
    assert_eq!(port.backend.alive(), 0, "nothing was started");

    for wire in WIRES {
        let path = "/exec/default/web/c?command=deaf&output=1&error=1";
        let told = client(&port, wire, &["exec", "plain", "0", path]).await;
        assert!(
            told.last().unwrap().contains("idle for too long"),
            "{told:?}"
        );
    }
    port.backend.all_gone().await;
}

#[tokio::test]
async fn streams_are_granted_before_a_slow_command_is_there() {
    // As client-go opens four streams and sends its input.
    let frames = include_bytes!("../../../stream-wire/tests/captures/exec.spdy");
    let port = Port::new().await;
    let mut stream = connect(&port, None).await;
    let headers = [
        "authorization: Bearer admin",
        "connection: Upgrade",
        "upgrade: SPDY/3.1",
        "x-stream-protocol-version: v4.channel.k8s.io",
    ];
    let path = "/exec/default/web/c?command=later&input=1&output=1&error=1";
    send(&mut stream, "POST", path, &headers).await;
    let mut read = head(&mut stream).await.rest;
    stream.write_all(&frames[..142]).await.unwrap();
    // A SYN_REPLY has 26 bytes, and the first the two with which zlib begins.
    while read.len() < 4 * 26 + 2 {
        let count = stream.read_buf(&mut read).await.unwrap();
        assert!(count > 0, "the connection ended");
    }
    assert_eq!(port.backend.alive(), 0, "nothing is started yet");
    port.backend.go_on.notify_one();
    while !read.ends_with(b"hello") {
        stream.write_all(&frames[142..155]).await.unwrap();
        let count = stream.read_buf(&mut read).await.unwrap();
        assert!(count > 0, "the connection ended");
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_command_along() {
    let port = Port::new().await;
    let mut stream = connect(&port, None).await;
    let headers = [
        "authorization: Bearer admin",
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    let path = "/exec/default/web/c?command=deaf&input=1&output=1";
    send(&mut stream, "GET", path, &headers).await;
    assert_eq!(head(&mut stream).await.status, 101);
    while port.backend.alive() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stream.shutdown().await.unwrap();
    drop(stream);
    port.backend.all_gone().await;
}

#[tokio::test]
async fn sessions_are_told_when_the_agent_goes_down() {
    let port = Port::new().await;
    let path = "/exec/default/web/c?command=deaf&output=1&error=1";
    let (stop, backend) = (port.stop.clone(), std::sync::Arc::clone(&port.backend));
    let stopping = tokio::spawn(async move {
        while backend.alive() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.cancel();
    });
    let told = client(&port, "spdy", &["exec", "plain", "0", path]).await;
    assert!(
        told.last().unwrap().contains("the agent goes down"),
        "{told:?}"
    );
    stopping.await.unwrap();
    port.backend.all_gone().await;
    tokio::time::timeout(Duration::from_secs(30), port.served)
        .await
        .unwrap()
        .unwrap();
}

/// Sends back what it is sent, on a port of this host.
async fn echo() -> (tokio::task::JoinHandle<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let number = listener.local_addr().unwrap().port().to_string();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.unwrap();
                write.shutdown().await.unwrap();
            });
        }
    });
    (task, number)
}
