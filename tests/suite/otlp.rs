//! What a collector is told by OTLP, while it comes and goes, and the agent too.

use std::collections::BTreeSet;
use std::fs;

use burstlet_tests::{Agent, Collector, Outcome, command, repository, wait_for};
use serde_json::Value;

use super::{agent_with, create};

const NEVER: &str = "  restartPolicy: Never\n";
const CLOSED: &str = "burstlet.session.closed";
const OPENED: &str = "burstlet.session.opened";
const USED: &str = "burstlet.session.used";

/// Runs a group to its end.
fn run(agent: &Agent, name: &str) {
    create(agent, name, "sleep 0.2", NEVER);
    agent.wait_until(name, "ended", |g| g["status"]["phase"] == "Succeeded");
}

fn waits_for_ends(collector: &Collector, count: usize) {
    wait_for("the ends of all sessions are told", || {
        let heard = collector.heard();
        let is_told = |event| heard.events(event).len() == count;
        is_told(CLOSED) && is_told(USED)
    });
}

/// A collector that is away keeps no group waiting; when it is back it hears what it has missed, and
/// after agents that were killed no more than that, but for what it can tell by its id. What it hears
/// of money is the bill, and who did what it hears line by line.
#[test]
fn a_collector_hears_everything_over_cuts_and_crashes() {
    let directory = tempfile::tempdir().unwrap();
    let headers = directory.path().join("headers");
    fs::write(&headers, "x-tenant: shop\n").unwrap();
    let book = repository().join("runtime-config/books/example.toml");
    let mut collector = Collector::start();
    let mut agent = agent_with(&format!(
        "[otlp]\nendpoint = {:?}\nheaders_file = {headers:?}\ninterval_s = 1\n\
         signals = [\"logs\", \"metrics\", \"events\", \"audit\"]\n\
         [billing]\nprice_books = [{:?}]\n",
        collector.endpoint(),
        book.canonicalize().unwrap(),
    ));
    run(&agent, "first");
    waits_for_ends(&collector, 1);
    wait_for("the log is told", || {
        let heard = collector.heard();
        heard.records.iter().any(|told| told.body == "ready")
    });
    wait_for("what happens to the group is told", || {
        let heard = collector.heard();
        heard.records.iter().any(|told| {
            let is_of = |fact, value| told.facts.get(fact).is_some_and(|told| told == value);
            told.event == "burstlet.group.event"
                && is_of("burstlet.group.name", "first")
                && is_of("burstlet.event.reason", "Started")
        })
    });
    assert_eq!(collector.heard().tenant.as_deref(), Some("shop"));

    collector.cut();
    for name in ["second", "third"] {
        run(&agent, name);
    }
    agent.crash();
    agent.launch();
    run(&agent, "fourth");
    collector.restore();
    waits_for_ends(&collector, 4);
    check_bill(&agent, &collector);
    agent.crash();
    agent.launch();
    run(&agent, "fifth");
    waits_for_ends(&collector, 5);
    check_bill(&agent, &collector);
    check_trail(&agent, &collector);
    wait_for("the metrics are told", || {
        let heard = collector.heard();
        heard.numbers.get("burstlet_sessions_opened_total default") == Some(&5.0)
            && heard.numbers.get("burstlet_otlp_dropped_total events") == Some(&0.0)
    });
    for name in ["first", "second", "third", "fourth", "fifth"] {
        agent.ok(&["rm", name]);
    }
    agent.finish();
}

/// Every session has one opening and one end, and the ends are the bill.
fn check_bill(agent: &Agent, collector: &Collector) {
    let heard = collector.heard();
    let closed = heard.events(CLOSED);
    let sessions = |name| -> BTreeSet<String> {
        let events = heard.events(name).into_values();
        events
            .map(|told| told.facts["burstlet.session.id"].clone())
            .collect()
    };
    let all = sessions(CLOSED);
    assert_eq!(all.len(), closed.len(), "{closed:?}");
    assert_eq!((&sessions(OPENED), &sessions(USED)), (&all, &all));
    let bill = agent.ok(&["usage", "-A", "--by", "group", "-o", "json"]);
    let bill: Value = serde_json::from_str(&bill).unwrap();
    for told in closed.values() {
        let row = bill["rows"].as_array().unwrap().iter().find(|row| {
            let key = row["keys"][0].as_str().unwrap();
            key.ends_with(&told.facts["burstlet.group.name"])
        });
        let row = row.unwrap_or_else(|| panic!("{told:?} {bill:#}"));
        assert_eq!(row["billedSeconds"], told.facts["burstlet.billed.seconds"]);
        assert_eq!(row["cost"], told.facts["burstlet.cost"], "{row:#}");
    }
}

/// Every line of the audit trail is told, and its id is a head that the trail passes through.
fn check_trail(agent: &Agent, collector: &Collector) {
    let text = fs::read_to_string(agent.state_dir().join("audit/audit.log")).unwrap();
    let lines = text.lines().count();
    let told = || collector.heard().events("burstlet.audit.call");
    wait_for("the audit trail is told", || told().len() == lines);
    let told = told();
    assert!(told.values().all(|told| told.scope == "burstlet.audit"));
    let created = told.values().filter(|told| {
        told.body == "burstlet.v1.ContainerGroups/Create OK"
            && told.facts["burstlet.audit.who"].starts_with("uid:")
    });
    assert_eq!(created.count(), 5, "{told:?}");
    let mut verify = command("burstlet");
    verify.arg("--config").arg(agent.config());
    verify.args(["audit", "verify"]);
    for head in told.keys() {
        verify.args(["--head", head]);
    }
    let verified: Outcome = verify.output().unwrap().into();
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
}
