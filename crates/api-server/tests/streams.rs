//! Logs, sessions, forwards, events and readings over the wire.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use burstlet_model::WallTime;
use burstlet_proto::v1;
use burstlet_proto::v1::exec_request::Request as Send;
use burstlet_proto::v1::exec_response::Response as Got;
use burstlet_supervisor::stream::{LogRecord, LogStream};
use common::{Edge, fields, group, reason};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

fn exec(message: Send) -> v1::ExecRequest {
    v1::ExecRequest {
        request: Some(message),
    }
}

fn start(command: &[&str]) -> v1::ExecRequest {
    exec(Send::Start(v1::ExecStart {
        group: group("web"),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        stdin: true,
        ..v1::ExecStart::default()
    }))
}

/// Everything a session says: its output, and its exit code.
async fn session(
    edge: &mut Edge,
    requests: Vec<v1::ExecRequest>,
) -> Result<(Vec<u8>, i32), Status> {
    let mut answers = edge.groups.exec(stream::iter(requests)).await?.into_inner();
    let first = answers.message().await?.and_then(|m| m.response);
    assert!(matches!(first, Some(Got::Started(_))), "{first:?}");
    let mut output = Vec::new();
    let mut code = None;
    while let Some(message) = answers.message().await? {
        assert_eq!(code, None, "nothing comes after the exit");
        match message.response {
            Some(Got::Stdout(bytes) | Got::Stderr(bytes)) => output.extend(bytes),
            Some(Got::Exit(exit)) => code = Some(exit.code),
            other => panic!("{other:?}"),
        }
    }
    Ok((output, code.unwrap()))
}

#[tokio::test]
async fn exec_tells_output_and_code() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let (output, code) = session(&mut edge, vec![start(&["echo", "hello"])])
        .await
        .unwrap();
    assert_eq!((output.as_slice(), code), (&b"echo hello\n"[..], 0));
    let (_, code) = session(&mut edge, vec![start(&["exit", "7"])])
        .await
        .unwrap();
    assert_eq!(code, 7);
}

#[tokio::test]
async fn exec_carries_a_megabyte_both_ways() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let sent: Vec<u8> = (0..1_u32 << 20).map(|i| (i % 251) as u8).collect();
    let mut requests = vec![start(&["cat"])];
    requests.extend(
        sent.chunks(10_000)
            .map(|chunk| exec(Send::Stdin(chunk.to_vec()))),
    );
    requests.push(exec(Send::CloseStdin(v1::CloseStdin {})));
    let (output, code) = session(&mut edge, requests).await.unwrap();
    assert_eq!(code, 0);
    assert!(output == sent, "{} bytes", output.len());
}

#[tokio::test]
async fn a_half_closed_client_still_hears_the_end() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let requests = vec![start(&["cat"]), exec(Send::Stdin(b"x".to_vec()))];
    let (output, code) = session(&mut edge, requests).await.unwrap();
    assert_eq!((output.as_slice(), code), (&b"x"[..], 0));
}

#[tokio::test]
async fn exec_refuses_what_is_no_session() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    for (requests, field) in [
        (vec![], "start"),
        (vec![exec(Send::Stdin(vec![]))], "start"),
        (vec![start(&[])], "command"),
        (vec![start(&["a\0b"])], "command"),
    ] {
        let error = session(&mut edge, requests).await.unwrap_err();
        assert_eq!(fields(&error), [field]);
    }
    // Within a session the error comes instead of the exit.
    for (message, field) in [
        (Send::Signal(99), "signal"),
        (start(&["x"]).request.unwrap(), "start"),
    ] {
        let (tx, rx) = mpsc::channel(4);
        let mut answers = {
            tx.send(start(&["cat"])).await.unwrap();
            edge.groups
                .exec(ReceiverStream::new(rx))
                .await
                .unwrap()
                .into_inner()
        };
        answers.message().await.unwrap().unwrap();
        tx.send(exec(message)).await.unwrap();
        let error = answers.message().await.unwrap_err();
        assert_eq!(fields(&error), [field]);
    }
    let mut request = start(&["ls"]);
    if let Some(Send::Start(start)) = &mut request.request {
        start.container = "nobody".to_owned();
    }
    let error = session(&mut edge, vec![request]).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::NotFound, "ContainerNotFound")
    );
}

#[tokio::test]
async fn attach_joins() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    use v1::attach_request::Request;
    use v1::attach_response::Response;
    let attach = |request| v1::AttachRequest {
        request: Some(request),
    };
    let requests = vec![
        attach(Request::Start(v1::AttachStart {
            group: group("web"),
            stdin: true,
            ..v1::AttachStart::default()
        })),
        attach(Request::Resize(v1::TerminalSize {
            columns: 1,
            rows: 2,
        })),
        attach(Request::Stdin(b"hi".to_vec())),
        attach(Request::CloseStdin(v1::CloseStdin {})),
    ];
    let answers = edge
        .groups
        .attach(stream::iter(requests))
        .await
        .unwrap()
        .into_inner();
    let answers: Vec<_> = answers
        .map(|m| m.unwrap().response.unwrap())
        .collect()
        .await;
    assert!(
        matches!(
            answers.as_slice(),
            [Response::Started(_), Response::Stdout(hi), Response::Exit(v1::ExecExit { code: 0 })] if hi == b"hi"
        ),
        "{answers:?}"
    );
}

