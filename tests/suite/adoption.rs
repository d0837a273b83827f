//! What an agent makes of what it finds, when it starts and while it runs.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burstlet_tests::{Agent, PATIENCE};
use nix::sys::socket::{Shutdown, UnixAddr, getpeername, shutdown};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::{agent, create, group, state};

const QUICK: &str = "  terminationGracePeriodSeconds: 0\n";
/// Groups that are taken over together.
const MANY: usize = 100;

/// The files below `dir` whose parent has this name.
fn files(dir: &Path, parent: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&path, parent)),
            false if dir.ends_with(parent) => found.push(path),
            false => {}
        }
    }
    found
}

fn wait_for_log(agent: &Agent, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !agent.log().contains(text) {
        assert!(Instant::now() < deadline, "{text:?}:\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn leases_that_cannot_be_read_are_made_anew() {
    let mut agent = agent();
    create(&agent, "kept", "sleep 1000", QUICK);
    agent.wait_until("kept", "running", |g| g["status"]["phase"] == "Running");
    assert!(agent.stop().unwrap().success());
    let stored = agent.scratch().join("state");
    let layers = files(&stored, "layers");
    assert!(!layers.is_empty());
    for layer in layers {
        let record = fs::read_to_string(&layer).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        assert!(record["unsynced_boot"].is_null(), "{record:#}");
    }
    for lease in files(&stored, "leases") {
        fs::write(lease, "{").unwrap();
    }
    agent.launch();
    let refused = agent.ctl(&["rmi", super::IMAGE]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stderr.contains("group"), "{refused:?}");
    agent.ok(&["rm", "-f", "kept"]);
    agent.finish();
}

#[test]
fn a_sandbox_that_was_left_half_made_is_made_anew() {
    let mut agent = agent();
    // Its keeper stands, and nothing has ever run in it.
    let refused = "      securityContext: {runAsNonRoot: true}\n";
    create(&agent, "half", "sleep 1000", &format!("{refused}{QUICK}"));
    let waits = |g: &serde_json::Value| {
        let text = state(g)["waiting"]["message"].as_str();
        text.is_some_and(|text| text.contains("runAsNonRoot"))
    };
    let half = agent.wait_until("half", "told why", waits);
    let uid = half["metadata"]["uid"].as_str().unwrap();
    let socket = agent.scratch().join(format!("run/keepers/{uid}.sock"));
    let made = || fs::metadata(&socket).unwrap().modified().unwrap();
    let first = made();
    agent.crash();
    let mark = agent
        .scratch()
        .join(format!("state/groups/{uid}/sandbox-complete"));
    fs::remove_file(mark).unwrap();
    agent.launch();
    wait_for_log(&agent, "an agent went while it made the sandbox");
    agent.wait_until("half", "told why again", |g| waits(g) && socket.exists());
    assert_ne!(made(), first, "the same keeper");
    agent.ok(&["rm", "-f", "half"]);
    agent.finish();
}

/// Breaks the agent's connection to a keeper, as a full buffer would.
fn break_connection(agent: &Agent, uid: &str) {
    let pid = Pid::from_raw(agent.pid().cast_signed()).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let mut broken = 0;
    for entry in fs::read_dir(format!("/proc/{}/fd", agent.pid()))
        .unwrap()
        .flatten()
    {
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        // One that was closed meanwhile is none of ours.
        let Ok(fd) = pidfd_getfd(process.as_fd(), number, PidfdGetfdFlags::empty()) else {
            continue;
        };
        let raw = fd.as_raw_fd();
        let Ok(peer) = getpeername::<UnixAddr>(raw) else {
            continue;
        };
        if peer
            .path()
            .is_some_and(|path| path.ends_with(format!("{uid}.sock")))
        {
            shutdown(raw, Shutdown::Both).unwrap();
            broken += 1;
        }
    }
    assert_eq!(broken, 1);
}

#[test]
fn a_broken_connection_to_a_keeper_that_lives_loses_nothing() {
    let mut agent = agent();
    let script = "trap 'exit 3' TERM; while :; do sleep 0.1; done";
    create(&agent, "linked", script, "  restartPolicy: Never\n");
    agent.wait_until("linked", "running", |g| g["status"]["phase"] == "Running");
    // The connection of the agent that made the keeper has no name to find it by.
    agent.crash();
    agent.launch();
    let running = agent.wait_until("linked", "running", |g| g["status"]["phase"] == "Running");
    break_connection(&agent, running["metadata"]["uid"].as_str().unwrap());
    wait_for_log(&agent, "connected to the keeper again");
    agent.ok(&["exec", "linked", "--", "kill", "-TERM", "1"]);
    let ended = agent.wait_until("linked", "failed", |g| g["status"]["phase"] == "Failed");
    assert_eq!(state(&ended)["terminated"]["exitCode"], 3, "{ended:#}");
    agent.ok(&["rm", "linked"]);
    agent.finish();
}

#[test]
fn many_groups_are_taken_over_together() {
    let mut agent = agent();
    let names: Vec<String> = (0..MANY).map(|n| format!("g{n}")).collect();
    let text: Vec<String> = names
        .iter()
        .map(|name| group(name, "sleep 1000", QUICK))
        .collect();
    agent.ok_with(&["create", "-f", "-"], text.join("---\n").as_bytes());
    for name in &names {
        agent.ok(&["wait", name, "--for", "running", "--timeout", "60s"]);
    }
    agent.crash();
    let begun = Instant::now();
    agent.launch();
    assert_eq!(agent.told().trim(), "READY=1");
    println!("{MANY} groups were taken over within {:?}", begun.elapsed());
    let is_up = |line: &str| line.contains(" Up ");
    let deadline = Instant::now() + PATIENCE;
    // What is shown follows the ledger.
    while agent.ok(&["ps"]).lines().filter(|line| is_up(line)).count() < MANY {
        assert!(Instant::now() < deadline, "{}", agent.ok(&["ps"]));
    }
    let mut remove = vec!["rm", "-f"];
    remove.extend(names.iter().map(String::as_str));
    agent.ok(&remove);
    agent.finish();
}
