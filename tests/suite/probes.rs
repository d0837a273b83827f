//! Probes, hooks, and the ways in which a group ends.

use super::{IMAGE, agent, create, state};

#[test]
fn readiness_follows_each_kind_of_probe() {
    let agent = agent();
    let probes = [
        ("exec", "sleep 1000", "exec: {command: [test, -e, /tmp/up]}"),
        (
            "http",
            "httpd -p 8080 -h /tmp; sleep 1000",
            "httpGet: {port: 8080, path: /up}",
        ),
        (
            "tcp",
            "httpd -p 9090 -h /tmp; sleep 1000",
            "tcpSocket: {port: 9090}",
        ),
    ];
    for (name, script, probe) in probes {
        let more = format!(
            "      readinessProbe: {{{probe}, periodSeconds: 1}}\n  terminationGracePeriodSeconds: 0\n"
        );
        create(&agent, name, script, &more);
    }
    for name in ["exec", "http"] {
        agent.ok(&["wait", name, "--for", "running", "--timeout", "30s"]);
        let running = agent.group(name);
        assert_ne!(state(&running)["ready"], true, "{running:#}");
        agent.ok(&["exec", name, "--", "touch", "/tmp/up"]);
    }
    for (name, ..) in probes {
        agent.ok(&["wait", name, "--for", "ready", "--timeout", "30s"]);
        agent.ok(&["rm", "-f", name]);
    }
    agent.finish();
}

#[test]
fn a_failure_names_the_address_once() {
    let agent = agent();
    for (name, probe) in [
        ("http", "httpGet: {port: 8080}"),
        ("tcp", "tcpSocket: {port: 8080}"),
    ] {
        let more = format!(
            "      readinessProbe: {{{probe}, periodSeconds: 1}}\n  terminationGracePeriodSeconds: 0\n"
        );
        create(&agent, name, "sleep 1000", &more);
        agent.wait_until(name, "a failed probe", |_| {
            agent
                .ok(&["events", name])
                .contains("Readiness probe failed")
        });
        let events = agent.ok(&["events", name]);
        let failed = events.lines().find(|line| line.contains("probe failed"));
        let told = failed.map(|line| line.matches(":8080").count());
        assert_eq!(told, Some(1), "{events}");
        agent.ok(&["rm", "-f", name]);
    }
    agent.finish();
}

#[test]
fn liveness_that_fails_starts_again_and_says_so() {
    let agent = agent();
    let more = "      livenessProbe: {exec: {command: [test, '!', -e, /tmp/dead]}, periodSeconds: 1, failureThreshold: 1}\n      \
                startupProbe: {exec: {command: ['true']}, periodSeconds: 1}\n  terminationGracePeriodSeconds: 1\n";
    create(&agent, "alive", "sleep 1000", more);
    agent.ok(&["wait", "alive", "--for", "ready", "--timeout", "30s"]);
    agent.ok(&["exec", "alive", "--", "touch", "/tmp/dead"]);
    agent.wait_until("alive", "started again", |g| state(g)["restartCount"] == 1);
    let events = agent.ok(&["events", "alive"]);
    assert!(events.contains("Unhealthy"), "{events}");
    agent.ok(&["rm", "-f", "alive"]);
    agent.finish();
}

