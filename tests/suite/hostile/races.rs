//! What takes watching or changing while the runtime works.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use burstlet_tests::{Agent, PATIENCE};
use serde_json::{Value, json};

use super::super::{create_json, with_container, with_spec};
use super::{HOSTILE_IMAGE, agent_with, hostile_group, wait_for_log};

/// Processes that are made while somebody watches, at least.
const EXECS_MIN: usize = 20;

/// A process that becomes the container's is still the runtime's for some steps: it has the
/// runtime's program, memory and descriptors then, and nobody inside may see any of it.
#[test]
fn who_watches_a_process_being_made_sees_nothing_of_the_runtime() {
    let agent = agent_with("");
    // Once: another run of it would have a log of its own, and wait for another end.
    let watcher = hostile_group("watcher", "exec /incontainer watch /tmp/done");
    create_json(&agent, &with_spec(watcher, "restartPolicy", json!("Never")));
    wait_for_log(&agent, "watcher", "watching");
    let run = || agent.ok(&["exec", "watcher", "--", "sleep", "0.1"]);
    for _ in 0..EXECS_MIN {
        run();
    }
    let program = "CTR-01\ta program\t/bin/busybox";
    let deadline = Instant::now() + PATIENCE;
    while !agent.ok(&["logs", "watcher"]).contains(program) {
        assert!(Instant::now() < deadline, "no process was ever seen");
        run();
    }
    // The command may be killed with the watcher, whose end it brings.
    let _ = agent.ctl(&["exec", "watcher", "--", "touch", "/tmp/done"]);
    let log = wait_for_log(&agent, "watcher", "CTR-18\twatched\tto the end");
    let allowed = BTreeSet::from([
        "watching",
        program,
        "CTR-02\ta descriptor\tpipe",
        "CTR-02\ta descriptor\t/dev/null",
        "CTR-02\ta descriptor\t/tmp/done",
        "CTR-18\tmemory opened of\t/bin/busybox",
        "CTR-18\twatched\tto the end",
    ]);
    let other: Vec<&str> = log.lines().filter(|line| !allowed.contains(line)).collect();
    assert!(other.is_empty(), "{other:#?}");
    agent.ok(&["rm", "-f", "watcher"]);
    agent.finish();
}

/// Containers that mount by way of a path which another container makes a directory and a link out
/// of its volume in turn.
const VISITORS: usize = 24;

/// One that mounts a part of the volume, and something else below it; every second one is made by
/// libcontainer, which is what a terminal takes.
fn visitor(index: usize) -> Value {
    let script = "ls -A /sub; if [ -e /sub/etc ] || [ -e /sub/proc ]; then echo escaped; else echo inside; fi";
    json!({
        "name": format!("visitor-{index}"),
        "image": HOSTILE_IMAGE,
        "imagePullPolicy": "Never",
        "tty": index % 2 == 1,
        "command": ["sh", "-c", script],
        "volumeMounts": [
            {"name": "shared", "mountPath": "/v"},
            {"name": "shared", "mountPath": "/sub", "subPath": "link"},
            {"name": "other", "mountPath": "/v/link/burstlet-inner"},
        ],
    })
}

/// What has become of a visitor: its words if it ran, nothing if it was told why it cannot.
fn fate(agent: &Agent, state: &Value) -> Option<Option<String>> {
    if state["terminated"].is_object() {
        let name = state["name"].as_str().unwrap();
        return Some(Some(agent.ok(&["logs", "flipped", "-c", name])));
    }
    state["waiting"]["message"].is_string().then_some(None)
}

#[test]
fn a_path_that_is_a_link_now_and_then_leads_out_of_no_volume() {
    let agent = agent_with("");
    let flipper = json!({
        "name": "flipper",
        "image": HOSTILE_IMAGE,
        "imagePullPolicy": "Never",
        "restartPolicy": "Always",
        "command": ["/incontainer", "flip", "/v/link", "/"],
        "startupProbe": {"exec": {"command": ["test", "-e", "/v/link.other"]}, "periodSeconds": 1},
        "volumeMounts": [{"name": "shared", "mountPath": "/v"}],
        "resources": {"limits": {"cpu": "500m"}},
    });
    let visitors: Vec<Value> = (0..VISITORS).map(visitor).collect();
    let group = with_spec(
        hostile_group("flipped", ""),
        "initContainers",
        json!([flipper]),
    );
    let group = with_spec(group, "containers", json!(visitors));
    let volumes = json!([{"name": "shared", "emptyDir": {}}, {"name": "other", "emptyDir": {}}]);
    let group = with_spec(group, "restartPolicy", json!("Never"));
    create_json(&agent, &with_spec(group, "volumes", volumes));
    let settled = agent.wait_until("flipped", "tried by all", |group| {
        let states = group["status"]["containerStatuses"].as_array();
        let done = |state: &Value| {
            state["terminated"].is_object() || state["waiting"]["message"].is_string()
        };
        let ran = |state: &Value| state["terminated"].is_object();
        states
            .is_some_and(|all| all.len() == VISITORS && all.iter().all(done) && all.iter().any(ran))
    });
    let states = settled["status"]["containerStatuses"].as_array().unwrap();
    let fates: Vec<Option<String>> = states
        .iter()
        .filter_map(|state| fate(&agent, state))
        .collect();
    for words in fates.iter().flatten() {
        assert!(words.trim_end().ends_with("inside"), "{words:?}");
    }
    assert!(!Path::new("/burstlet-inner").exists(), "made on the host");
    let refused = fates.iter().filter(|fate| fate.is_none()).count();
    println!("{refused} of {VISITORS} were refused at first");
    agent.ok(&["rm", "-f", "flipped"]);
    agent.finish();
}

/// A container leaves a farm of links, deep directories and odd names where the agent will tidy up.
#[test]
fn what_a_container_leaves_behind_takes_nothing_of_the_host_along() {
    let agent = agent_with("");
    let canary = agent.scratch().join("canary");
    std::fs::create_dir(&canary).unwrap();
    std::fs::write(canary.join("file"), "alive").unwrap();
    let script = format!(
        "for d in /v /tmp; do cd $d; \
           ln -s {canary} direct; ln -s {canary}/file file; ln -s /proc/1/root root; ln -s . self; ln -s .. up; \
           ln -s {canary} ' '; printf x >\"$(printf 'new\\nline')\"; mkfifo fifo; ln fifo again; \
           i=0; while [ $i -lt 400 ]; do mkdir deep; ln -s {canary} deep/out; cd deep; i=$((i+1)); done; \
           cd $d; mkdir closed; touch closed/in; chmod 0 closed; \
         done; echo left",
        canary = canary.display()
    );
    let group = with_spec(
        hostile_group("farm", &script),
        "volumes",
        json!([{"name": "v", "emptyDir": {}}]),
    );
    let mount = json!([{"name": "v", "mountPath": "/v"}]);
    let group = with_spec(group, "restartPolicy", json!("Never"));
    create_json(&agent, &with_container(group, "volumeMounts", mount));
    agent.ok(&["wait", "farm", "--timeout", "30s"]);
    assert_eq!(agent.ok(&["logs", "farm"]), "left\n");
    agent.ok(&["rm", "farm"]);
    assert_eq!(
        std::fs::read_to_string(canary.join("file")).unwrap(),
        "alive"
    );
    assert_eq!(std::fs::read_dir(&canary).unwrap().count(), 1);
    let groups = agent.scratch().join("state/groups");
    let left: Vec<_> = std::fs::read_dir(groups).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    agent.finish();
}
