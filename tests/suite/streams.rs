//! Exec, attach, logs and copying through the real programs.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{IMAGE, agent, create, state};

const QUICK: &str = "  terminationGracePeriodSeconds: 0\n";

#[test]
fn exec_carries_input_output_and_codes() {
    let agent = agent();
    create(&agent, "box", "sleep 1000", QUICK);
    agent.wait_until("box", "running", |g| g["status"]["phase"] == "Running");
    let input: Vec<u8> = (0..4_000_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    std::fs::write(agent.scratch().join("input"), &input).unwrap();
    let expected = std::process::Command::new("sha256sum")
        .arg(agent.scratch().join("input"))
        .output()
        .unwrap();
    let expected = String::from_utf8(expected.stdout).unwrap();
    let sum = agent.ok_with(
        &["exec", "-i", "box", "--", "sh", "-c", "cat | sha256sum"],
        &input,
    );
    assert_eq!(
        sum.split_whitespace().next(),
        expected.split_whitespace().next()
    );
    let failed = agent.ctl(&[
        "exec",
        "box",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 42",
    ]);
    assert_eq!(
        (failed.code, failed.stdout.as_str()),
        (Some(42), "out\n"),
        "{failed:?}"
    );
    assert!(failed.stderr.contains("err"), "{failed:?}");
    assert_eq!(
        agent.ctl(&["exec", "box", "--", "no-such-program"]).code,
        Some(127)
    );
    assert_eq!(
        agent
            .ctl(&["exec", "box", "--", "sh", "-c", "kill -9 $$"])
            .code,
        Some(137)
    );
    let absent = agent.ctl(&["exec", "absent", "--", "true"]);
    assert_eq!(absent.code, Some(125), "{absent:?}");
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}

#[test]
fn logs_are_whole_and_can_be_cut() {
    let agent = agent();
    create(
        &agent,
        "talk",
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done",
        "  restartPolicy: Never\n",
    );
    agent.wait_until("talk", "succeeded", |g| g["status"]["phase"] == "Succeeded");
    let all = agent.ok(&["logs", "talk"]);
    assert_eq!(all.lines().count(), 20_000);
    assert_eq!(all.lines().last(), Some("line 20000"));
    assert_eq!(
        agent.ok(&["logs", "talk", "--tail", "2"]),
        "line 19999\nline 20000\n"
    );
    let stamped = agent.ok(&["logs", "talk", "--tail", "1", "--timestamps"]);
    assert!(
        stamped.starts_with("20") && stamped.trim_end().ends_with("Z line 20000"),
        "{stamped}"
    );
    let followed = agent.ok(&["logs", "-f", "talk", "--tail", "1"]);
    assert_eq!(followed, "line 20000\n");
    agent.ok(&["rm", "talk"]);
    agent.finish();
}

#[test]
fn files_are_copied_both_ways() {
    let agent = agent();
    create(&agent, "files", "sleep 1000", QUICK);
    agent.wait_until("files", "running", |g| g["status"]["phase"] == "Running");
    let tree = agent.scratch().join("tree");
    std::fs::create_dir_all(tree.join("inner")).unwrap();
    std::fs::write(tree.join("inner/file"), "contents").unwrap();
    agent.ok(&["cp", tree.to_str().unwrap(), "files:/tmp/tree"]);
    assert_eq!(
        agent.ok(&["exec", "files", "--", "cat", "/tmp/tree/inner/file"]),
        "contents"
    );
    let back = agent.scratch().join("back");
    agent.ok(&["cp", "files:/tmp/tree", back.to_str().unwrap()]);
    assert_eq!(
        std::fs::read_to_string(back.join("inner/file")).unwrap(),
        "contents"
    );
    agent.ok(&["rm", "-f", "files"]);
    agent.finish();
}

#[test]
fn run_attaches_input() {
    let agent = agent();
    let text = agent.ok_with(
        &[
            "run",
            "--rm",
            "-i",
            IMAGE,
            "sh",
            "-c",
            "read line; echo got $line",
        ],
        b"something\n",
    );
    assert_eq!(text, "got something\n");
    agent.finish();
}

#[test]
fn a_signal_ends_what_waits_to_be_started_again() {
    let agent = agent();
    let args = [
        "run",
        "--restart",
        "on-failure",
        "--name",
        "failing",
        IMAGE,
        "false",
    ];
    let mut child = agent.ctl_command(&args).spawn().unwrap();
    let is_there = || agent.ctl(&["get", "failing"]).code == Some(0);
    while !is_there() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    agent.wait_until("failing", "backing off", |g| {
        state(g)["waiting"]["reason"] == "CrashLoopBackOff"
    });
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{}", agent.log());
    agent.wait_until("failing", "stopped", |g| g["status"]["phase"] == "Stopped");
    agent.ok(&["rm", "failing"]);
    agent.finish();
}
