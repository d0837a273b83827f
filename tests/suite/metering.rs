//! What is charged: read from the ledger by `hack/verify-ledger`, which shares no line with the
//! agent, and compared with what keepers wrote down and what containers saw themselves.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use burstlet_tests::{Agent, PATIENCE, repository, wait_for};
use serde_json::Value;

use super::ledger::ledger_of;
use super::{agent, create, full_or, state};

/// What billed time and a witness inside the container may differ by, at most.
const ERROR_MAX: Duration = Duration::from_secs(1);
const NEVER: &str = "  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n";

fn uid(agent: &Agent, name: &str) -> String {
    let group = agent.group(name);
    group["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn session<'a>(ledger: &'a Value, uid: &str, start: u32) -> &'a Value {
    let session = &ledger["sessions"][format!("{uid}#{start}")];
    assert!(session.is_object(), "{uid}#{start} is not in {ledger:#}");
    session
}

fn ns(session: &Value, state: &str) -> u64 {
    let text = session["ns"][state].as_str().unwrap_or("0");
    text.parse().unwrap()
}

/// How long a container ran, as its keeper wrote it down.
fn kept_ns(agent: &Agent, uid: &str, attempt: u32) -> u64 {
    let path: PathBuf = agent
        .scratch()
        .join(format!("state/groups/{uid}/exits/main.{attempt}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let at = |which: &str| record["exit"][which]["boot_ns"].as_u64().unwrap();
    at("finished") - at("started")
}

fn finished(agent: &Agent, name: &str) -> Value {
    agent.wait_until(name, "finished", |group| {
        matches!(
            group["status"]["phase"].as_str(),
            Some("Succeeded" | "Failed")
        )
    })
}

#[test]
fn a_run_is_charged_from_its_start_to_its_exit_to_the_nanosecond() {
    let agent = agent();
    let names: Vec<String> = (0..12).map(|n| format!("run-{n}")).collect();
    for (number, name) in names.iter().enumerate() {
        let nap = 20 + 130 * number;
        // The boot clock as the container sees it, at its begin and its end.
        let script = format!(
            "cat /proc/uptime; sleep {}.{:03}; cat /proc/uptime",
            nap / 1000,
            nap % 1000
        );
        create(&agent, name, &script, NEVER);
    }
    let mut errors = Vec::new();
    for name in &names {
        finished(&agent, name);
        let ledger = ledger_of(&agent, &[]);
        let uid = uid(&agent, name);
        let session = session(&ledger, &uid, 1);
        assert_eq!(session["closed"], "Succeeded", "{session:#}");
        assert_eq!(
            ns(session, "Running"),
            kept_ns(&agent, &uid, 0),
            "{session:#}"
        );
        assert_eq!(ns(session, "Terminating"), 0);
        assert!(
            ns(session, "Pulling") + ns(session, "Starting") > 0,
            "{session:#}"
        );
        assert_eq!(session["used"]["is_final"], "1", "{session:#}");
        assert!(session["used"]["cpu_us"].as_str().unwrap() != "0");
        let logs = agent.ok(&["logs", name]);
        let seen: Vec<f64> = logs
            .lines()
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        let error = ns(session, "Running") as f64 / 1e9 - (seen[1] - seen[0]);
        errors.push(error.abs());
    }
    let worst = errors.iter().copied().fold(0.0, f64::max);
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    eprintln!("billed less witnessed: worst {worst:.3} s, mean {mean:.3} s");
    assert!(worst < ERROR_MAX.as_secs_f64(), "{errors:?}");
    for name in &names {
        agent.ok(&["rm", "-f", name]);
    }
    agent.finish();
}

/// What a cgroup has counted, in microseconds. That which all groups are in keeps what they have
/// used when they are gone.
fn counted_us(agent: &Agent, below: &str) -> u64 {
    let name = agent.bridge() + below;
    let nanos = std::fs::read_to_string(format!("/sys/fs/cgroup/cpuacct/{name}/cpuacct.usage"));
    if let Ok(nanos) = nanos {
        return nanos.trim().parse::<u64>().unwrap() / 1000;
    }
    let stat = std::fs::read_to_string(format!("/sys/fs/cgroup/{name}/cpu.stat")).unwrap();
    let usage = stat
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "));
    usage.unwrap().parse().unwrap()
}

/// The kernel goes on counting in the cgroup above when a group's is removed: what the ledger has of
/// all groups is what the kernel counted, less what each of them is rounded down by.
#[test]
fn processor_time_is_what_the_cgroups_counted() {
    let agent = agent();
    let script = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done";
    let names = ["one", "two", "three"];
    for name in names {
        create(&agent, name, script, NEVER);
    }
    for name in names {
        finished(&agent, name);
        agent.ok(&["rm", name]);
    }
    let mut used = 0;
    wait_for("what each has used is written down", || {
        let ledger = ledger_of(&agent, &[]);
        let sessions = ledger["sessions"].as_object().unwrap();
        let of = |session: &Value| session["used"]["cpu_us"].as_str().unwrap().parse::<u64>();
        let is_final = |session: &Value| session["used"]["is_final"] == "1";
        let all = sessions.len() == names.len() && sessions.values().all(is_final);
        if all {
            used = sessions.values().map(|session| of(session).unwrap()).sum();
        }
        all
    });
    // The launcher may have work at any time: a look counts if it had none.
    let mut counted = 0;
    wait_for("the launcher rests", || {
        let before = counted_us(&agent, "/_launcher");
        counted = counted_us(&agent, "") - before;
        counted_us(&agent, "/_launcher") == before
    });
    let most = names.len() as u64 + 1;
    assert!(
        (used..=used + most).contains(&counted),
        "{used} µs in the ledger, {counted} µs counted"
    );
    agent.finish();
}

#[test]
fn stop_and_start_are_two_sessions_and_the_time_between_is_free() {
    let agent = agent();
    create(
        &agent,
        "web",
        "sleep 1000",
        "  terminationGracePeriodSeconds: 0\n",
    );
    let running = |group: &Value| state(group)["running"].is_object();
    agent.wait_until("web", "running", running);
    let uid = uid(&agent, "web");
    agent.ok(&["stop", "web"]);
    agent.wait_until("web", "stopped", |g| g["status"]["phase"] == "Stopped");
    std::thread::sleep(Duration::from_millis(1500));
    let stopped = ledger_of(&agent, &[]);
    assert_eq!(session(&stopped, &uid, 1)["closed"], "Stopped");
    agent.ok(&["start", "web"]);
    agent.wait_until("web", "running", running);
    agent.ok(&["rm", "-f", "web"]);
    let ledger = ledger_of(&agent, &[]);
    assert_eq!(session(&ledger, &uid, 1), session(&stopped, &uid, 1));
    assert_eq!(session(&ledger, &uid, 2)["closed"], "Deleted");
    let queued: u64 = [1, 2]
        .map(|start| ns(session(&ledger, &uid, start), "Queued"))
        .iter()
        .sum();
    assert!(
        queued < 1_000_000_000,
        "the time at rest is nobody's: {queued}"
    );
    agent.finish();
}

#[test]
fn a_crash_loop_has_one_session_with_its_waits() {
    let agent = agent();
    create(
        &agent,
        "loop",
        "exit 3",
        "  terminationGracePeriodSeconds: 0\n",
    );
    agent.wait_until("loop", "restarted", |g| {
        state(g)["restartCount"].as_u64() >= Some(2)
    });
    let uid = uid(&agent, "loop");
    agent.ok(&["stop", "loop"]);
    agent.wait_until("loop", "stopped", |g| g["status"]["phase"] == "Stopped");
    let ledger = ledger_of(&agent, &[]);
    let session = session(&ledger, &uid, 1);
    let restarts = session["restarts"].as_u64().unwrap();
    assert!(restarts >= 2, "{session:#}");
    let attempts = u32::try_from(restarts).unwrap();
    let kept: u64 = (0..=attempts)
        .map(|attempt| kept_ns(&agent, &uid, attempt))
        .sum();
    assert_eq!(ns(session, "Running"), kept, "{session:#}");
    assert!(ns(session, "BackOff") > 9_000_000_000, "{session:#}");
    agent.ok(&["rm", "-f", "loop"]);
    agent.finish();
}

/// Groups start, run and end while the agent is killed again and again: no second is lost and none
/// is charged twice.
#[test]
fn agents_that_are_killed_lose_no_second_and_charge_none_twice() {
    let mut agent = agent();
    let mut names = Vec::new();
    // Agents killed while groups start, run and end.
    for kill in 0..u64::from(full_or(1000, 100)) {
        let name = format!("g{kill}");
        // Some end while no agent is there, some long after.
        let nap = 50 + kill * 37 % 900;
        let script = format!("sleep {}.{:03}; exit {}", nap / 1000, nap % 1000, kill % 3);
        create(&agent, &name, &script, NEVER);
        names.push(name);
        std::thread::sleep(Duration::from_millis(kill * 53 % 250));
        agent.crash();
        std::thread::sleep(Duration::from_millis(kill * 29 % 120));
        agent.launch();
    }
    for name in &names {
        finished(&agent, name);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut told = ledger_of(&agent, &[]);
    while told["sessions"]
        .as_object()
        .unwrap()
        .values()
        .any(|s| s["closed"].is_null())
    {
        assert!(Instant::now() < deadline, "{told:#}");
        std::thread::sleep(Duration::from_millis(100));
        told = ledger_of(&agent, &[]);
    }
    let (mut charged, mut kept) = (0, 0);
    for name in &names {
        let uid = uid(&agent, name);
        let sessions = told["sessions"].as_object().unwrap();
        let own: Vec<&Value> = sessions
            .iter()
            .filter(|(id, _)| id.starts_with(&format!("{uid}#")))
            .map(|(_, session)| session)
            .collect();
        let running: u64 = own.iter().map(|session| ns(session, "Running")).sum();
        assert_eq!(running, kept_ns(&agent, &uid, 0), "{name}: {own:#?}");
        charged += running;
        kept += kept_ns(&agent, &uid, 0);
        let ran = own
            .iter()
            .find(|session| ns(session, "Running") > 0)
            .unwrap();
        assert_eq!(ran["used"]["is_final"], "1", "{own:#?}");
    }
    assert_eq!(charged, kept);
    for name in &names {
        agent.ok(&["rm", "-f", name]);
    }
    agent.finish();
}

#[test]
fn a_tenant_s_ledger_is_whole_after_a_clean_end_too() {
    let mut agent = agent();
    create(
        &agent,
        "calm",
        "sleep 1000",
        "  terminationGracePeriodSeconds: 0\n",
    );
    agent.wait_until("calm", "running", |g| state(g)["running"].is_object());
    let uid = uid(&agent, "calm");
    agent.stop();
    let first = ledger_of(&agent, &[]);
    assert_eq!(session(&first, &uid, 1)["state"], "Running", "it goes on");
    agent.launch();
    agent.ok(&["rm", "-f", "calm"]);
    let head = format!("{}:{}", first["seq"], first["head"].as_str().unwrap());
    let output = Command::new("python3")
        .arg(repository().join("hack/verify-ledger"))
        .arg(agent.scratch().join("state/ledger"))
        .args(["--head", &head])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "the head of before is passed through: {output:?}"
    );
    agent.finish();
}
