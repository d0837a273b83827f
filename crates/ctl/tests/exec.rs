//! `burstctl exec` and what is built on it: streams, exit codes, terminals, `cp`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::{Bench, done, piped};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

#[tokio::test]
async fn streams_are_kept_apart_and_the_code_is_the_command_s() {
    let bench = Bench::new();
    let done = bench
        .run(&["exec", "web", "sh", "-c", "echo out; echo err >&2; exit 7"])
        .await;
    let said = (done.code, done.stdout.as_str(), done.stderr.as_str());
    assert_eq!(said, (Some(7), "out\n", "err\n"));
}

#[tokio::test]
async fn a_large_input_comes_back_whole() {
    let bench = Bench::new();
    let input: Vec<u8> = (0..3_000_000_u32)
        .map(|n| b"abcdefghij\n"[n as usize % 11])
        .collect();
    let done = bench.run_with(&["exec", "-i", "web", "cat"], &input).await;
    assert_eq!(done.code, Some(0));
    assert!(
        done.stdout.as_bytes() == input,
        "{} bytes came back",
        done.stdout.len()
    );
}

#[tokio::test]
async fn docker_s_codes_for_what_cannot_run() {
    let bench = Bench::new();
    assert_eq!(
        bench.run(&["exec", "web", "/no/such/program"]).await.code,
        Some(127)
    );
    assert_eq!(bench.run(&["exec", "web", "/etc"]).await.code, Some(126));
    let done = bench.run(&["exec", "other", "true"]).await;
    assert_eq!(done.code, Some(125));
    assert_eq!(
        done.stderr,
        "burstctl: run the command in other: no such group\n"
    );
    assert_eq!(bench.run(&["exec", "web"]).await.code, Some(125));
}

#[tokio::test]
async fn a_signal_reaches_the_command() {
    let bench = Bench::new();
    // Not SIGINT: a shell cannot trap what whoever runs this suite ignores.
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = piped(bench.command(&["exec", "web", "sh", "-c", script]));
    let mut ready = [0; 6];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut ready)
        .await
        .unwrap();
    let pid = child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "TERM", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    assert_eq!(done(child).await.code, Some(9));
}

#[tokio::test]
async fn files_are_copied_out() {
    let bench = Bench::new();
    let there = bench.path("there");
    fs::create_dir_all(there.join("sub")).unwrap();
    fs::write(there.join("sub/file"), "content").unwrap();
    symlink("sub/file", there.join("link")).unwrap();
    let into = bench.path("into");
    fs::create_dir(&into).unwrap();
    let from = format!("web:{}", there.display());
    let done = bench.run(&["cp", &from, into.to_str().unwrap()]).await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        fs::read_to_string(into.join("there/sub/file")).unwrap(),
        "content"
    );
    assert_eq!(
        fs::read_link(into.join("there/link")).unwrap().to_str(),
        Some("sub/file")
    );

    let renamed = bench.path("renamed");
    let from = format!("web:{}/sub/file", there.display());
    assert_eq!(
        bench
            .run(&["cp", &from, renamed.to_str().unwrap()])
            .await
            .code,
        Some(0)
    );
    assert_eq!(fs::read_to_string(renamed).unwrap(), "content");
}

#[tokio::test]
async fn files_are_copied_in() {
    let bench = Bench::new();
    let (here, there) = (bench.path("here"), bench.path("there"));
    fs::create_dir_all(here.join("sub")).unwrap();
    fs::create_dir(&there).unwrap();
    fs::write(here.join("sub/file"), "content").unwrap();
    let to = |path: &str| format!("web:{}{path}", there.display());
    let copy = async |from: &str, to: &str| bench.run(&["cp", from, to]).await.code;
    assert_eq!(copy(here.to_str().unwrap(), &to("")).await, Some(0));
    assert_eq!(
        fs::read_to_string(there.join("here/sub/file")).unwrap(),
        "content"
    );
    let file = here.join("sub/file");
    assert_eq!(
        copy(file.to_str().unwrap(), &to("/new-name")).await,
        Some(0)
    );
    assert_eq!(
        fs::read_to_string(there.join("new-name")).unwrap(),
        "content"
    );
}

#[tokio::test]
async fn tar_s_own_complaint_is_told() {
    let bench = Bench::new();
    let into = bench.path("").display().to_string();
    let done = bench.run(&["cp", "web:/no/such/file", &into]).await;
    assert_eq!(done.code, Some(1));
    assert!(
        done.stderr
            .starts_with("burstctl: tar in web ended with code 2: "),
        "{}",
        done.stderr
    );
    let done = bench.run(&["cp", "a", "b"]).await;
    assert_eq!(done.code, Some(64));
}
