//! What may be asked for by the levels of the Pod Security Standards, and what of it is told when
//! they change.

use std::fs;

use burstlet_tests::Agent;
use serde_json::{Value, json};

use super::{agent_with, create_json, shell_group, with_container, with_spec};

const LEVELS: &str = "[policy]\nnamespaces = { open = { direct = \"privileged\" }, \
    strict = { direct = \"restricted\" }, \
    seen = { direct = { warn = \"restricted\", audit = \"restricted\" } } }\n";

fn of(namespace: &str, name: &str) -> Value {
    let mut group = shell_group(name, "exec sleep 1000");
    group["metadata"]["namespace"] = namespace.into();
    group
}

fn privileged(namespace: &str, name: &str) -> Value {
    let group = with_container(
        of(namespace, name),
        "securityContext",
        json!({"privileged": true}),
    );
    with_spec(group, "hostUsers", json!(true))
}

/// What is said of a definition that is refused.
fn refused(agent: &Agent, group: &Value) -> String {
    let outcome = agent.ctl_with(&["create", "-f", "-"], group.to_string().as_bytes());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    outcome.stderr
}

fn report(agent: &Agent) -> Vec<Value> {
    let text = agent.ok(&["policy", "report", "-A", "-o", "json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    report["items"].as_array().unwrap().clone()
}

#[test]
fn a_level_decides_what_groups_may_ask_for() {
    let agent = agent_with(LEVELS);
    let path = "spec.containers[0].securityContext.privileged";
    assert!(refused(&agent, &privileged("default", "daring")).contains(path));
    let strict = refused(&agent, &of("strict", "plain"));
    assert!(strict.contains("runAsNonRoot"), "{strict}");

    let text = of("seen", "plain").to_string();
    let outcome = agent.ctl_with(&["create", "-f", "-"], text.as_bytes());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let warned = "warning: -: spec.containers[0].securityContext.runAsNonRoot";
    assert!(outcome.stderr.contains(warned), "{outcome:?}");
    let trail = fs::read_to_string(agent.state_dir().join("audit/audit.log")).unwrap();
    let mut entries = trail
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let entry = entries
        .find(|entry| entry["group"] == "seen/plain")
        .unwrap();
    let violations = entry["violations"].as_array().unwrap();
    let runs_as = json!("runAsNonRoot spec.containers[0].securityContext.runAsNonRoot");
    assert!(violations.contains(&runs_as), "{entry}");

    create_json(&agent, &privileged("open", "daring"));
    let within = |args: &[&str]| agent.ok(&[&["-n", "open"], args].concat());
    within(&["wait", "daring", "--for", "ready", "--timeout", "30s"]);
    let ids = within(&["exec", "daring", "--", "cat", "/proc/self/uid_map"]);
    assert_eq!(ids.split_whitespace().nth(1), Some("0"));
    assert!(within(&["describe", "daring"]).contains("Users:        host"));
    assert_eq!(report(&agent), Vec::<Value>::new());
    agent.ok(&["-n", "open", "rm", "-f", "daring"]);
    agent.ok(&["-n", "seen", "rm", "-f", "plain"]);
    agent.finish();
}

/// What runs stays when the rules become stricter, and is told of.
#[test]
fn stricter_rules_are_reported_of_what_runs() {
    let mut agent = agent_with(LEVELS);
    create_json(&agent, &privileged("open", "daring"));
    create_json(&agent, &of("default", "plain"));
    let within = |agent: &Agent, args: &[&str]| agent.ok(&[&["-n", "open"], args].concat());
    let ready = ["wait", "daring", "--for", "ready", "--timeout", "30s"];
    within(&agent, &ready);
    agent.stop();
    let config = fs::read_to_string(agent.config()).unwrap();
    let stricter = config.replace("direct = \"privileged\"", "direct = \"baseline\"");
    assert_ne!(stricter, config);
    fs::write(agent.config(), stricter).unwrap();
    agent.launch();
    within(&agent, &ready);
    let daring = report(&agent);
    assert_eq!(daring.len(), 1, "{daring:?}");
    assert_eq!(daring[0]["group"]["name"], "daring");
    let findings = daring[0]["findings"].as_array().unwrap();
    let told = |path: &str, control: &str| {
        let mut findings = findings.iter();
        findings.any(|finding| {
            finding["path"] == path && finding["control"].as_str().unwrap_or_default() == control
        })
    };
    let path = "spec.containers[0].securityContext.privileged";
    assert!(told(path, "privileged"), "{findings:?}");
    assert!(told("spec.hostUsers", ""), "{findings:?}");
    let table = agent.ok(&["policy", "report", "-A"]);
    assert!(table.contains(path), "{table}");
    assert!(refused(&agent, &privileged("open", "another")).contains(path));
    within(&agent, &["rm", "-f", "daring"]);
    agent.ok(&["rm", "-f", "plain"]);
    assert_eq!(report(&agent), Vec::<Value>::new());
    agent.finish();
}

#[test]
fn where_user_namespaces_are_required_nothing_goes_without() {
    let agent = agent_with(
        "[policy]\ndirect = \"privileged\"\n[isolation]\nuser_namespaces = \"require\"\n",
    );
    let users = refused(&agent, &privileged("default", "daring"));
    assert!(users.contains("spec.hostUsers"), "{users}");
    create_json(&agent, &of("default", "plain"));
    let shown = agent.ok(&["describe", "plain"]);
    assert!(shown.contains("Users:        own"), "{shown}");
    agent.ok(&["rm", "-f", "plain"]);
    agent.finish();
}
