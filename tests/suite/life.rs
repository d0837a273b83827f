//! A group's life from the command line: run, status, stop, restart, removal.

use std::time::{Duration, Instant};

use super::{IMAGE, agent, create, group, state};

#[test]
fn run_exits_with_the_containers_code() {
    let agent = agent();
    let outcome = agent.ctl(&[
        "run",
        "--rm",
        IMAGE,
        "sh",
        "-c",
        "echo out; echo err >&2; exit 7",
    ]);
    assert_eq!(outcome.code, Some(7), "{outcome:?}\n{}", agent.log());
    assert_eq!(outcome.stdout, "out\n");
    assert!(outcome.stderr.contains("err"), "{outcome:?}");
    let missing = agent.ctl(&["run", "--rm", IMAGE, "no-such-program"]);
    assert_eq!(missing.code, Some(127), "{missing:?}");
    assert!(missing.stderr.contains("no-such-program"), "{missing:?}");
    let not_a_program = agent.ctl(&["run", "--rm", IMAGE, "/etc/passwd"]);
    assert_eq!(not_a_program.code, Some(126), "{not_a_program:?}");
    assert_eq!(agent.ok(&["ps", "-o", "name"]), "");
    agent.finish();
}

#[test]
fn the_sample_group_talks_over_loopback() {
    let agent = agent();
    let file = burstlet_tests::repository().join("hack/sample-group.yaml");
    let text = std::fs::read_to_string(file)
        .unwrap()
        .replace("localhost/burstlet-sample:1", IMAGE);
    agent.ok_with(&["create", "-f", "-"], text.as_bytes());
    agent.ok(&["wait", "hello", "--for", "ready", "--timeout", "30s"]);
    let deadline = Instant::now() + burstlet_tests::PATIENCE;
    while !agent
        .ok(&["logs", "hello", "-c", "client"])
        .contains("hello from a container group")
    {
        assert!(Instant::now() < deadline, "{}", agent.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let hello = agent.group("hello");
    assert_eq!(hello["status"]["phase"], "Running");
    let described = agent.ok(&["describe", "hello"]);
    for word in ["team", "demo", "Started", "Ready"] {
        assert!(described.contains(word), "{word} is not in\n{described}");
    }
    agent.ok(&["rm", "-f", "hello"]);
    agent.finish();
}

#[test]
fn a_stopped_group_keeps_its_address_and_volumes() {
    let agent = agent();
    let more = "      volumeMounts: [{name: data, mountPath: /data}]\n  volumes: [{name: data, emptyDir: {}}]\n  \
                terminationGracePeriodSeconds: 1\n";
    create(&agent, "keep", "date >>/data/starts; sleep 1000", more);
    let first = agent.wait_until("keep", "running", |g| g["status"]["phase"] == "Running");
    agent.ok(&["stop", "keep"]);
    let stopped = agent.wait_until("keep", "stopped", |g| g["status"]["phase"] == "Stopped");
    assert_eq!(stopped["status"]["podIP"], first["status"]["podIP"]);
    agent.ok(&["start", "keep"]);
    let second = agent.wait_until("keep", "running again", |g| {
        g["status"]["phase"] == "Running"
    });
    assert!(first["status"]["podIP"].is_string(), "{first:#}");
    assert_eq!(second["status"]["podIP"], first["status"]["podIP"]);
    let starts = agent.ok(&["exec", "keep", "--", "cat", "/data/starts"]);
    assert_eq!(starts.lines().count(), 2, "{starts}");
    agent.ok(&["rm", "-f", "keep"]);
    agent.finish();
}

#[test]
fn what_fails_is_started_again() {
    let agent = agent();
    let more = "  restartPolicy: OnFailure\n  volumes: [{name: data, emptyDir: {}}]\n";
    let script = "echo x >>/data/tries; [ $(wc -l </data/tries) -ge 2 ] || exit 3; echo done";
    let text = group("again", script, more).replace(
        "command:",
        "volumeMounts: [{name: data, mountPath: /data}]\n      command:",
    );
    agent.ok_with(&["create", "-f", "-"], text.as_bytes());
    let ended = agent.wait_until("again", "succeeded", |g| {
        g["status"]["phase"] == "Succeeded"
    });
    assert_eq!(state(&ended)["restartCount"], 1, "{ended:#}");
    assert_eq!(state(&ended)["lastTermination"]["exitCode"], 3, "{ended:#}");
    assert_eq!(agent.ok(&["logs", "again"]), "done\n");
    agent.ok(&["rm", "again"]);
    agent.finish();
}

#[test]
fn memory_beyond_the_limit_is_reported_as_such() {
    let agent = agent();
    let more = "      resources: {limits: {memory: 16Mi}}\n  restartPolicy: Never\n";
    create(
        &agent,
        "greedy",
        "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo $x | wc -c",
        more,
    );
    let ended = agent.wait_until("greedy", "failed", |g| g["status"]["phase"] == "Failed");
    assert_eq!(
        state(&ended)["terminated"]["reason"],
        "OOMKilled",
        "{ended:#}"
    );
    agent.ok(&["rm", "greedy"]);
    agent.finish();
}

#[test]
fn init_containers_run_in_order_before_the_rest() {
    let agent = agent();
    let more = format!(
        "      volumeMounts: [{{name: d, mountPath: /d}}]\n  restartPolicy: Never\n  volumes: [{{name: d, emptyDir: {{}}}}]\n  \
         initContainers:\n    - {{name: one, image: {IMAGE}, imagePullPolicy: Never, command: [sh, -c, 'sleep 0.3; echo one >>/d/order'], \
         volumeMounts: [{{name: d, mountPath: /d}}]}}\n    - {{name: two, image: {IMAGE}, imagePullPolicy: Never, \
         command: [sh, -c, 'echo two >>/d/order'], volumeMounts: [{{name: d, mountPath: /d}}]}}\n"
    );
    create(&agent, "ordered", "cat /d/order", &more);
    agent.wait_until("ordered", "succeeded", |g| {
        g["status"]["phase"] == "Succeeded"
    });
    assert_eq!(agent.ok(&["logs", "ordered", "-c", "main"]), "one\ntwo\n");
    agent.ok(&["rm", "ordered"]);
    agent.finish();
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let agent = agent();
    let text = group(
        "wrong",
        "true",
        "  restartPolicy: Sometimes\n  hostPID: true\n  nonsense: 1\n",
    );
    let outcome = agent.ctl_with(&["create", "-f", "-"], text.as_bytes());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for path in ["spec.restartPolicy", "spec.hostPID", "spec.nonsense"] {
        assert!(
            outcome.stderr.contains(path),
            "{path} is not in\n{}",
            outcome.stderr
        );
    }
    agent.finish();
}

#[test]
fn an_image_that_is_not_there_is_said_to_be() {
    let agent = agent();
    let text = group("absent", "true", "").replace(IMAGE, "localhost/absent:1");
    agent.ok_with(&["create", "-f", "-"], text.as_bytes());
    let waiting = agent.wait_until("absent", "waiting for its image", |g| {
        state(g)["waiting"]["reason"]
            .as_str()
            .is_some_and(|reason| reason.starts_with("ErrImage"))
    });
    assert_eq!(waiting["status"]["phase"], "Pending");
    agent.ok(&["rm", "-f", "absent"]);
    agent.finish();
}

#[test]
fn what_the_machine_cannot_hold_waits_in_the_queue() {
    let agent = super::agent_with("[capacity]\nreserved_cpu = \"0\"\nreserved_memory = \"0\"\n");
    let more = |cpu: &str| {
        format!(
            "      resources: {{requests: {{cpu: '{cpu}'}}}}\n  terminationGracePeriodSeconds: 0\n"
        )
    };
    let cpus = std::thread::available_parallelism().unwrap().get();
    create(&agent, "first", "sleep 1000", &more(&cpus.to_string()));
    agent.wait_until("first", "running", |g| g["status"]["phase"] == "Running");
    create(&agent, "second", "sleep 1000", &more("100m"));
    let queued = agent.wait_until("second", "queued", |g| g["status"]["phase"] == "Queued");
    assert!(
        queued["status"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("cpu")),
        "{queued:#}"
    );
    assert_eq!(queued["status"]["queuePosition"], 1, "{queued:#}");
    agent.ok(&["rm", "-f", "first"]);
    agent.wait_until("second", "running", |g| g["status"]["phase"] == "Running");
    agent.ok(&["rm", "-f", "second"]);
    agent.finish();
}

#[test]
fn a_container_leaves_no_process_where_processes_are_shared() {
    let agent = agent();
    let more = format!(
        "    - {{name: stays, image: {IMAGE}, imagePullPolicy: Never, command: [sleep, '1000']}}\n  \
         shareProcessNamespace: true\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n"
    );
    create(&agent, "shared", "sleep 4242 & sleep 1; exit 0", &more);
    let listed = |agent: &burstlet_tests::Agent| {
        let list = agent.ok(&["exec", "shared", "-c", "stays", "--", "ps"]);
        list.contains("sleep 4242")
    };
    agent.wait_until("shared", "running", |g| {
        g["status"]["phase"] == "Running" && listed(&agent)
    });
    agent.wait_until("shared", "half done", |g| {
        state(g)["terminated"].is_object()
    });
    assert!(!listed(&agent), "the container's child goes on");
    agent.ok(&["rm", "-f", "shared"]);
    agent.finish();
}
