//! The ledger as its operator and its tenants look at it: whole or not, old segments retired, a
//! tenant's own records.

use std::fs;
use std::process::{Command, Output};

use burstlet_tests::{Agent, command, repository, wait_for};
use serde_json::Value;

use super::{agent_with, create};

/// What the agent is told of days, to be changed.
const KEEP: &str = "keep_days = 0\n";
const NEVER: &str = "  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n";

fn billing_agent() -> Agent {
    let book = repository().join("runtime-config/books/example.toml");
    let book = book.canonicalize().unwrap();
    agent_with(&format!("[billing]\nprice_books = [{book:?}]\n{KEEP}"))
}

/// Runs a group to its end.
fn run(agent: &Agent, name: &str) {
    create(agent, name, "true", NEVER);
    agent.wait_until(name, "ended", |g| g["status"]["phase"] == "Succeeded");
}

/// What the ledger says, as whole as it must be, by a script that shares no line with the agent,
/// which may go on meanwhile.
pub(crate) fn ledger_of(agent: &Agent, args: &[&str]) -> Value {
    let output = script(agent, &[&["ledger"], args].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the ledger has of a group's first session once its counters were read for the last time.
pub(crate) fn settled(agent: &Agent, uid: &str) -> Value {
    let mut session = Value::Null;
    wait_for("the counters were read for the last time", || {
        session = ledger_of(agent, &[])["sessions"][format!("{uid}#1")].clone();
        session["used"]["is_final"] == "1"
    });
    session
}

fn script(agent: &Agent, args: &[&str]) -> Output {
    let script = repository().join("hack/verify-ledger");
    let mut command = Command::new("python3");
    command.arg("-S").arg(script).args(args);
    command
        .current_dir(agent.scratch().join("state"))
        .output()
        .unwrap()
}

/// `burstlet ledger` with more arguments, which an agent need not run for.
fn ledger(agent: &Agent, args: &[&str]) -> (Option<i32>, String) {
    let mut burstlet = command("burstlet");
    burstlet
        .arg("--config")
        .arg(agent.config())
        .arg("ledger")
        .args(args);
    let output = burstlet.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text + &errors)
}

/// The totals of a namespace on the page for Prometheus.
fn totals(agent: &Agent, namespace: &str) -> Vec<String> {
    let page = agent.admin("/metrics/billing");
    let label = format!("namespace=\"{namespace}\"");
    let lines = page.lines().filter(|line| line.contains(&label));
    let totals = lines.filter(|line| !line.contains("uid="));
    totals.map(str::to_owned).collect()
}

#[test]
fn old_segments_become_sums_and_no_total_falls() {
    let mut agent = billing_agent();
    agent.stop();
    let directory = agent.scratch().join("state/ledger");
    fs::remove_dir_all(&directory).unwrap();
    let writer = repository().join("tests/suite/ledger/old-ledger");
    let written = Command::new(writer).arg(&directory).status().unwrap();
    assert!(written.success());
    agent.launch();
    let before = totals(&agent, "past");
    assert!(
        before.iter().any(|line| line.ends_with(" 3600")),
        "{before:#?}"
    );
    assert!(directory.join("segment-0000000001").exists());
    agent.stop();
    let config = fs::read_to_string(agent.config()).unwrap();
    let config = config.replace(KEEP, "keep_days = 365\n");
    fs::write(agent.config(), config).unwrap();
    agent.launch();
    let carried = directory.join("carried-0000000001");
    let retired = directory.join("archive/segment-0000000001");
    wait_for("the first segment is retired", || {
        carried.exists() && retired.exists()
    });
    assert_eq!(totals(&agent, "past"), before);
    run(&agent, "present");
    let refused = agent.ctl(&["usage", "-A", "--since", "2020-01-01T00:00:00Z"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("in totals only"), "{refused:?}");
    agent.ok(&["usage", "-A"]);

    agent.crash();
    agent.launch();
    assert_eq!(totals(&agent, "past"), before);
    let told = agent.ok(&["ledger", "verify"]);
    assert!(told.contains("Retired:"), "{told}");
    assert!(
        told.ends_with("Every record is as it was written.\n"),
        "{told}"
    );
    let checked = script(&agent, &["ledger", "--archive", "ledger/archive"]);
    assert!(checked.status.success(), "{checked:?}");
    agent.ok(&["rm", "present"]);
    agent.finish();
}

#[test]
fn what_was_published_is_passed_through_and_a_change_is_found() {
    let mut agent = billing_agent();
    run(&agent, "first");
    let head = agent.ok(&["ledger", "head"]);
    let head = head.trim();
    run(&agent, "second");
    let told = agent.ok(&["ledger", "verify", "--head", head]);
    assert!(told.contains("as it was written"), "{told}");
    let other = agent.ctl(&[
        "ledger",
        "verify",
        "--head",
        &format!("3:{}", "0".repeat(64)),
    ]);
    assert_eq!(other.code, Some(1), "{other:?}");
    let (code, text) = ledger(&agent, &["verify", "--head", head]);
    assert_eq!(code, Some(0), "{text}");

    let (code, extract) = ledger(&agent, &["extract", "default"]);
    assert_eq!(code, Some(0), "{extract}");
    fs::write(agent.scratch().join("state/extract"), &extract).unwrap();
    let checked = script(&agent, &["--extract", "extract", "--head", head]);
    assert!(checked.status.success(), "{checked:?}");
    let (_, nobody) = ledger(&agent, &["extract", "nobody"]);
    assert!(nobody.len() < extract.len());

    agent.ok(&["rm", "first", "second"]);
    agent.stop();
    let segment = agent.scratch().join("state/ledger/segment-0000000001");
    let whole = fs::read(&segment).unwrap();
    let mut changed = whole.clone();
    changed[1000] ^= 1;
    fs::write(&segment, changed).unwrap();
    let (code, text) = ledger(&agent, &["verify"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("DAMAGED  segment-0000000001"), "{text}");
    fs::write(&segment, whole).unwrap();
    let (code, text) = ledger(&agent, &["verify", "--directory", "/nonexistent"]);
    assert_eq!(code, Some(2), "{text}");
    agent.launch();
    agent.finish();
}
