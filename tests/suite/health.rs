//! Probes that decide over restarts, hooks over the network, and the waits between restarts.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use burstlet_testkit::image::{Entry, ImageBuilder, Packing};
use burstlet_tests::Agent;
use serde_json::{Value, json};

use super::{agent, create_json, shell_group, state, with_container, with_spec};

const HEALTH_IMAGE: &str = "localhost/health:1";
const HEALTH_SERVER: &str = env!("CARGO_BIN_EXE_burstlet-test-health");

/// Busybox with the health server and the libraries that it needs.
fn health_image() -> Vec<u8> {
    let listed = Command::new("ldd").arg(HEALTH_SERVER).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let words = listed.split_whitespace();
    let libraries: Vec<&str> = words.filter(|word| word.starts_with('/')).collect();
    let ancestors = libraries
        .iter()
        .flat_map(|path| Path::new(path).ancestors().skip(1));
    let directories: BTreeSet<&Path> = ancestors.filter(|dir| dir.parent().is_some()).collect();
    let inside = |path: &str| path.trim_start_matches('/').to_owned();
    let mut layer: Vec<Entry> = directories
        .into_iter()
        .map(|dir| Entry::dir(&inside(dir.to_str().unwrap())))
        .collect();
    for path in libraries {
        layer.push(Entry::file(&inside(path), std::fs::read(path).unwrap()).mode(0o755));
    }
    layer.push(Entry::file("health", std::fs::read(HEALTH_SERVER).unwrap()).mode(0o755));
    let builder = ImageBuilder::busybox().unwrap().layer(layer);
    let image = builder.packing(Packing::None).build().unwrap();
    image.docker_archive(HEALTH_IMAGE).unwrap()
}

/// A group of the health server, ready if this service is.
fn health_group(name: &str, service: &str) -> Value {
    let probe =
        |service: &str| json!({"grpc": {"port": 5000, "service": service}, "periodSeconds": 1});
    let group = shell_group(name, "exec /health 5000");
    let group = with_container(group, "image", json!(HEALTH_IMAGE));
    let group = with_container(group, "startupProbe", probe(""));
    with_container(group, "readinessProbe", probe(service))
}

