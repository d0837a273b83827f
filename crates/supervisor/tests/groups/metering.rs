//! What the ledger is told, and that nothing is shown before.

use std::time::Duration;

use burstlet_model::metering::{Close, Event, Mark, State};
use burstlet_model::spec::RestartPolicy;
use burstlet_model::status::Phase;
use burstlet_supervisor::Condition;
use burstlet_testkit::host::{Fault, OnSignal, RunScript, ScriptedHost};
use burstlet_testkit::spec::{container, group};

use crate::common::{Agent, config, error, pass, phase, secs, uid, wait};

/// What was told, one line each: session, seconds since the group was asked for, what.
fn told(host: &ScriptedHost) -> Vec<String> {
    let marks = host.marks(&uid("g"));
    let begin = marks.first().map(|mark| mark.at).unwrap_or_default();
    let line = |mark: &Mark| {
        let what = match &mark.what {
            Event::Entered(state) => state.as_str().to_owned(),
            Event::Resized(to) => format!("resized {} {}", to.cpu, to.memory),
            Event::Closed(why) => format!("closed {}", why.as_str()),
            Event::Pulled(number, _) => format!("pulled {number}"),
            Event::Restarted(container, number) => format!("restarted {container} {number}"),
            Event::Opened => "opened".to_owned(),
            Event::Adopted => "adopted".to_owned(),
            Event::Missed(..) => "missed".to_owned(),
        };
        format!("{} {:?} {what}", mark.session, mark.at.since(begin))
    };
    marks.iter().map(line).collect()
}

fn once() -> burstlet_model::spec::GroupSpec {
    let mut spec = group("g", vec![container("web")]);
    spec.restart_policy = RestartPolicy::Never;
    spec
}

#[tokio::test(start_paused = true)]
async fn a_run_is_told_from_its_first_pull_to_its_last_exit() {
    let agent = Agent::start();
    agent.host.plan("pull", 1, Fault::Takes(secs(3)));
    agent.host.script("web", [RunScript::ends(secs(10), 0)]);
    let group = agent.create(once()).await;
    wait(&group, Condition::Finished).await;
    pass(secs(50)).await;
    let expected = [
        "1 0ns opened",
        "1 0ns Pulling",
        "1 3s pulled 1",
        "1 3s Starting",
        "1 3s Running",
        "1 13s closed Succeeded",
    ];
    assert_eq!(told(&agent.host), expected);
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_waits_between_its_runs() {
    let agent = Agent::start();
    agent.host.script(
        "web",
        [
            RunScript::ends(secs(2), 1),
            RunScript::ends(secs(2), 1),
            RunScript::forever(),
        ],
    );
    agent.create(group("g", vec![container("web")])).await;
    pass(secs(60)).await;
    let expected = [
        "1 0ns opened",
        "1 0ns Pulling",
        "1 0ns pulled 1",
        "1 0ns Starting",
        "1 0ns Running",
        "1 2s BackOff",
        "1 2s restarted web 1",
        "1 2s Running",
        "1 4s BackOff",
        "1 14s restarted web 2",
        "1 14s Running",
    ];
    assert_eq!(told(&agent.host), expected);
}

#[tokio::test(start_paused = true)]
async fn stop_and_start_are_two_sessions() {
    let agent = Agent::start();
    let run = RunScript::forever().on_signal(OnSignal::EndsAfter(secs(4)));
    agent.host.script("web", [run]);
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    pass(secs(100)).await;
    group.stop(None).await.unwrap();
    wait(&group, Condition::AtRest).await;
    pass(secs(896)).await;
    group.start().await.unwrap();
    wait(&group, Condition::Ready).await;
    pass(secs(50)).await;
    group.delete(Some(Duration::ZERO)).await.unwrap();
    pass(secs(5)).await;
    let told = told(&agent.host);
    let told: Vec<&str> = told
        .iter()
        .map(String::as_str)
        .filter(|l| !l.contains("ull"))
        .collect();
    let expected = [
        "1 0ns opened",
        "1 0ns Starting",
        "1 0ns Running",
        "1 100s Terminating",
        "1 104s closed Stopped",
        "2 1000s opened",
        "2 1000s Starting",
        "2 1000s Running",
        "2 1050s Terminating",
        "2 1050s closed Deleted",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_costs_nobody_a_second() {
    let agent = Agent::start();
    agent.host.script("web", [RunScript::ends(secs(30), 9)]);
    wait(&agent.create(once()).await, Condition::Ready).await;
    pass(secs(10)).await;
    let host = agent.die().await;
    pass(secs(50)).await;
    let agent = Agent::on(host, config());
    agent.groups.adopted().await;
    let group = agent.groups.get(&uid("g")).unwrap();
    wait(&group, Condition::Finished).await;
    let told = told(&agent.host);
    assert_eq!(told.last().unwrap(), "1 30s closed Failed");
    assert_eq!(
        told.iter().filter(|line| line.contains("opened")).count(),
        1
    );
    let agent = agent.killed().await;
    agent.groups.adopted().await;
    pass(secs(50)).await;
    assert_eq!(
        told,
        self::told(&agent.host),
        "a later agent has nothing to add"
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_that_goes_on_without_its_agent_is_told_so() {
    let agent = Agent::start();
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    let before = told(&agent.host).len();
    pass(secs(10)).await;
    let agent = agent.killed().await;
    agent.groups.adopted().await;
    pass(secs(10)).await;
    assert_eq!(told(&agent.host)[before..], ["1 10s adopted"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_keeper_closes_the_session_with_a_gap() {
    let agent = Agent::start();
    wait(&agent.create(once()).await, Condition::Ready).await;
    pass(secs(10)).await;
    agent.host.lose_keeper(&uid("g"));
    pass(secs(10)).await;
    let told = told(&agent.host);
    assert_eq!(
        told[told.len() - 2..],
        ["1 10s closed Lost", "1 10s missed"]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_shown_or_begun_that_the_ledger_does_not_have() {
    let agent = Agent::start();
    agent.host.plan("meter", 1, Fault::Takes(secs(20)));
    agent.host.script("web", [RunScript::ends(secs(10), 0)]);
    let creating = agent.create(once());
    let created = tokio::time::timeout(secs(15), creating).await;
    assert!(created.is_err(), "shown before the ledger has it");
    assert_eq!(
        agent.host.count("start"),
        0,
        "nothing runs before the session is open"
    );
    pass(secs(10)).await;
    let group = agent.groups.get(&uid("g")).unwrap();
    assert_eq!(told(&agent.host)[..2], ["1 0ns opened", "1 0ns Pulling"]);
    wait(&group, Condition::Ready).await;
    agent.host.plan("meter", 20, Fault::Fails(error("Full")));
    pass(secs(15)).await;
    assert_eq!(phase(&group), Phase::Running, "its end is not told yet");
    pass(secs(15)).await;
    assert_eq!(phase(&group), Phase::Succeeded);
    let marks = agent.host.marks(&uid("g"));
    assert_eq!(marks.last().unwrap().what, Event::Closed(Close::Succeeded));
    assert!(
        marks
            .iter()
            .any(|m| m.what == Event::Entered(State::Running))
    );
}
