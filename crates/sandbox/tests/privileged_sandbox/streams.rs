//! Logs, attachments and terminals.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use burstlet_model::ContainerName;
use burstlet_sandbox::client::StdioFds;
use burstlet_sandbox::plan::Stdin;
use burstlet_sandbox::protocol::AttachmentEnd;

use crate::harness::{Node, exec_plan, process, read_all, runs, wait_until, within};

fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_the_log_is_lost_at_the_end() {
    let node = Node::new();
    let mut group = node.create(node.group_plan("log-1")).await;
    let plan = node.container(&group, "a", &["seq", "1", "200000"]);
    let (exit, log) = group.run_to_end(plan).await;
    assert_eq!(exit.code, Some(0));
    let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    assert!(
        log == expected,
        "{} bytes instead of {}",
        log.len(),
        expected.len()
    );
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attached_client_gives_input_and_gets_output() {
    let node = Node::new();
    let mut group = node.create(node.group_plan("att-1")).await;
    let name = ContainerName::new("a").unwrap();
    let mut plan = node.container(&group, "a", &["sh", "-c", "cat; echo done >&2; exit 5"]);
    plan.stdin = Stdin::Once;
    plan.start = false;
    let created = within(group.link.keeper.run(plan)).await.unwrap();
    assert!(created.started.is_none());
    let (input, mut to_container) = pipe();
    let ((out, stdout), (err, stderr)) = (pipe(), pipe());
    let streams = StdioFds {
        stdin: Some(input),
        stdout: Some(stdout),
        stderr: Some(stderr),
    };
    let attached = within(group.link.keeper.attach(&name, streams))
        .await
        .unwrap();
    let started = within(group.link.keeper.start(&name)).await.unwrap();
    assert!(started.started.unwrap().boot > created.created.boot);
    let text = "line\n".repeat(100_000);
    let sent = text.clone();
    let writer = tokio::task::spawn_blocking(move || {
        let mut file = File::from(std::mem::replace(&mut to_container, pipe().1));
        file.write_all(sent.as_bytes()).unwrap();
    });
    let (got, errors) = tokio::join!(read_all(out), read_all(err));
    within(writer).await.unwrap();
    assert!(got == text, "{} bytes instead of {}", got.len(), text.len());
    assert_eq!(errors, "done\n");
    assert_eq!(
        within(attached.wait()).await.unwrap(),
        AttachmentEnd::Finished
    );
    assert_eq!(group.exit_of("a").await.code, Some(5));
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut_off_and_the_container_goes_on() {
    let node = Node::new();
    let mut group = node.create(node.group_plan("att-2")).await;
    let name = ContainerName::new("a").unwrap();
    let mut plan = node.container(&group, "a", &["dd", "if=/dev/zero", "bs=1M", "count=8"]);
    plan.start = false;
    within(group.link.keeper.run(plan)).await.unwrap();
    let (unread, stdout) = pipe();
    let streams = StdioFds {
        stdout: Some(stdout),
        ..StdioFds::default()
    };
    let attached = within(group.link.keeper.attach(&name, streams))
        .await
        .unwrap();
    within(group.link.keeper.start(&name)).await.unwrap();
    assert_eq!(
        within(attached.wait()).await.unwrap(),
        AttachmentEnd::TooSlow
    );
    assert_eq!(group.exit_of("a").await.code, Some(0));
    drop(unread);
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_of_containers_and_of_processes_run_later() {
    let node = Node::new();
    let mut group = node.create(node.group_plan("tty-1")).await;
    let name = ContainerName::new("a").unwrap();
    let mut plan = node.container(
        &group,
        "a",
        &["sh", "-c", "tty; read x; stty size; echo got $x"],
    );
    let mut terminal = plan.spec.process().clone().unwrap();
    terminal.set_terminal(Some(true));
    plan.spec.set_process(Some(terminal));
    plan.stdin = Stdin::Once;
    within(group.link.keeper.run(plan)).await.unwrap();
    within(group.link.keeper.resize(&name, 99, 33))
        .await
        .unwrap();

    let mut later = process(&["sh", "-c", "tty; stty size; exit 4"]);
    later.set_terminal(Some(true));
    let plan = exec_plan("e", "a", later);
    let handle = within(group.link.keeper.exec(plan, StdioFds::default())).await;
    let mut handle = handle.unwrap();
    let master = File::from(handle.terminal.take().unwrap());
    let text = within(tokio::task::spawn_blocking(move || read_terminal(master)))
        .await
        .unwrap();
    assert!(text.contains("/dev/pts/1"), "{text}");
    assert_eq!(within(handle.wait()).await.unwrap().code, Some(4));

    // A terminal's input does not end when a client's does: the next one goes on.
    for typed in ["hel", "lo\n"] {
        let (input, to_container) = pipe();
        let streams = StdioFds {
            stdin: Some(input),
            ..StdioFds::default()
        };
        within(group.link.keeper.attach(&name, streams))
            .await
            .unwrap();
        let mut to_container = File::from(to_container);
        to_container.write_all(typed.as_bytes()).unwrap();
        drop(to_container);
        // It has seen what came before when it answers, and is asked again when it has acted.
        for _ in 0..2 {
            within(group.link.keeper.snapshot()).await.unwrap();
        }
    }
    assert_eq!(group.exit_of("a").await.code, Some(0));
    let log = group.log_of("a").replace('\r', "");
    assert!(
        log.contains("/dev/pts/0") && log.contains("33 99") && log.contains("got hello"),
        "{log}"
    );
    node.finish(vec![group]).await;
}

/// A terminal's master fails, and does not end, when nobody has the other side open.
fn read_terminal(mut master: File) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(len @ 1..) = master.read(&mut buffer) {
        text.extend_from_slice(&buffer[..len]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_process_run_later_are_the_callers() {
    let node = Node::new();
    let group = node.create(node.group_plan("exec-1")).await;
    within(
        group
            .link
            .keeper
            .run(node.container(&group, "a", &["sleep", "1000"])),
    )
    .await
    .unwrap();
    let (exit, output) = group
        .exec("a", &["sh", "-c", "echo out; echo err >&2; kill -15 $$"])
        .await;
    assert_eq!((exit.code, exit.signal), (None, Some(15)));
    assert_eq!(output, "out\nerr\n");
    let ((input, to_process), (from_process, stdout)) = (pipe(), pipe());
    let streams = StdioFds {
        stdin: Some(input),
        stdout: Some(stdout),
        stderr: None,
    };
    let plan = exec_plan("cat", "a", process(&["cat"]));
    let handle = within(group.link.keeper.exec(plan, streams)).await.unwrap();
    File::from(to_process).write_all(b"through").unwrap();
    assert_eq!(read_all(from_process).await, "through");
    assert_eq!(within(handle.wait()).await.unwrap().code, Some(0));
    let missing = exec_plan("missing", "a", process(&["no-such-program"]));
    let missing = within(group.link.keeper.exec(missing, StdioFds::default())).await;
    assert!(
        missing
            .err()
            .unwrap()
            .to_string()
            .contains("not found in $PATH")
    );
    wait_until(|| !runs("no-such-program")).await;
    node.finish(vec![group]).await;
}
