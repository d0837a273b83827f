//! Processors that a group has alone: nothing of it runs elsewhere, and nobody else there.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use burstlet_tests::{Agent, PATIENCE};
use serde_json::{Value, json};

use super::{agent_with, create_json, shell_group, with_container};

/// The numbers of a list of the kernel's.
fn numbers(list: &str) -> BTreeSet<u32> {
    let parts = list.trim().split(',').filter(|part| !part.is_empty());
    parts
        .flat_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            first.parse().unwrap()..=last.parse::<u32>().unwrap()
        })
        .collect()
}

/// Where a process may run, by its status.
fn allowed(status: &str) -> BTreeSet<u32> {
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    numbers(list.unwrap_or_else(|| panic!("no list in {status}")))
}

/// Where the first process of a group's container may run, and one that is started in it now.
fn runs_on(agent: &Agent, name: &str) -> BTreeSet<u32> {
    let look = ["cat", "/proc/1/status", "/proc/self/status"];
    let both = agent.ok(&[&["exec", name, "--"][..], &look].concat());
    let (first, second) = both.split_at(both.rfind("Name:").unwrap());
    assert_eq!(allowed(first), allowed(second), "{both}");
    allowed(first)
}

/// What its status says that it has alone.
fn told(agent: &Agent, name: &str) -> BTreeSet<u32> {
    let group = agent.group(name);
    numbers(group["status"]["processors"].as_str().unwrap_or_default())
}

/// Asks for so many processors, and for all the memory that it may use.
fn whole(name: &str, count: usize) -> Value {
    let limits = json!({"cpu": count.to_string(), "memory": "32Mi"});
    with_container(
        shell_group(name, "sleep 1000"),
        "resources",
        json!({ "limits": limits }),
    )
}

fn running(agent: &Agent, name: &str) {
    agent.ok(&["wait", name, "--for", "running", "--timeout", "60s"]);
}

#[test]
fn a_group_has_processors_alone_until_its_end() {
    let all = allowed(&fs::read_to_string("/proc/self/status").unwrap());
    assert!(all.len() > 1, "it needs two processors, and has {all:?}");
    let mut agent = agent_with("[processors]\nexclusive = true\n");
    create_json(&agent, &shell_group("shares", "sleep 1000"));
    running(&agent, "shares");
    assert_eq!(runs_on(&agent, "shares"), all);

    create_json(&agent, &whole("alone", 1));
    running(&agent, "alone");
    let own = runs_on(&agent, "alone");
    assert_eq!(own.len(), 1);
    assert_eq!(told(&agent, "alone"), own);
    let rest = &all - &own;
    let as_it_was = |agent: &Agent| {
        assert_eq!(runs_on(agent, "alone"), own);
        assert_eq!(told(agent, "alone"), own);
        assert_eq!(runs_on(agent, "shares"), rest);
        assert_eq!(told(agent, "shares"), BTreeSet::new());
    };
    as_it_was(&agent);
    let described = agent.ok(&["describe", "alone"]);
    assert!(described.contains("Processors:"), "{described}");
    let counts = |kind: &str| {
        let page = agent.admin("/metrics");
        let name = format!("burstlet_processors{{kind=\"{kind}\"}} ");
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(&name));
        value.and_then(|value| value.parse().ok())
    };
    assert_eq!(counts("exclusive"), Some(own.len()));
    assert_eq!(counts("shared"), Some(rest.len()));

    // What is left is not enough for all that it asks for, as one is always shared.
    create_json(&agent, &whole("next", all.len() - 1));
    let waits = agent.wait_until("next", "queued", |g| g["status"]["phase"] == "Queued");
    assert_eq!(waits["status"]["reason"], "OutOfcpu", "{waits:#}");

    agent.crash();
    agent.launch();
    as_it_was(&agent);
    create_json(&agent, &shell_group("later", "sleep 1000"));
    running(&agent, "later");
    assert_eq!(runs_on(&agent, "later"), rest);

    agent.ok(&["rm", "-f", "alone"]);
    running(&agent, "next");
    let next = runs_on(&agent, "next");
    assert_eq!(next.len(), all.len() - 1);
    assert_eq!(runs_on(&agent, "shares"), &all - &next);
    agent.ok(&["rm", "-f", "next"]);
    let deadline = Instant::now() + PATIENCE;
    while runs_on(&agent, "shares") != all {
        assert!(Instant::now() < deadline, "not given back: {}", agent.log());
    }
    agent.ok(&["rm", "-f", "shares", "later"]);
    agent.finish();
}
