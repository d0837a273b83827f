//! What Prometheus reads of a running agent.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

use burstlet_tests::Agent;
use serde_json::json;

use super::{agent_with, create_json, shell_group, with_container, with_spec};

/// Every sample by its name with labels.
fn samples(agent: &Agent) -> HashMap<String, f64> {
    let text = agent.admin("/metrics");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

/// Waits until a sample is as said.
fn wait_for(agent: &Agent, name: &str, wanted: f64) {
    let deadline = std::time::Instant::now() + burstlet_tests::PATIENCE;
    loop {
        let samples = samples(agent);
        if samples.get(name) == Some(&wanted) {
            return;
        }
        let late = std::time::Instant::now() >= deadline;
        assert!(!late, "{name} is not {wanted}: {samples:#?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn the_operator_sees_groups_launches_and_calls() {
    let agent = agent_with("[capacity]\nreserved_cpu = \"0\"\n");
    let greedy = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo $x | wc -c";
    let greedy = with_container(
        shell_group("greedy", greedy),
        "resources",
        json!({"limits": {"memory": "16Mi"}}),
    );
    create_json(
        &agent,
        &with_spec(greedy, "backoff", json!({"initialSeconds": 1})),
    );
    create_json(&agent, &shell_group("steady", "sleep 1000"));
    let large = with_container(
        shell_group("large", "true"),
        "resources",
        json!({"requests": {"cpu": "1000"}}),
    );
    create_json(&agent, &large);
    agent.ok(&["wait", "steady", "--for", "ready", "--timeout", "30s"]);
    agent.wait_until("greedy", "started again", |group| {
        super::state(group)["restartCount"].as_u64() >= Some(1)
    });
    agent.ok(&["rm", "-f", "greedy"]);
    assert_eq!(agent.ctl(&["get", "absent"]).code, Some(1));

    wait_for(&agent, "burstlet_groups{phase=\"Running\"}", 1.0);
    let samples = samples(&agent);
    let value = |name: &str| {
        let value = samples.get(name).copied();
        value.unwrap_or_else(|| panic!("no {name} in {samples:#?}"))
    };
    assert_eq!(value("burstlet_groups{phase=\"Queued\"}"), 1.0);
    assert_eq!(value("burstlet_queue_length"), 1.0);
    assert!(value("burstlet_container_restarts_total") >= 1.0);
    assert!(value("burstlet_container_oom_kills_total") >= 1.0);
    assert_eq!(value("burstlet_images"), 1.0);
    assert!(value("burstlet_image_store_bytes") > 100_000.0);
    assert!(value("burstlet_room_memory_bytes{kind=\"allocatable\"}") > 0.0);
    for stage in [
        "queued", "pulled", "unpacked", "sandbox", "network", "created", "started", "ready",
    ] {
        let series = |part: &str| {
            value(&format!(
                "burstlet_launch_stage_seconds_{part}{{stage=\"{stage}\"}}"
            ))
        };
        assert!(series("count") >= 2.0, "{stage}");
        assert!((0.0..60.0).contains(&series("sum")), "{stage}");
    }
    let call = |method: &str, code: &str| {
        value(&format!(
            "burstlet_api_calls_total{{code=\"{code}\",method=\"burstlet.v1.{method}\"}}"
        ))
    };
    assert_eq!(call("ContainerGroups/Create", "OK"), 3.0);
    assert!(call("ContainerGroups/Get", "NOT_FOUND") >= 1.0);
    check_names(&agent.admin("/metrics"));
    agent.ok(&["rm", "-f", "steady", "large"]);
    agent.finish();
}

/// Prometheus' own tool finds nothing to say about the text.
fn check_names(text: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let child = promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child
        .spawn()
        .expect("promtool is of the package prometheus");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