#[tokio::test]
async fn forwards_a_port() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    use v1::port_forward_request::Request;
    use v1::port_forward_response::Response;
    let forward = |request| v1::PortForwardRequest {
        request: Some(request),
    };
    let start = |port| {
        forward(Request::Start(v1::PortForwardStart {
            group: group("web"),
            port,
        }))
    };
    let requests = vec![
        start(80),
        forward(Request::Data(b"ping".to_vec())),
        forward(Request::Close(v1::ClosePort {})),
    ];
    let answers = edge
        .groups
        .port_forward(stream::iter(requests))
        .await
        .unwrap()
        .into_inner();
    let answers: Vec<_> = answers
        .map(|m| m.unwrap().response.unwrap())
        .collect()
        .await;
    assert!(
        matches!(
            answers.as_slice(),
            [Response::Connected(_), Response::Data(ping)] if ping == b"ping"
        ),
        "{answers:?}"
    );
    let error = edge
        .groups
        .port_forward(stream::iter([start(70_000)]))
        .await
        .unwrap_err();
    assert_eq!(fields(&error), ["port"]);
}

#[tokio::test]
async fn logs_come_whole_and_in_batches() {
    let mut edge = Edge::start().await;
    let record = |i: i64| LogRecord {
        at: WallTime(i),
        stream: if i % 2 == 0 {
            LogStream::Stdout
        } else {
            LogStream::Stderr
        },
        text: format!("line {i}\n").into_bytes(),
    };
    edge.host.log("main", (0..5000).map(record).collect());
    edge.run("web").await;
    let request = v1::LogsRequest {
        group: group("web"),
        ..v1::LogsRequest::default()
    };
    let answers = edge
        .groups
        .logs(request.clone())
        .await
        .unwrap()
        .into_inner();
    let batches: Vec<_> = answers.map(|batch| batch.unwrap().records).collect().await;
    let lines: Vec<_> = batches.iter().flatten().collect();
    assert_eq!(lines.len(), 5000);
    assert!(batches.len() < 5000, "{} messages", batches.len());
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(line.text, format!("line {i}\n").into_bytes());
        assert_eq!(usize::try_from(line.at.as_ref().unwrap().nanos).unwrap(), i);
    }
    let filtered = v1::LogsRequest {
        stream: v1::LogStream::Stderr.into(),
        tail_lines: Some(3),
        ..request.clone()
    };
    let answers = edge.groups.logs(filtered).await.unwrap().into_inner();
    let lines: Vec<_> = answers
        .flat_map(|batch| stream::iter(batch.unwrap().records))
        .collect()
        .await;
    assert_eq!(lines.len(), 3);
    let previous = v1::LogsRequest {
        previous: true,
        ..request
    };
    let error = edge.groups.logs(previous).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::FailedPrecondition, "ContainerNotRunning")
    );
}

#[tokio::test]
async fn events_are_told_and_followed() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let request = |follow| v1::EventsRequest {
        group: group("web"),
        follow,
        ..v1::EventsRequest::default()
    };
    let answers = edge
        .groups
        .events(request(false))
        .await
        .unwrap()
        .into_inner();
    let reasons: Vec<_> = answers
        .map(|e| e.unwrap().event.unwrap().reason)
        .collect()
        .await;
    assert!(reasons.contains(&"Started".to_owned()), "{reasons:?}");
    let mut followed = edge
        .groups
        .events(request(true))
        .await
        .unwrap()
        .into_inner();
    for _ in &reasons {
        followed.message().await.unwrap().unwrap();
    }
    let delete = v1::DeleteRequest {
        group: group("web"),
        grace_period_seconds: Some(0),
    };
    edge.groups.delete(delete).await.unwrap();
    let later: Vec<_> = followed
        .map(|e| e.unwrap().event.unwrap().reason)
        .collect()
        .await;
    assert!(later.contains(&"Killing".to_owned()), "{later:?}");
}

#[tokio::test]
async fn stats_once_and_again() {
    let mut edge = Edge::start().await;
    edge.run("web").await;
    let mut request = v1::StatsRequest::default();
    let answers = edge
        .groups
        .stats(request.clone())
        .await
        .unwrap()
        .into_inner();
    let readings: Vec<_> = answers.map(|r| r.unwrap().groups).collect().await;
    assert_eq!(readings.len(), 1);
    let stats = &readings[0][0];
    assert_eq!(
        stats.usage.as_ref().unwrap().memory_working_set_bytes,
        1 << 20
    );
    assert_eq!(stats.containers[0].name, "main");
    request.interval = Some(burstlet_proto::Duration {
        seconds: 0,
        nanos: 100_000_000,
    });
    let answers = edge
        .groups
        .stats(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answers.take(3).count().await, 3);
    request.interval = Some(burstlet_proto::Duration::default());
    let error = edge.groups.stats(request).await.unwrap_err();
    assert_eq!(fields(&error), ["interval"]);
}