/// Waits until the group's events hold all of these words.
fn wait_for_event(agent: &Agent, name: &str, words: &[&str]) {
    let deadline = Instant::now() + burstlet_tests::PATIENCE;
    loop {
        let events = agent.ok(&["events", name]);
        if words.iter().all(|word| events.contains(word)) {
            return;
        }
        assert!(Instant::now() < deadline, "{words:?} are not in\n{events}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn probes_of_every_kind_decide_over_their_containers() {
    let agent = agent();
    agent.ok_with(&["import", "-"], &health_image());
    create_json(&agent, &health_group("serves", "serving"));
    create_json(&agent, &health_group("rests", "resting"));
    let serve = "httpd -p 8080 -h /tmp; touch /tmp/up; sleep 1000";
    let every_second = |probe: Value| {
        let mut probe = probe;
        probe["periodSeconds"] = json!(1);
        probe["failureThreshold"] = json!(2);
        probe
    };
    let tcp = every_second(json!({"tcpSocket": {"port": 8080}}));
    let http = every_second(json!({"httpGet": {"port": 8080, "path": "/up"}}));
    for (name, probe) in [("tcp", &tcp), ("http", &http)] {
        let group = with_container(shell_group(name, serve), "startupProbe", probe.clone());
        create_json(
            &agent,
            &with_container(group, "livenessProbe", probe.clone()),
        );
    }
    let never = with_container(shell_group("never", "sleep 1000"), "startupProbe", http);
    create_json(&agent, &with_spec(never, "restartPolicy", json!("Never")));

    for name in ["serves", "tcp", "http"] {
        agent.ok(&["wait", name, "--for", "ready", "--timeout", "30s"]);
    }
    agent.ok(&["exec", "tcp", "--", "killall", "httpd"]);
    agent.ok(&["exec", "http", "--", "rm", "/tmp/up"]);
    for name in ["tcp", "http"] {
        let again = |group: &Value| state(group)["restartCount"] == 1;
        agent.wait_until(name, "started again", again);
        wait_for_event(&agent, name, &["Unhealthy", "failed liveness probe"]);
    }
    let failed = |group: &Value| group["status"]["phase"] == "Failed";
    agent.wait_until("never", "failed", failed);
    wait_for_event(&agent, "never", &["failed startup probe"]);
    wait_for_event(&agent, "rests", &["Unhealthy", "NOT_SERVING"]);
    let rests = agent.group("rests");
    assert_eq!(state(&rests)["started"], true, "{rests:#}");
    assert_ne!(rests["status"]["ready"], true, "{rests:#}");
    agent.ok(&["rm", "-f", "serves", "rests", "tcp", "http", "never"]);
    agent.finish();
}

#[test]
fn hooks_wait_and_ask_over_http() {
    let agent = agent();
    let mark = "#!/bin/sh\\ntouch /d/asked\\necho; echo ok\\n";
    let script = format!(
        "mkdir -p /tmp/cgi-bin; printf '{mark}' >/tmp/cgi-bin/mark; chmod +x /tmp/cgi-bin/mark; \
         httpd -p 8080 -h /tmp; trap 'exit 0' TERM; while :; do sleep 0.1; done"
    );
    let volume = json!([{"name": "d", "emptyDir": {}}]);
    let asked = with_container(
        with_spec(shell_group("asked", &script), "volumes", volume),
        "volumeMounts",
        json!([{"name": "d", "mountPath": "/d"}]),
    );
    let hooks = json!({
        "postStart": {"sleep": {"seconds": 2}},
        "preStop": {"httpGet": {"port": 8080, "path": "/cgi-bin/mark"}},
    });
    let asked = with_container(asked, "lifecycle", hooks);
    let begun = Instant::now();
    create_json(
        &agent,
        &with_spec(asked, "terminationGracePeriodSeconds", json!(20)),
    );
    agent.ok(&["wait", "asked", "--for", "ready", "--timeout", "30s"]);
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "postStart was not waited for"
    );
    agent.ok(&["stop", "asked"]);
    agent.ok(&["wait", "asked", "--for", "stopped", "--timeout", "30s"]);
    agent.ok(&["start", "asked"]);
    agent.ok(&["wait", "asked", "--for", "running", "--timeout", "30s"]);
    agent.ok(&["exec", "asked", "--", "test", "-e", "/d/asked"]);
    agent.ok(&["rm", "-f", "asked"]);

    let polite = shell_group("polite", "trap 'exit 0' TERM; while :; do sleep 0.1; done");
    let polite = with_container(
        with_spec(polite, "terminationGracePeriodSeconds", json!(20)),
        "lifecycle",
        json!({"preStop": {"sleep": {"seconds": 2}}}),
    );
    create_json(&agent, &polite);
    agent.ok(&["wait", "polite", "--for", "ready", "--timeout", "30s"]);
    let begun = Instant::now();
    agent.ok(&["stop", "polite"]);
    agent.ok(&["wait", "polite", "--for", "stopped", "--timeout", "30s"]);
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "preStop was not waited for"
    );
    agent.ok(&["rm", "polite"]);

    let hooks = json!({"postStart": {"httpGet": {"port": 9, "path": "/"}}});
    let broken = with_container(shell_group("broken", "sleep 1000"), "lifecycle", hooks);
    create_json(&agent, &broken);
    wait_for_event(&agent, "broken", &["FailedPostStartHook", "Killing"]);
    agent.ok(&["rm", "-f", "broken"]);
    agent.finish();
}

#[test]
fn waits_between_restarts_double_up_to_their_bound() {
    let agent = agent();
    let backoff = json!({"initialSeconds": 1, "maxSeconds": 2});
    let quick = shell_group("quick", "exit 3");
    create_json(&agent, &with_spec(quick, "backoff", backoff));
    create_json(&agent, &shell_group("usual", "exit 3"));
    // The first restart is at once.
    for (name, restarts, wait) in [
        ("quick", 1, "1s"),
        ("usual", 1, "10s"),
        ("quick", 2, "2s"),
        ("quick", 3, "2s"),
    ] {
        let expected = format!("back-off {wait} restarting failed container=main");
        let waiting = agent.wait_until(name, "waiting to be restarted", |group| {
            let message = state(group)["waiting"]["message"].as_str();
            state(group)["restartCount"] == restarts
                && message.is_some_and(|message| message.starts_with(&expected))
        });
        let main = state(&waiting);
        assert_eq!(main["waiting"]["reason"], "CrashLoopBackOff", "{waiting:#}");
        assert_eq!(main["lastTermination"]["exitCode"], 3, "{waiting:#}");
        assert_eq!(waiting["status"]["phase"], "Running", "{waiting:#}");
    }
    agent.ok(&["rm", "-f", "quick", "usual"]);
    agent.finish();
}
