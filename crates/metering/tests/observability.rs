//! The rules and dashboards that are shipped ask for metrics that there are, and the rules say what
//! they should.
//!
//! The names are taken from the documentation, which other tests hold to what the agent tells.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn shipped(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("runtime-config").join(path)
}

/// Metrics by the tables of the documentation, and what rules record; of histograms what is asked of
/// them.
fn known() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let documents = [
        include_str!("../../../docs/billing.md"),
        include_str!("../../../docs/metrics.md"),
    ];
    for line in documents.iter().flat_map(|text| text.lines()) {
        let name = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split('`').next());
        if let Some(name) = name.filter(|name| name.starts_with("burstlet_")) {
            known.insert(name.to_owned());
            if name.ends_with("_seconds") {
                known.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
            }
        }
    }
    let rules = fs::read_to_string(shipped("prometheus/rules.yml")).unwrap();
    let recorded = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    known.extend(recorded.map(str::to_owned));
    known
}

/// What a query asks for.
fn asked(query: &str) -> impl Iterator<Item = &str> {
    let part_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = query.split(move |c| !part_of_a_name(c));
    words.filter(|word| word.starts_with("burstlet_") || word.starts_with("burstlet:"))
}

fn check(place: &str, query: &str, known: &BTreeSet<String>) {
    for name in asked(query) {
        assert!(
            known.contains(name),
            "{place} asks for {name}, which nobody tells"
        );
    }
}

fn promtool(args: &[&str]) {
    let output = Command::new("promtool")
        .current_dir(shipped("prometheus"))
        .args(args)
        .output()
        .expect("promtool is of the package prometheus");
    assert!(output.status.success(), "{args:?}: {output:?}");
}

#[test]
fn rules_ask_for_what_there_is_and_say_what_they_should() {
    let known = known();
    assert!(known.len() > 50, "{known:?}");
    let rules = fs::read_to_string(shipped("prometheus/rules.yml")).unwrap();
    for line in rules.lines().filter(|line| !line.trim().starts_with('#')) {
        check("rules.yml", line, &known);
    }
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules.yml"]);
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "rules.test.yml"]);
}

#[test]
fn every_rule_has_a_test() {
    let rules = fs::read_to_string(shipped("prometheus/rules.yml")).unwrap();
    let tests = fs::read_to_string(shipped("prometheus/rules.test.yml")).unwrap();
    let mut count = 0;
    for line in rules.lines().map(str::trim) {
        let name = line
            .strip_prefix("- alert: ")
            .or_else(|| line.strip_prefix("- record: "));
        if let Some(name) = name {
            count += 1;
            assert!(tests.contains(name), "{name} has no test");
        }
    }
    assert!(count > 10);
}

#[test]
fn dashboards_ask_for_what_there_is() {
    let known = known();
    let mut queries = 0;
    let mut uids = BTreeSet::new();
    for entry in fs::read_dir(shipped("grafana")).unwrap() {
        let path = entry.unwrap().path();
        let place = path.display().to_string();
        let board: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(
            uids.insert(board["uid"].as_str().unwrap().to_owned()),
            "{place}"
        );
        let mut ids = BTreeSet::new();
        for panel in board["panels"].as_array().unwrap() {
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{place}: {}",
                panel["id"]
            );
            for target in panel["targets"].as_array().unwrap() {
                let query = target["expr"].as_str().unwrap();
                assert!(asked(query).count() > 0, "{place}: {query}");
                check(&place, query, &known);
                parses(&place, query);
                queries += 1;
            }
        }
        for variable in board["templating"]["list"].as_array().unwrap() {
            check(&place, variable["query"].as_str().unwrap(), &known);
        }
    }
    assert!(
        uids.len() == 4 && queries > 40,
        "{queries} queries of {uids:?}"
    );
}

/// Grafana's variables stand for something that Prometheus can read.
fn parses(place: &str, query: &str) {
    let query = query.replace("$__range", "1h").replace("$instance", ".*");
    let query = query.replace("$namespace", ".*");
    let directory = tempfile::tempdir().unwrap();
    let rule =
        serde_json::json!({"groups": [{"name": "a", "rules": [{"record": "a", "expr": query}]}]});
    let file = directory.path().join("rule.json");
    fs::write(&file, rule.to_string()).unwrap();
    let checked = Command::new("promtool")
        .args(["check", "rules", "--lint=none"])
        .arg(&file)
        .output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{place}: {query}: {checked:?}");
}
