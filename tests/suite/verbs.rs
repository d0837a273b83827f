//! The commands that look, change and clean up.

use serde_json::Value;

use super::{IMAGE, agent, create, group};

const QUICK: &str = "  terminationGracePeriodSeconds: 0\n";

#[test]
fn a_group_is_shown_in_every_form() {
    let agent = agent();
    create(&agent, "box", "sleep 1000", QUICK);
    agent.ok(&["wait", "box", "--for", "ready", "--timeout", "30s"]);
    assert_eq!(agent.ok(&["get", "-o", "name"]), "box\n");
    for command in [
        &["get", "-o", "wide"][..],
        &["ps", "-o", "wide"],
        &["describe", "box"],
        &["stats", "--no-stream", "box"],
        &["top"],
        &["events", "box"],
        &["images"],
        &["info"],
    ] {
        let text = agent.ok(command);
        assert!(text.lines().count() >= 2, "{command:?}: {text}");
    }
    for command in [
        &["get", "box", "-o", "json"][..],
        &["ps", "-o", "json"],
        &["images", "-o", "json"],
        &["events", "box", "-o", "json"],
        &["info", "-o", "json"],
        &["capabilities", "-o", "json"],
    ] {
        let text = agent.ok(command);
        let parsed = serde_json::from_str::<Value>(&text);
        assert!(parsed.is_ok(), "{command:?}: {parsed:?}: {text}");
    }
    assert!(
        agent
            .ok(&["get", "box", "-o", "yaml"])
            .contains("phase: Running")
    );
    let used = agent.ok(&["stats", "--no-stream", "box"]);
    assert!(used.contains("box") && used.contains("iB"), "{used}");
    assert!(agent.ok(&["events", "box"]).contains("Started"));
    assert!(agent.ok(&["completion", "bash"]).contains("burstctl"));
    agent.ok(&["rm", "-f", "box"]);
    let gone = agent.ctl(&["get", "box"]);
    assert_eq!(gone.code, Some(1), "{gone:?}");
    agent.finish();
}

#[test]
fn what_is_exported_makes_the_same_group() {
    let agent = agent();
    let more = "      env: [{name: A, value: b}]\n      ports: [{containerPort: 80}]\n  hostname: here\n  restartPolicy: Never\n";
    create(&agent, "first", "echo same", more);
    agent.ok(&["wait", "first", "--timeout", "30s"]);
    for form in ["group", "pod"] {
        let text = agent.ok(&["export", "first", "--as", form]);
        agent.ok(&["rm", "first"]);
        agent.ok_with(&["create", "-f", "-"], text.as_bytes());
        agent.ok(&["wait", "first", "--timeout", "30s"]);
        assert_eq!(agent.ok(&["logs", "first"]), "same\n");
        assert_eq!(agent.group("first")["spec"]["hostname"], "here");
    }
    agent.ok(&["rm", "first"]);
    agent.finish();
}

#[test]
fn creating_is_checked_and_can_be_repeated() {
    let agent = agent();
    let text = group("once", "sleep 1000", QUICK);
    agent.ok_with(&["validate", "-f", "-"], text.as_bytes());
    assert_eq!(agent.ok(&["get", "-o", "name"]), "");
    let create = ["create", "-f", "-", "--request-id", "r1"];
    assert_eq!(agent.ok_with(&create, text.as_bytes()), "once created\n");
    assert_eq!(
        agent.ok_with(&create, text.as_bytes()),
        "once is there already\n"
    );
    let taken = agent.ctl_with(&["create", "-f", "-"], text.as_bytes());
    assert_eq!(taken.code, Some(1), "{taken:?}");
    assert!(taken.stderr.contains("once"), "{taken:?}");
    agent.ok(&["rm", "-f", "once"]);
    agent.finish();
}

#[test]
fn images_in_use_are_kept_and_others_go() {
    let agent = agent();
    create(&agent, "user", "sleep 1000", QUICK);
    agent.ok(&["wait", "user", "--for", "running", "--timeout", "30s"]);
    let refused = agent.ctl(&["rmi", IMAGE]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    agent.ok(&["prune"]);
    assert!(agent.ok(&["images"]).contains("localhost/sample"));
    agent.ok(&["rm", "-f", "user"]);
    agent.ok(&["rmi", IMAGE]);
    assert!(!agent.ok(&["images"]).contains("localhost/sample"));
    agent.finish();
}

#[test]
fn restart_starts_again_whole_or_in_part() {
    let agent = agent();
    create(&agent, "again", "sleep 1000", QUICK);
    agent.ok(&["wait", "again", "--for", "running", "--timeout", "30s"]);
    let pid = |group: &Value| super::state(group)["running"]["pid"].as_i64();
    let first = pid(&agent.group("again"));
    agent.ok(&["restart", "again"]);
    let second = agent.wait_until("again", "another process", |g| {
        pid(g).is_some() && pid(g) != first
    });
    agent.ok(&["restart", "again", "-c", "main"]);
    agent.wait_until("again", "a third process", |g| {
        pid(g).is_some() && pid(g) != pid(&second)
    });
    agent.ok(&["rm", "-f", "again"]);
    agent.finish();
}
