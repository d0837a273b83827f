use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn parse(line: &[&str]) -> Args {
    let words = ["burstctl", "run"].iter().chain(line);
    match Cli::try_parse_from(words).unwrap().command {
        Command::Run(args) => *args,
        other => unreachable!("{other:?}"),
    }
}

fn of(line: &[&str]) -> Result<Value> {
    manifest(&parse(line), "default", &|name| {
        (name == "HOME").then(|| "/root".to_owned())
    })
}

#[test]
fn an_image_alone() {
    insta::assert_snapshot!(pretty(&["busybox"]));
}

#[test]
fn a_shell_on_a_terminal() {
    insta::assert_snapshot!(pretty(&[
        "--rm",
        "-it",
        "alpine:3",
        "sh",
        "-c",
        "echo $$ $(id -u)"
    ]));
}

#[test]
fn every_flag() {
    insta::assert_snapshot!(pretty(&[
        "-d",
        "--name=web",
        "-p",
        "8080:80",
        "-p",
        "127.0.0.1:53:53/udp",
        "-e",
        "A=1",
        "-e",
        "HOME",
        "-v",
        "/srv:/data:ro",
        "-v",
        "/cache",
        "--tmpfs",
        "/tmp:size=64m",
        "--cpus",
        "1.5",
        "-m",
        "256m",
        "--pids-limit",
        "64",
        "--device",
        "example.com/gpu=2",
        "-u",
        "1000:1000",
        "-w",
        "/srv",
        "--entrypoint",
        "/bin/httpd",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "cap_net_bind_service,CHOWN",
        "--privileged",
        "--sysctl",
        "net.ipv4.ip_unprivileged_port_start=0",
        "-l",
        "app=web",
        "--annotation",
        "note=x y",
        "--tag",
        "team=a",
        "--restart",
        "unless-stopped",
        "--pull",
        "always",
        "--network",
        "open",
        "--hostname",
        "www",
        "--add-host",
        "db:10.0.0.9",
        "--dns",
        "10.0.0.2",
        "--stop-timeout",
        "5",
        "--priority",
        "-3",
        "--spot",
        "nginx",
        "-f",
        "-p",
        "80",
    ]));
}

#[test]
fn flags_that_make_no_sense_are_named() {
    let fault = |line: &[&str]| format!("{:#}", of(line).unwrap_err());
    let faults: Vec<String> = [
        &["--rm", "--restart=always", "x"][..],
        &["--user", "nobody", "x"],
        &["-p", "80", "x"],
        &["-v", "data:/data", "x"],
        &["--memory", "lots", "x"],
        &["--cpus", "-", "x"],
        &["--device", "/dev/kvm", "x"],
        &["--device", "a.b/c", "--device", "a.b/c=2", "x"],
        &["-l", "x", "x"],
        &["--add-host", "db", "x"],
    ]
    .into_iter()
    .map(fault)
    .collect();
    insta::assert_snapshot!(faults.join("\n"));
}

#[test]
fn names_come_from_images() {
    let named = [
        "ghcr.io/Team/Web_App:1",
        "busybox@sha256:00",
        "localhost:5000/a.b",
        "/",
        "a:1",
    ];
    assert_eq!(
        named.map(name_prefix),
        ["web-app-", "busybox-", "a-b-", "run-", "a-"]
    );
}

#[test]
fn an_entrypoint_takes_the_words_as_arguments() {
    let container = |line: &[&str]| of(line).unwrap()["spec"]["containers"][0].clone();
    let given = container(&["--entrypoint", "/bin/x", "img", "a"]);
    assert_eq!(
        (&given["command"], &given["args"]),
        (&json!(["/bin/x"]), &json!(["a"]))
    );
    let emptied = container(&["--entrypoint", "", "img", "a", "b"]);
    assert_eq!(
        (&emptied["command"], &emptied["args"]),
        (&json!(["a", "b"]), &Value::Null)
    );
}

fn pretty(line: &[&str]) -> String {
    serde_json::to_string_pretty(&of(line).unwrap()).unwrap()
}
