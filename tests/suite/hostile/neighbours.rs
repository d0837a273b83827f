//! What one group can do to another, and what it can learn of it.

use std::path::Path;

use serde_json::{Value, json};

use super::super::{contents, create_json, state, with_container, with_spec};
use super::{agent_with, hostile_group, output, wait_for_log};

/// The kernel counts watchers of files for each user, and root of one group is another user than
/// root of another.
#[test]
fn what_is_counted_for_each_user_is_counted_for_each_group() {
    let agent = agent_with("");
    for name in ["first", "second"] {
        create_json(&agent, &hostile_group(name, "exec /incontainer instances"));
        wait_for_log(&agent, name, "TEN-10\ttake all watchers of files\tsome");
    }
    // The first holds all of its own: its next process gets none.
    let again = agent
        .ctl(&[
            "exec",
            "first",
            "--",
            "timeout",
            "2",
            "/incontainer",
            "instances",
        ])
        .stdout;
    assert!(again.contains("none"), "{again}");
    agent.ok(&["rm", "-f", "first", "second"]);
    agent.finish();
}

#[test]
fn what_is_called_out_to_everybody_is_heard_by_nobody() {
    let agent = agent_with("");
    create_json(
        &agent,
        &hostile_group("listener", "exec /incontainer hear 5353"),
    );
    wait_for_log(&agent, "listener", "listening");
    let address = agent.group("listener")["status"]["podIP"]
        .as_str()
        .unwrap()
        .to_owned();
    let script = format!("exec /incontainer shout {address}:5353");
    // That the last word comes through shows that there was a way.
    let told = output(&agent, hostile_group("caller", &script));
    assert!(told.contains("answered"), "{told}");
    let heard = agent.ok(&["logs", "listener"]);
    let words: Vec<&str> = heard
        .lines()
        .filter_map(|line| line.strip_prefix("heard "))
        .collect();
    assert!(words.iter().all(|word| *word == "the last"), "{heard}");
    agent.ok(&["rm", "-f", "listener"]);
    agent.finish();
}

/// What is written in a group is gone with it: from its disk, and from what the next one is given.
#[test]
fn nothing_of_a_group_is_left_for_the_next() {
    const CANARY: &str = "canary-71c0de";
    let agent = agent_with("");
    let volumes = json!([{"name": "disk", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory"}}]);
    let mounts =
        json!([{"name": "disk", "mountPath": "/disk"}, {"name": "memory", "mountPath": "/memory"}]);
    let with_volumes = |group: Value| {
        let group = with_spec(group, "volumes", volumes.clone());
        with_container(group, "volumeMounts", mounts.clone())
    };
    let places = "/disk /memory /dev/shm /dev/mqueue /tmp";
    let write = format!(
        "for d in /disk /memory /dev/shm /tmp /; do echo {CANARY} >$d/{CANARY}; done; echo {CANARY}"
    );
    output(&agent, with_volumes(hostile_group("first", &write)));
    let mut holders = Vec::new();
    for part in ["groups", "images"] {
        let dir = agent.scratch().join("state").join(part);
        if Path::new(&dir).exists() {
            contents::files_with(&dir, CANARY.as_bytes(), &mut holders);
        }
    }
    assert!(holders.is_empty(), "{holders:?}");
    let look = format!("for d in {places}; do ls -A $d; done; ls -A / | grep canary; echo end");
    let seen = output(&agent, with_volumes(hostile_group("second", &look)));
    assert_eq!(seen, "end\n");
    agent.finish();
}

/// Every tmpfs of a container counts as its memory.
#[test]
fn who_fills_memory_by_files_is_killed_alone() {
    let agent = agent_with("");
    create_json(&agent, &hostile_group("modest", "sleep 1000"));
    agent.ok(&["wait", "modest", "--for", "running", "--timeout", "30s"]);
    for (name, path) in [("shared", "/dev/shm"), ("volume", "/memory")] {
        let fill = format!("exec dd if=/dev/zero of={path}/x bs=1M count=60");
        let volumes = json!([{"name": "memory", "emptyDir": {"medium": "Memory"}}]);
        let group = with_spec(hostile_group(name, &fill), "volumes", volumes);
        let mounts = json!([{"name": "memory", "mountPath": "/memory"}]);
        let group = with_container(group, "volumeMounts", mounts);
        let limits = json!({"limits": {"memory": "24Mi"}});
        let group = with_container(group, "resources", limits);
        create_json(&agent, &with_spec(group, "restartPolicy", json!("Never")));
        let failed = agent.wait_until(name, "killed", |group| group["status"]["phase"] == "Failed");
        let reason = &state(&failed)["terminated"]["reason"];
        assert_eq!(reason, "OOMKilled", "{failed:#}");
    }
    let modest = agent.group("modest");
    assert_eq!(modest["status"]["phase"], "Running", "{modest:#}");
    let restarts = state(&modest)["restartCount"].as_u64();
    assert_eq!(restarts.unwrap_or(0), 0, "{modest:#}");
    agent.ok(&["rm", "-f", "shared", "volume", "modest"]);
    agent.finish();
}
