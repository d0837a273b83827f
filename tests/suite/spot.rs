//! Spot groups: that they leave their room to groups on demand, over a crash of the agent too, and what
//! they are charged.

use burstlet_tests::{Agent, repository, wait_for};
use serde_json::{Value, json};

use super::ledger::ledger_of;
use super::queue::room;
use super::{agent_with, create_json, shell_group, state, with_container, with_spec};

/// A group that takes so much of the processors, and notices when it has to end. The namespace is that
/// of its kind.
fn wants(name: &str, milli: u64, scheduling: &str) -> Value {
    let script = "trap 'echo ends; exit 7' TERM; echo begins; while :; do sleep 0.1; done";
    let mut group = with_container(
        shell_group(name, script),
        "resources",
        json!({"requests": {"cpu": format!("{milli}m")}}),
    );
    group["metadata"]["namespace"] = json!(scheduling.to_lowercase());
    let group = with_spec(group, "restartPolicy", json!("Always"));
    let group = with_spec(group, "terminationGracePeriodSeconds", json!(30));
    with_spec(group, "scheduling", json!(scheduling))
}

fn runs(agent: &Agent, name: &str) {
    agent.ok(&["wait", name, "--for", "running", "--timeout", "30s"]);
    wait_for("the script has begun", || {
        agent.ok(&["logs", name]).contains("begins")
    });
}

/// What the groups of a namespace are charged for, from the ledger alone.
fn charged(ledger: &Value, namespace: &str) -> Vec<String> {
    let costs = ledger["bill"][namespace]["cost"].as_object().unwrap();
    costs.keys().cloned().collect()
}

#[test]
fn a_spot_group_leaves_its_room_and_is_charged_as_one() {
    let book = repository().join("runtime-config/books/example.toml");
    let book = book.canonicalize().unwrap();
    let mut agent = agent_with(&format!(
        "[capacity]\nreserved_cpu = \"0\"\n[billing]\nprice_books = [{book:?}]\n"
    ));
    let (all, _) = room(&agent);
    let quarter = all / 4;
    create_json(&agent, &wants("large", all - quarter, "Spot"));
    create_json(&agent, &wants("small", quarter, "Spot"));
    for name in ["spot/large", "spot/small"] {
        runs(&agent, name);
    }
    create_json(&agent, &wants("web", 2 * quarter, "OnDemand"));
    // Wherever it is in this when the agent dies.
    agent.crash();
    agent.launch();
    runs(&agent, "ondemand/web");
    let ended = agent.wait_until("spot/large", "ended", |group| {
        group["status"]["phase"] == "Failed"
    });
    assert_eq!(ended["status"]["reason"], "SpotEvicted", "{ended:#}");
    assert_eq!(state(&ended)["terminated"]["exitCode"], 7);
    assert!(agent.ok(&["logs", "spot/large"]).ends_with("ends\n"));
    assert!(
        agent
            .ok(&["describe", "spot/large"])
            .contains("SpotEvicted")
    );
    let small = agent.group("spot/small");
    assert_eq!(small["status"]["phase"], "Running", "{small:#}");
    check_charges(&agent, &ended);

    // Started again it waits, and has its room when that is free.
    agent.ok(&["start", "spot/large"]);
    assert_eq!(agent.group("spot/large")["status"]["phase"], "Queued");
    agent.ok(&["rm", "-f", "ondemand/web"]);
    agent.ok(&["wait", "spot/large", "--for", "running", "--timeout", "30s"]);
    agent.ok(&["rm", "-f", "spot/large", "spot/small"]);
    agent.finish();
}

/// The ledger and Prometheus know why the group has ended, and each kind is charged by its prices.
fn check_charges(agent: &Agent, ended: &Value) {
    let ledger = ledger_of(agent, &[]);
    let uid = ended["metadata"]["uid"].as_str().unwrap();
    let session = &ledger["sessions"][format!("{uid}#1")];
    assert_eq!(session["closed"], "SpotEvicted", "{session:#}");
    let page = agent.admin("/metrics/billing");
    let series = "burstlet_sessions_closed_total{namespace=\"spot\",reason=\"SpotEvicted\"} 1";
    assert!(page.contains(series), "{page}");
    let spot = charged(&ledger, "spot");
    assert!(spot.contains(&"cpu-spot".to_owned()), "{spot:?}");
    assert!(!spot.contains(&"cpu".to_owned()), "{spot:?}");
    let on_demand = charged(&ledger, "ondemand");
    assert!(on_demand.contains(&"cpu".to_owned()), "{on_demand:?}");
}
