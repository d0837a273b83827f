//! Verbs that ask and print: pages, failures, archives, ports, broken pipes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::process::Stdio;

use common::{Bench, done, groups, piped};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

#[tokio::test]
async fn all_pages_are_listed() {
    let bench = Bench::new();
    let done = bench.run(&["get", "-o", "name"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "web\nweb\n"));
}

#[tokio::test]
async fn a_name_that_is_not_there_is_told() {
    let bench = Bench::new();
    let done = bench.run(&["-n", "team", "get", "none"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    assert_eq!(done.stderr, "burstctl: get none: no group none in team\n");
}

#[tokio::test]
async fn one_failure_does_not_stop_the_others() {
    let bench = Bench::new();
    let done = bench.run(&["rmi", "a", "used", "b"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), "a\nb\n"));
    assert_eq!(
        done.stderr,
        "burstctl: remove used: used is in use by 1 group\n"
    );
}

#[tokio::test]
async fn a_running_group_is_removed_by_force_only() {
    let bench = Bench::new();
    let done = bench.run(&["rm", "web"]).await;
    assert_eq!(done.code, Some(1));
    assert_eq!(
        done.stderr,
        "burstctl: web runs: stop it first, or use rm --force\n"
    );
    assert!(bench.agent.seen().deleted.is_empty());
    let done = bench.run(&["rm", "-f", "web"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "web\n"));
    assert_eq!(bench.agent.seen().deleted.len(), 1);
}

#[tokio::test]
async fn wait_prints_the_codes() {
    let bench = Bench::new();
    let done = bench.run(&["wait", "done"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "7\n"));
}

#[tokio::test]
async fn files_are_created_from_and_warnings_are_told() {
    let bench = Bench::new();
    let yaml = "kind: Pod\nmetadata: {name: web}\nspec:\n  nodeSelector: {a: b}\n  \
                containers: [{name: main, image: x}]\n";
    let done = bench
        .run_with(&["-n", "team", "create", "-f", "-"], yaml.as_bytes())
        .await;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "default/web created\n")
    );
    assert_eq!(
        done.stderr,
        "burstctl: warning: -: spec.nodeSelector: has no effect here\n"
    );
    let manifest = bench.agent.seen().manifest.clone().unwrap();
    assert_eq!(manifest["metadata"]["namespace"], "team");

    let done = bench
        .run_with(&["validate", "-f", "-"], yaml.as_bytes())
        .await;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(1), "-: would be refused\n")
    );
    let done = bench.run(&["create", "-f", "/no/such/file"]).await;
    assert_eq!(done.code, Some(1));
    assert!(
        done.stderr.starts_with("burstctl: read /no/such/file: "),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn export_is_yaml_with_notes_beside_it() {
    let bench = Bench::new();
    let done = bench.run(&["export", "--as", "pod", "web"]).await;
    assert_eq!(done.stdout, "kind: Pod\nspec:\n  containers: []\n");
    assert_eq!(done.stderr, "burstctl: note: a note\n");
}

#[tokio::test]
async fn images_are_pulled_with_a_password_from_stdin() {
    let bench = Bench::new();
    let done = bench.run(&["pull", "-q", "busybox"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "busybox\n"));
    let done = bench.run(&["pull", "secret"]).await;
    assert_eq!(done.code, Some(1));
    let args = [
        "pull",
        "-q",
        "--username",
        "me",
        "--password-stdin",
        "secret",
    ];
    let done = bench.run_with(&args, b"open\n").await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "secret\n"));
}

#[tokio::test]
async fn archives_and_layouts_are_imported() {
    let bench = Bench::new();
    let archive: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(bench.path("image.tar"), &archive).unwrap();
    let path = bench.path("image.tar").display().to_string();
    let done = bench.run(&["import", "--name", "mine", &path]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "mine\n"));
    assert!(bench.agent.seen().imported == archive);

    fs::create_dir(bench.path("layout")).unwrap();
    fs::write(bench.path("layout/oci-layout"), "{}").unwrap();
    let path = bench.path("layout").display().to_string();
    assert_eq!(bench.run(&["import", &path]).await.code, Some(0));
    let imported = bench.agent.seen().imported.clone();
    let mut archive = tar::Archive::new(imported.as_slice());
    let mut names = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().into_owned());
    assert!(names.any(|name| name.ends_with("oci-layout")));
    let done = bench.run(&["import", "/no/such/image"]).await;
    assert!(
        done.stderr.starts_with("burstctl: read /no/such/image: "),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn a_port_leads_into_the_group() {
    let bench = Bench::new();
    let mut child = piped(bench.command(&["port-forward", "web", ":80"]));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let (address, rest) = line.split_once(' ').unwrap();
    assert_eq!(rest, "leads to port 80 of web");
    for text in ["first", "second"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, text.to_uppercase());
    }
    child.kill().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_goes_is_not_worth_a_word() {
    let bench = Bench::new();
    let mut command = bench.command(&["logs", "web"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).await.unwrap();
    drop(stdout);
    let done = done(child).await;
    assert_eq!(
        (line.as_str(), done.code, done.stderr.as_str()),
        ("0\n", Some(141), "")
    );
}

#[tokio::test]
async fn wrong_usage_is_64_and_help_is_0() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["get", "--no-such-flag"]).await.code, Some(64));
    assert_eq!(bench.run(&["cp", "a:b", "c:d"]).await.code, Some(64));
    let done = bench.run(&["--help"]).await;
    assert_eq!(done.code, Some(0));
    let done = bench.run(&["completion", "bash"]).await;
    assert!(done.code == Some(0) && done.stdout.contains("_burstctl"));
}

#[tokio::test]
async fn groups_are_found_by_uid() {
    let bench = Bench::new();
    let done = bench.run(&["rm", "-f", groups::UID]).await;
    assert_eq!(done.code, Some(0));
    assert_eq!(bench.agent.seen().deleted, [groups::UID]);
}
