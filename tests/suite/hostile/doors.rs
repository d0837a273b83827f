//! What a container reaches of the agent, and what it can make the agent do.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Instant;

use burstlet_tests::{Agent, PATIENCE};
use serde_json::json;

use super::super::{create_json, with_container};
use super::{agent_with, hostile_group};

/// Streams that are opened and dropped.
const STREAMS: usize = 60;
/// Descriptors that may come and go for other reasons.
const DESCRIPTORS_SLACK: usize = 8;

/// The agent, its launcher and its keepers.
fn processes(agent: &Agent) -> Vec<u32> {
    let dir = agent.scratch().display().to_string();
    let mut found = vec![agent.pid()];
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        let command = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let ours = command.starts_with("burstlet") && command.contains(&dir);
        found.extend(pid.filter(|_| ours));
    }
    found
}

fn descriptors(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.map(|target| target.display().to_string()).collect()
}

/// An abstract socket is reached by whoever shares a network, whatever the files' modes say.
#[test]
fn nothing_of_ours_listens_by_an_abstract_name() {
    let agent = agent_with("[policy]\nhost_users = true\nhost_network = true\n");
    create_json(&agent, &hostile_group("box", "sleep 1000"));
    agent.ok(&["wait", "box", "--for", "running", "--timeout", "30s"]);
    let processes = processes(&agent);
    assert!(processes.len() >= 2, "{processes:?}");
    let ours: BTreeSet<String> = processes.iter().flat_map(|pid| descriptors(*pid)).collect();
    for pid in processes {
        let table = fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap();
        for line in table.lines().filter(|line| line.contains(" @")) {
            let inode = line.split_whitespace().nth(6).unwrap();
            assert!(!ours.contains(&format!("socket:[{inode}]")), "{line}");
        }
    }
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}

#[test]
fn streams_that_are_dropped_leave_nothing_in_the_agent() {
    let agent = agent_with("");
    create_json(&agent, &hostile_group("box", "echo begun; sleep 1000"));
    agent.ok(&["wait", "box", "--for", "running", "--timeout", "30s"]);
    agent.ok(&["exec", "box", "--", "true"]);
    let before = descriptors(agent.pid()).len();
    for commands in [
        &["exec", "-i", "box", "--", "cat"][..],
        &["logs", "-f", "box"],
        &["attach", "box"],
    ] {
        let mut clients: Vec<_> = (0..STREAMS / 3)
            .map(|_| {
                let mut command = agent.ctl_command(commands);
                command
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                command.spawn().unwrap()
            })
            .collect();
        let deadline = Instant::now() + PATIENCE;
        while descriptors(agent.pid()).len() < before + STREAMS / 3 {
            assert!(Instant::now() < deadline, "{commands:?} opened nothing");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        for client in &mut clients {
            client.kill().unwrap();
            client.wait().unwrap();
        }
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = descriptors(agent.pid());
        if now.len() <= before + DESCRIPTORS_SLACK {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{before} became {}: {now:#?}",
            now.len()
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}

/// A probe names a host of its own: it is asked from inside the group, so it is the group's.
#[test]
fn a_probe_reaches_the_groups_loopback_and_not_the_hosts() {
    let agent = agent_with("");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let probe = json!({
        "httpGet": {"host": "127.0.0.1", "port": port, "path": "/etc/passwd"},
        "periodSeconds": 1,
        "failureThreshold": 2,
    });
    let lured = hostile_group("lured", "sleep 1000");
    create_json(
        &agent,
        &with_container(lured, "livenessProbe", probe.clone()),
    );
    agent.wait_until("lured", "asked in vain", |group| {
        super::super::state(group)["restartCount"].as_u64() >= Some(1)
    });
    let nobody = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(
        nobody,
        Err(std::io::ErrorKind::WouldBlock),
        "the host was asked"
    );
    let script = format!("exec httpd -f -p 127.0.0.1:{port} -h /");
    let honest = hostile_group("honest", &script);
    create_json(&agent, &with_container(honest, "readinessProbe", probe));
    agent.ok(&["wait", "honest", "--for", "ready", "--timeout", "30s"]);
    agent.ok(&["rm", "-f", "lured", "honest"]);
    agent.finish();
}
