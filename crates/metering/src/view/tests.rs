use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::fixture::{S, Teller, id, opened, two_groups};
use crate::record::{Close, State, Used};

#[test]
fn the_page_is_as_it_was() {
    insta::assert_snapshot!("text", two_groups().page(Format::Text));
    insta::assert_snapshot!("openmetrics", two_groups().page(Format::OpenMetrics));
}

#[test]
fn prometheus_own_checker_finds_nothing_wrong() {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut checking = promtool.spawn().unwrap();
    let page = two_groups().page(Format::Text);
    checking
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let checked = checking.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}

#[test]
fn every_metric_is_documented() {
    let documented = include_str!("../../../../docs/billing.md");
    let page = two_groups().page(Format::Text);
    let metrics = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for name in metrics.filter_map(|line| line.split(' ').next()) {
        assert!(documented.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn what_lasts_is_counted_up_to_a_moment_ago() {
    let mut teller = two_groups();
    let run = "burstlet_billed_group_seconds_total{namespace=\"team-b\",state_class=\"run\"}";
    assert_eq!(teller.value(run).as_deref(), Some("8.000000001"));
    teller.wait(5 * S);
    assert_eq!(teller.value(run).as_deref(), Some("13.000000001"));
    teller.of("0-b", SessionFact::Closed(Close::Failed));
    assert_eq!(teller.value(run).as_deref(), Some("15.000000001"));
    teller.wait(5 * S);
    assert_eq!(teller.value(run).as_deref(), Some("15.000000001"));
}

/// An exit that the agent learns of late ended the session earlier than what was shown.
#[test]
fn no_total_ever_falls() {
    let mut teller = two_groups();
    let run = "burstlet_billed_group_seconds_total{namespace=\"team-b\",state_class=\"run\"}";
    let exited = teller.now_ns;
    teller.wait(60 * S);
    assert_eq!(teller.value(run).as_deref(), Some("68.000000001"));
    teller.now_ns = exited;
    teller.of("0-b", SessionFact::Closed(Close::Failed));
    teller.wait(60 * S);
    assert_eq!(teller.value(run).as_deref(), Some("68.000000001"));
    assert_eq!(
        teller
            .value("burstlet_group_billed_seconds_total{uid=\"0-b\"}")
            .as_deref(),
        Some("10.000000001")
    );
}

#[test]
fn an_agent_started_anew_shows_the_same() {
    let mut records = Vec::new();
    let mut teller = Teller::new();
    for (at, uid, fact) in [
        (1, "0-a", opened("team-a", "job", "42")),
        (2, "0-a", SessionFact::Entered(State::Running)),
        (9, "0-a", SessionFact::Closed(Close::Succeeded)),
        (
            9,
            "0-a",
            SessionFact::Used(Used {
                cpu_us: 9,
                is_final: true,
                ..Used::default()
            }),
        ),
    ] {
        teller.now_ns = at * S;
        let fact = Fact::Session { id: id(uid), fact };
        records.push(Record {
            seq: teller.seq + 1,
            epoch: 1,
            salt: [0; 16],
            at: teller.now(),
            fact: fact.clone(),
        });
        teller.tell(fact);
    }
    let expected = teller.page(Format::Text);
    let mut anew = Teller::new();
    for record in records.iter().chain(&records) {
        anew.view.apply(record).unwrap();
    }
    (anew.seq, anew.now_ns) = (teller.seq, teller.now_ns);
    assert_eq!(anew.page(Format::Text), expected);
}

#[test]
fn tags_beyond_the_bound_are_counted_together() {
    let mut teller = Teller::new();
    for number in 0..TAG_VALUES_MAX + 3 {
        teller.of(
            &format!("g{number}"),
            opened("a", "job", &format!("t{number}")),
        );
        teller.of(&format!("g{number}"), SessionFact::Entered(State::Running));
    }
    teller.wait(4 * S);
    let page = teller.page(Format::Text);
    let series = page
        .lines()
        .filter(|line| line.starts_with("burstlet_tag_cost_total{"));
    assert_eq!(series.count(), TAG_VALUES_MAX + 1);
    let other = "burstlet_tag_billed_group_seconds_total{tag=\"costcenter\",value=\"__other__\"}";
    assert_eq!(teller.value(other).as_deref(), Some("6"));
    assert_eq!(
        teller
            .value("burstlet_meter_tag_overflows_total")
            .as_deref(),
        Some("3")
    );
}

#[test]
fn series_of_ended_groups_stay_for_a_while_and_are_bounded() {
    let mut teller = Teller::new();
    for number in 0..RETAINED_GROUPS_MAX + 10 {
        let mut uid = String::new();
        write!(uid, "01990f2a-7c3e-7d1a-9b5c-{number:012}").unwrap();
        teller.of(
            &uid,
            opened("team-a", &format!("web-7d9f8b6c5-{number:05}"), "42"),
        );
        teller.of(&uid, SessionFact::Entered(State::Running));
        teller.wait(20_000_000);
        teller.of(&uid, SessionFact::Closed(Close::Succeeded));
    }
    let page = teller.page(Format::Text);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    let costs = page
        .lines()
        .filter(|line| line.starts_with("burstlet_group_cost_total{"));
    assert_eq!(costs.count(), RETAINED_GROUPS_MAX);
    assert_eq!(
        teller
            .value("burstlet_meter_dropped_series_total")
            .as_deref(),
        Some("10")
    );
    let run = "burstlet_billed_group_seconds_total{namespace=\"team-a\",state_class=\"run\"}";
    assert_eq!(teller.value(run).as_deref(), Some("160.2"));
    teller.wait((RETAINED_SECONDS + 1) * S);
    assert_eq!(
        teller.value("burstlet_meter_retained_groups").as_deref(),
        Some("0")
    );
    assert_eq!(teller.value(run).as_deref(), Some("160.2"));
}
