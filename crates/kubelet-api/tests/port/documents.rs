//! Documents and logs.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::peer::{connect, get, head, rest, send};
use crate::port::Port;

#[tokio::test]
async fn documents_come_as_what_their_clients_expect() {
    let port = Port::new().await;
    for (path, kind, text) in [
        ("/pods", "application/json", "Pods"),
        ("/runningpods/", "application/json", "RunningPods"),
        ("/configz", "application/json", "Configuration"),
        (
            "/stats/summary?only_cpu_and_memory=true",
            "application/json",
            "StatsSummary { only_cpu_and_memory: true }",
        ),
        ("/metrics", "text/plain; version=0.0.4", "Metrics"),
        (
            "/metrics/cadvisor",
            "text/plain; version=0.0.4",
            "MetricsCadvisor",
        ),
        (
            "/metrics/probes",
            "text/plain; version=0.0.4",
            "MetricsProbes",
        ),
        (
            "/metrics/billing",
            "text/plain; version=0.0.4",
            "MetricsBilling",
        ),
    ] {
        let mut stream = connect(&port, None).await;
        let headers = ["authorization: Bearer admin", "connection: close"];
        send(&mut stream, "GET", path, &headers).await;
        let head = head(&mut stream).await;
        assert!(
            head.head.contains(&format!("content-type: {kind}")),
            "{}",
            head.head
        );
        let body = [head.rest, rest(&mut stream).await].concat();
        assert_eq!(String::from_utf8(body).unwrap(), text);
    }
}

#[tokio::test]
async fn the_head_of_a_log_does_not_wait_for_its_first_line() {
    let port = Port::new().await;
    let mut stream = connect(&port, None).await;
    let path = "/containerLogs/default/web/c?follow=true&timestamps=true";
    send(&mut stream, "GET", path, &["authorization: Bearer admin"]).await;
    let answer = head(&mut stream).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("content-type: text/plain"),
        "{}",
        answer.head
    );
    port.backend.go_on.notify_one();
    let mut line = answer.rest;
    while !line.ends_with(b"line\n\r\n") {
        let read = timeout(Duration::from_secs(30), stream.read_buf(&mut line)).await;
        assert!(read.unwrap().unwrap() > 0, "a followed log ended");
    }
    let text = String::from_utf8(line).unwrap();
    assert!(
        text.contains("1970-01-01T00:00:00.000000000Z a line\n"),
        "{text}"
    );
}

#[tokio::test]
async fn what_a_log_is_refused_for_is_said_in_a_kubelet_s_words() {
    let port = Port::new().await;
    let check = async |path: &str, status, text: &str| {
        let path = format!("/containerLogs/default/{path}");
        let got = get(&port, "admin", "GET", &path).await;
        assert_eq!((got.0, got.1.as_str()), (status, text), "{path}");
    };
    check("missing/c", 404, "pod does not exist").await;
    check("web/missing", 404, "container not found").await;
    let previous = r#"previous terminated container "c" in pod "web" not found"#;
    check("web/c?previous=true", 400, previous).await;
    let lines = "tailLines: -1: must be greater than or equal to 0";
    check("web/c?tailLines=-1", 422, lines).await;
    check(
        "web/c?follow=maybe",
        400,
        r#"follow: "maybe" is not true or false"#,
    )
    .await;
}