#[test]
fn hooks_run_inside_and_before_the_stop() {
    let agent = agent();
    let more = "      lifecycle: {postStart: {exec: {command: [touch, /d/post]}}, preStop: {exec: {command: [touch, /d/pre]}}}\n      \
                volumeMounts: [{name: d, mountPath: /d}]\n  volumes: [{name: d, emptyDir: {}}]\n  terminationGracePeriodSeconds: 5\n";
    let script = "trap 'ls /d >/d/seen; exit 0' TERM; while :; do sleep 0.1; done";
    create(&agent, "hooked", script, more);
    // It is ready only when the hook is done.
    agent.ok(&["wait", "hooked", "--for", "ready", "--timeout", "30s"]);
    assert_eq!(agent.ok(&["exec", "hooked", "--", "ls", "/d"]), "post\n");
    agent.ok(&["stop", "hooked"]);
    agent.ok(&["wait", "hooked", "--for", "stopped", "--timeout", "30s"]);
    agent.ok(&["start", "hooked"]);
    agent.ok(&["wait", "hooked", "--for", "running", "--timeout", "30s"]);
    let seen = agent.ok(&["exec", "hooked", "--", "cat", "/d/seen"]);
    assert!(seen.contains("post") && seen.contains("pre"), "{seen}");
    agent.ok(&["rm", "-f", "hooked"]);
    agent.finish();
}

#[test]
fn a_group_has_its_grace_and_no_more() {
    let agent = agent();
    let deaf = "trap '' TERM; while :; do sleep 0.1; done";
    create(&agent, "deaf", deaf, "  terminationGracePeriodSeconds: 1\n");
    create(
        &agent,
        "polite",
        "trap 'exit 9' TERM; while :; do sleep 0.1; done",
        "",
    );
    let signal = "      lifecycle: {stopSignal: SIGUSR1}\n  os: {name: linux}\n";
    create(
        &agent,
        "other",
        "trap 'exit 8' USR1; while :; do sleep 0.1; done",
        signal,
    );
    for (name, code) in [("deaf", 137), ("polite", 9), ("other", 8)] {
        agent.ok(&["wait", name, "--for", "running", "--timeout", "30s"]);
        // The shell has to come to its trap.
        std::thread::sleep(std::time::Duration::from_millis(300));
        agent.ok(&["stop", name]);
        let stopped = agent.wait_until(name, "stopped", |g| g["status"]["phase"] == "Stopped");
        assert_eq!(
            state(&stopped)["terminated"]["exitCode"],
            code,
            "{stopped:#}"
        );
        agent.ok(&["rm", name]);
    }
    agent.finish();
}

#[test]
fn deadlines_end_and_remove_groups() {
    let agent = agent();
    let late = "  activeDeadlineSeconds: 1\n  terminationGracePeriodSeconds: 0\n";
    create(&agent, "late", "sleep 1000", late);
    let ended = agent.wait_until("late", "failed", |g| g["status"]["phase"] == "Failed");
    assert_eq!(ended["status"]["reason"], "DeadlineExceeded", "{ended:#}");
    let brief = "  restartPolicy: Never\n  ttlSecondsAfterFinished: 1\n";
    create(&agent, "brief", "true", brief);
    agent.ok(&["wait", "brief", "--for", "deleted", "--timeout", "30s"]);
    assert_eq!(agent.ok(&["get", "-o", "name"]), "late\n");
    agent.ok(&["rm", "late"]);
    agent.finish();
}

#[test]
fn sidecars_start_before_and_end_after() {
    let agent = agent();
    let more = format!(
        "      volumeMounts: [{{name: d, mountPath: /d}}]\n  restartPolicy: Never\n  volumes: [{{name: d, emptyDir: {{}}}}]\n  \
         initContainers:\n    - {{name: side, image: {IMAGE}, imagePullPolicy: Never, restartPolicy: Always, \
         command: [sh, -c, 'trap \"exit 0\" TERM; touch /d/side; while :; do sleep 0.1; done'], \
         startupProbe: {{exec: {{command: [test, -e, /d/side]}}, periodSeconds: 1}}, \
         volumeMounts: [{{name: d, mountPath: /d}}]}}\n"
    );
    create(&agent, "pair", "ls /d", &more);
    agent.wait_until("pair", "succeeded", |g| g["status"]["phase"] == "Succeeded");
    assert_eq!(agent.ok(&["logs", "pair", "-c", "main"]), "side\n");
    agent.ok(&["rm", "pair"]);
    agent.finish();
}
