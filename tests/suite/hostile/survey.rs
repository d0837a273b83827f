//! Everything that a process can try by itself, judged row by row.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use burstlet_tests::Agent;
use serde_json::{Value, json};

use super::super::{create_json, state, with_container, with_spec};
use super::table::{Block, CAPABLE, DEFAULTS, HOST_IDS, TERMINAL};
use super::{agent_with, hostile_group, output};

/// What only a shell can tell before the program runs, and a crash with no core file.
const BEFORE: &str = "printf 'CTR-34\\tSigIgn\\t%s\\n' $(sed -n 's/^SigIgn:[^0-9a-f]*//p' /proc/self/status); \
                      (cd /tmp; sh -c 'kill -SEGV $$' 2>/dev/null); \
                      printf 'CTR-11\\tfiles after a crash\\t%s\\n' $(ls -A /tmp | wc -l)";
const SERVE: &str = "exec httpd -f -p 8080 -h /tmp";

/// Those whom the program tries to reach, each an argument for it.
struct Targets {
    _listeners: Vec<TcpListener>,
    arguments: Vec<String>,
}

impl Targets {
    fn new(agent: &Agent) -> Self {
        let mut listeners = Vec::new();
        let mut listen = |address: Ipv4Addr| {
            let listener = TcpListener::bind((address, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            listeners.push(listener);
            port
        };
        let (loopback, all) = (listen(Ipv4Addr::LOCALHOST), listen(Ipv4Addr::UNSPECIFIED));
        let (own, other) = (serve(agent, "default"), serve(agent, "other"));
        let arguments = [
            (
                "TEN-03",
                "the host's loopback",
                (Ipv4Addr::LOCALHOST, loopback),
            ),
            (
                "TEN-04",
                "a cloud's metadata",
                (Ipv4Addr::new(169, 254, 169, 254), 80),
            ),
            (
                "TEN-04",
                "Azure's platform",
                (Ipv4Addr::new(168, 63, 129, 16), 80),
            ),
            (
                "TEN-04",
                "Alibaba's platform",
                (Ipv4Addr::new(100, 100, 100, 200), 80),
            ),
            ("TEN-05", "a port of the host", (agent.gateway(), all)),
            ("TEN-06", "another namespace's group", (other, 8080)),
            ("TEN-06", "a group of its own namespace", (own, 8080)),
        ];
        let argument = |(row, what, to)| format!("{row}={what}={}", SocketAddr::from(to));
        Self {
            _listeners: listeners,
            arguments: arguments.map(argument).into(),
        }
    }
}

/// Runs a group that serves, and gives its address.
fn serve(agent: &Agent, namespace: &str) -> Ipv4Addr {
    let mut group = hostile_group("server", SERVE);
    group["metadata"]["namespace"] = json!(namespace);
    let probe = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
    create_json(agent, &with_container(group, "readinessProbe", probe));
    let named = ["-n", namespace, "server"];
    agent.ok(&[
        &["wait"][..],
        &named,
        &["--for", "ready", "--timeout", "30s"],
    ]
    .concat());
    let shown = agent.ok(&[&["get"][..], &named, &["-o", "json"]].concat());
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown["status"]["podIP"].as_str().unwrap().parse().unwrap()
}

/// A group that tries everything.
fn survey(name: &str, targets: &Targets) -> Value {
    let quoted: Vec<String> = targets
        .arguments
        .iter()
        .map(|it| format!("\"{it}\""))
        .collect();
    let script = format!("{BEFORE}; exec /incontainer survey {}", quoted.join(" "));
    hostile_group(name, &script)
}

/// Judges what was seen: every answer is right, nothing was left out, and nothing came that the
/// table does not have.
fn check(what: &str, seen: &str, differs: &[Block]) {
    let mut expected: BTreeMap<(&str, &str), &[&str]> = BTreeMap::new();
    for (row, tried, answers) in DEFAULTS.iter().chain(differs) {
        expected.extend(tried.iter().map(|tried| ((*row, *tried), *answers)));
    }
    let mut faults = Vec::new();
    for line in seen.lines() {
        let parts: Vec<&str> = line.trim_end().split('\t').collect();
        let answers = match parts.as_slice() {
            [row, tried, _] => expected.remove(&(*row, *tried)),
            _ => None,
        };
        let right = answers.is_some_and(|answers| answers.contains(&parts[2]));
        if !right {
            faults.push(format!("{line:?}, expected {answers:?}"));
        }
    }
    faults.extend(expected.keys().map(|it| format!("{it:?} was not tried")));
    assert!(
        faults.is_empty(),
        "{what}:\n{}\nof\n{seen}",
        faults.join("\n")
    );
}

fn with_capability(group: Value, name: &str) -> Value {
    let group = with_spec(group, "hostUsers", json!(true));
    let security = json!({"capabilities": {"add": [name]}});
    with_container(group, "securityContext", security)
}

#[test]
fn what_a_hostile_container_tries_leads_nowhere() {
    let agent = agent_with("[policy]\nhost_users = true\n");
    let targets = Targets::new(&agent);
    let run = |group| output(&agent, group);
    check("with the defaults", &run(survey("plain", &targets)), &[]);
    let host = with_spec(survey("host", &targets), "hostUsers", json!(true));
    check("with the host's ids", &run(host), HOST_IDS);
    let terminal = with_container(survey("terminal", &targets), "tty", json!(true));
    check("with a terminal", &run(terminal), TERMINAL);
    agent.ok(&["rm", "-f", "server"]);
    agent.ok(&["rm", "-f", "-n", "other", "server"]);
    agent.finish();
}

/// Who may make devices is kept from them by the list of its cgroup, or is not started.
#[test]
fn a_device_that_can_be_made_cannot_be_opened() {
    let agent = agent_with("[policy]\nhost_users = true\n");
    let targets = Targets::new(&agent);
    let group = with_capability(survey("capable", &targets), "MKNOD");
    if Path::new("/sys/fs/cgroup/devices/devices.allow").exists() {
        check("with MKNOD", &output(&agent, group), CAPABLE);
    } else {
        create_json(&agent, &group);
        agent.wait_until("capable", "refused", |group| {
            let message = state(group)["waiting"]["message"].as_str();
            message.is_some_and(|message| message.contains("MKNOD"))
        });
        agent.ok(&["rm", "-f", "capable"]);
    }
    agent.ok(&["rm", "-f", "server"]);
    agent.ok(&["rm", "-f", "-n", "other", "server"]);
    agent.finish();
}
