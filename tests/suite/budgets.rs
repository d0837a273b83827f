//! Budgets: who is told, who is kept out, who is ended, and that a later agent comes to the same. Tags
//! that groups must have, and what is told of use by them.

use std::time::Instant;

use burstlet_tests::{Agent, PATIENCE};
use serde_json::{Value, json};

use super::{agent_with, create_json, shell_group, state, with_container, with_spec};

/// A tenth of a core is set aside for each group.
const CORES: f64 = 0.1;
/// What may be spent too much, in seconds of a group's burn: by the best of the groups, as the
/// machine may be busy, and by each.
const OVERSHOOT_BEST_S: f64 = 2.0;
const OVERSHOOT_MAX_S: f64 = 30.0;

/// A budget that is spent after a few seconds of one group.
fn budget(name: &str, scope: &str, core_seconds: &str) -> String {
    format!(
        "[[billing.budgets]]\nname = {name:?}\n{scope}\ncore_seconds = {core_seconds:?}\n\
         period = \"month\"\nthresholds = [\n\
         {{ percent = 50, action = \"tell\" }},\n{{ percent = 100, action = \"stop\" }},\n]\n"
    )
}

/// A group that ends only when it is killed, and would be started again.
fn stubborn(namespace: &str, tags: &Value) -> Value {
    let mut group = shell_group("job", "trap '' TERM; while :; do sleep 1; done");
    group["metadata"]["namespace"] = json!(namespace);
    group["metadata"]["tags"] = tags.clone();
    let group = with_spec(group, "restartPolicy", json!("Always"));
    with_container(group, "resources", json!({"requests": {"cpu": "100m"}}))
}

fn budgets(agent: &Agent) -> Vec<Value> {
    serde_json::from_str(&agent.ok(&["budgets", "-o", "json"])).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

fn refused(agent: &Agent, args: &[&str], stdin: &[u8]) {
    let outcome = agent.ctl_with(args, stdin);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let told = &outcome.stderr;
    assert!(told.contains("budget team-a: "), "{told}");
    assert!(told.contains("no group of it may begin"), "{told}");
}

#[test]
fn a_spent_budget_ends_its_groups_and_keeps_others_out_even_over_a_crash() {
    let scopes = [
        ("team-a", "namespace = \"a\"", "0.2"),
        ("team-b", "namespace = \"b\"", "0.15"),
        ("center", "tag = \"costcenter=42\"", "0.1"),
    ];
    let config: String = scopes
        .iter()
        .map(|(name, scope, limit)| budget(name, scope, limit))
        .collect();
    let mut agent = agent_with(&config);
    create_json(&agent, &stubborn("a", &json!({})));
    create_json(&agent, &stubborn("b", &json!({})));
    create_json(&agent, &stubborn("c", &json!({"CostCenter": "42"})));
    create_json(&agent, &stubborn("free", &json!({})));
    for name in ["a/job", "b/job", "c/job"] {
        let ended = agent.wait_until(name, "ended", |group| group["status"]["phase"] == "Failed");
        assert_eq!(ended["status"]["reason"], "Evicted", "{ended:#}");
        let message = ended["status"]["message"].as_str().unwrap();
        assert!(
            message.contains("core-seconds spent this month"),
            "{message}"
        );
        let code = &state(&ended)["terminated"]["exitCode"];
        assert!(code.is_null() || *code == 137, "{ended:#}");
    }
    let stood = budgets(&agent);
    let overshoots = stood.iter().map(|budget| {
        assert_eq!(budget["action"], "stop", "{budget:#}");
        let excess = number(&budget["spent"]) - number(&budget["limit"]);
        assert!(excess >= 0.0, "{budget:#}");
        excess / CORES
    });
    let overshoots: Vec<f64> = overshoots.collect();
    println!("overshoots in seconds of burn: {overshoots:?}");
    let best = overshoots.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(best <= OVERSHOOT_BEST_S, "{overshoots:?}");
    assert!(
        overshoots.iter().all(|s| *s <= OVERSHOOT_MAX_S),
        "{overshoots:?}"
    );
    let events = agent.ok(&["describe", "a/job"]);
    for reason in ["BudgetWarning", "BudgetExceeded", "Evicted"] {
        assert!(events.contains(reason), "{events}");
    }
    let page = agent.admin("/metrics/billing");
    let series = "burstlet_budget_thresholds_reached{budget=\"team-a\",unit=\"core-seconds\"} 2";
    assert!(page.contains(series), "{page}");

    agent.crash();
    agent.launch();
    let later = budgets(&agent);
    let spent = |budgets: &[Value]| {
        budgets
            .iter()
            .map(|b| b["spent"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(spent(&later), spent(&stood), "what is over is spent once");
    let mut more = stubborn("a", &json!({}));
    more["metadata"]["name"] = json!("more");
    refused(&agent, &["create", "-f", "-"], more.to_string().as_bytes());
    refused(&agent, &["start", "a/job"], b"");
    let free = agent.group("free/job");
    assert_eq!(free["status"]["phase"], "Running", "{free:#}");
    let one = agent.ctl(&["budgets", "nobody"]);
    assert!(one.stderr.contains("there is no budget nobody"), "{one:?}");
    for name in ["a/job", "b/job", "c/job", "free/job"] {
        agent.ok(&["rm", "-f", name]);
    }
    agent.finish();
}

fn usage(agent: &Agent, more: &[&str]) -> Value {
    let args = [&["usage", "-o", "json"][..], more].concat();
    serde_json::from_str(&agent.ok(&args)).unwrap()
}

#[test]
fn tags_are_required_and_use_is_told_by_them() {
    let agent = agent_with("[policy]\nrequired_tags = { costcenter = [\"42\"], owner = [] }\n");
    let job = |name: &str, tags: &Value| {
        let mut group = shell_group(name, "sleep 3");
        group["metadata"]["tags"] = tags.clone();
        with_spec(group, "restartPolicy", json!("Never"))
    };
    let odd = job("odd", &json!({"costcenter": "43"})).to_string();
    let outcome = agent.ctl_with(&["create", "-f", "-"], odd.as_bytes());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for told in ["metadata.tags[\"costcenter\"]", "metadata.tags[\"owner\"]"] {
        assert!(outcome.stderr.contains(told), "{outcome:?}");
    }
    // A busy machine may take no sample of a short life; of many it takes some.
    let tags = json!({"CostCenter": "42", "Owner": "ann"});
    let deadline = Instant::now() + 2 * PATIENCE;
    let mut names = Vec::new();
    let row = loop {
        let name = format!("job-{}", names.len());
        create_json(&agent, &job(&name, &tags));
        agent.wait_until(&name, "ended", |g| g["status"]["phase"] == "Succeeded");
        names.push(name);
        let row = usage(&agent, &["--by", "owner"])["rows"][0].clone();
        if row["memoryBytes"].is_object() {
            break row;
        }
        assert!(Instant::now() < deadline, "nothing was sampled: {row:#}");
    };
    assert_eq!(row["keys"], json!(["ann"]));
    let memory = &row["memoryBytes"];
    assert!(number(&memory["peak"]) >= number(&memory["p95"]), "{row:#}");
    let (asked, ran) = (number(&row["askedSeconds"]), number(&row["runningSeconds"]));
    let least = 3.0 * names.len() as f64;
    assert!(asked >= ran && ran >= least, "{row:#}");
    let waste = agent.ok(&["usage", "--waste", "--by", "owner"]);
    assert!(
        waste.starts_with("OWNER") && waste.contains("PEAK"),
        "{waste}"
    );
    for name in names {
        agent.ok(&["rm", &name]);
    }
    agent.finish();
}
