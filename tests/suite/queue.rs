//! Room on the machine: who waits, in which order, and what is never given away.

use burstlet_tests::Agent;
use serde_json::{Value, json};

use super::{agent_with, create_json, shell_group, with_container, with_spec};

fn wants(name: &str, milli: u64, priority: i32) -> Value {
    let group = with_container(
        shell_group(name, "sleep 1000"),
        "resources",
        json!({"requests": {"cpu": format!("{milli}m")}}),
    );
    with_spec(group, "priority", json!(priority))
}

/// What groups can be given of the processors, and what the machine has, in thousandths.
pub(crate) fn room(agent: &Agent) -> (u64, u64) {
    let info: Value = serde_json::from_str(&agent.ok(&["info", "-o", "json"])).unwrap();
    let milli = |kind: &str| {
        let amount = &info["capacity"][kind]["cpuMilli"];
        let text = amount.as_str().unwrap_or_default();
        text.parse().unwrap_or_else(|_| panic!("{kind}: {info:#}"))
    };
    (milli("allocatable"), milli("total"))
}

fn place(agent: &Agent, name: &str) -> Option<u64> {
    agent.group(name)["status"]["queuePosition"].as_u64()
}

#[test]
fn priority_comes_before_age_and_the_queue_has_an_end() {
    let agent = agent_with("[capacity]\nreserved_cpu = \"500m\"\nqueue_max = 3\n");
    let (all, total) = room(&agent);
    assert_eq!(all, total - 500, "what is reserved is not given away");
    create_json(&agent, &wants("whole", all, 0));
    agent.ok(&["wait", "whole", "--for", "running", "--timeout", "30s"]);
    for (name, priority) in [("old", 0), ("young", 0), ("high", 10)] {
        create_json(&agent, &wants(name, all, priority));
    }
    for (name, expected) in [("high", 1), ("old", 2), ("young", 3)] {
        assert_eq!(place(&agent, name), Some(expected), "{name}");
    }
    let more = wants("more", all, 0).to_string();
    let refused = agent.ctl_with(&["create", "-f", "-"], more.as_bytes());
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains('3'), "{refused:?}");
    // What asks for nothing delays nobody and is not delayed.
    create_json(&agent, &shell_group("free", "sleep 1000"));
    agent.ok(&["wait", "free", "--for", "running", "--timeout", "30s"]);
    for (gone, next) in [("whole", "high"), ("high", "old"), ("old", "young")] {
        agent.ok(&["rm", "-f", gone]);
        agent.ok(&["wait", next, "--for", "running", "--timeout", "30s"]);
        if next == "high" {
            assert_eq!(place(&agent, "young"), Some(2), "it waits behind the older");
        }
    }
    agent.ok(&["rm", "-f", "young", "free"]);
    agent.finish();
}

#[test]
fn what_may_be_oversold_is_and_no_more() {
    let agent = agent_with("[capacity]\nreserved_cpu = \"0\"\novercommit_percent = 150\n");
    let (all, total) = room(&agent);
    assert_eq!(all, total / 2 * 3);
    create_json(&agent, &wants("one", total, 0));
    create_json(&agent, &wants("half", total / 2, 0));
    create_json(&agent, &wants("last", 100, 0));
    for name in ["one", "half"] {
        agent.ok(&["wait", name, "--for", "running", "--timeout", "30s"]);
    }
    let waiting = agent.group("last");
    assert_eq!(waiting["status"]["phase"], "Queued", "{waiting:#}");
    assert_eq!(waiting["status"]["reason"], "OutOfcpu", "{waiting:#}");
    let message = waiting["status"]["message"].as_str().unwrap();
    assert!(message.contains("100m requested, 0 free"), "{message}");
    let never = wants("never", all + 1, 0);
    create_json(&agent, &never);
    let never = agent.group("never");
    let message = never["status"]["message"].as_str().unwrap();
    assert!(message.contains("more cpu than this machine"), "{message}");
    agent.ok(&["rm", "-f", "one", "half", "last", "never"]);
    agent.finish();
}
