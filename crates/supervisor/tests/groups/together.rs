//! One container ends so that all are started again.

use std::time::Duration;

use burstlet_model::metering::{Event, State};
use burstlet_model::spec::{
    ContainerSpec, Ends, GroupSpec, OwnRestart, RestartAction, RestartPolicy, RestartRule,
};
use burstlet_model::status::Phase;
use burstlet_supervisor::{Condition, GroupHandle};
use burstlet_testkit::host::{Fault, RunScript};
use burstlet_testkit::spec::{container, ephemeral, group};

use crate::common::{Agent, config, error, events, name, pass, phase, secs, state, uid, wait};

/// The code after which all are started again.
const ALL: i32 = 42;

fn asks_for_all(name: &str) -> ContainerSpec {
    let mut container = container(name);
    container.restart = Some(OwnRestart {
        policy: RestartPolicy::Never,
        rules: vec![RestartRule {
            ends: Ends::In([ALL].into()),
            action: RestartAction::All,
        }],
    });
    container
}

fn sidecar(mut container: ContainerSpec) -> ContainerSpec {
    container.restart_always = true;
    container
}

/// An init container, a sidecar and two main containers, of which the first may ask for all.
fn spec() -> GroupSpec {
    let mut spec = group("g", vec![asks_for_all("web"), container("db")]);
    spec.restart_policy = RestartPolicy::Never;
    spec.init_containers = vec![container("init"), sidecar(container("side"))];
    spec
}

fn states(group: &GroupHandle) -> Vec<String> {
    let snapshot = group.snapshot();
    let all = snapshot.status.all_containers();
    all.map(|c| state(group, c.name.as_str())).collect()
}

/// A group whose first main container asks for all after ten seconds, and then runs on.
async fn asked_once(agent: &Agent, spec: GroupSpec) -> GroupHandle {
    let done = RunScript::ends(secs(1), 0);
    agent.host.script("init", [done.clone(), done]);
    let script = [RunScript::ends(secs(10), ALL), RunScript::forever()];
    agent.host.script("web", script);
    agent.create(spec).await
}

#[tokio::test(start_paused = true)]
async fn all_begin_again_in_their_order_where_they_stand() {
    let agent = Agent::start();
    let mut spec = spec();
    spec.ephemeral_containers = vec![ephemeral("look")];
    let group = asked_once(&agent, spec).await;
    let before = wait(&group, Condition::Ready).await;
    pass(secs(30)).await;
    let again = [
        "Completed:0#1",
        "Running#1",
        "Running#1",
        "Running#1",
        "Running#0",
    ];
    assert_eq!(states(&group), again);
    let after = group.snapshot().status.clone();
    assert_eq!(after.phase, Phase::Running);
    assert_eq!(after.ip, before.status.ip);
    assert!(after.initialized && after.timeline.begun_again.is_some());
    let exits = ["side", "web", "db"].map(|of| {
        let container = after.container(of).unwrap();
        container.last_exit.as_ref().unwrap().code
    });
    assert_eq!(exits, [137, ALL, 137]);
    assert_eq!(agent.host.count("create_sandbox"), 1);
    assert_eq!(agent.host.count("signal"), 0, "nobody is asked to end");
    assert_eq!(after.sessions.len(), 1, "the session goes on");
    assert!(
        events(&group).contains(&"RestartingAllContainers×1".to_owned()),
        "{:?}",
        events(&group)
    );
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn the_ledger_hears_of_each_new_run_within_the_session() {
    let agent = Agent::start();
    asked_once(&agent, spec()).await;
    pass(secs(30)).await;
    let marks = agent.host.marks(&uid("g"));
    let restarted = marks.iter().filter_map(|mark| match &mark.what {
        Event::Restarted(container, 1) => Some(container.as_str().to_owned()),
        _ => None,
    });
    let restarted: Vec<_> = restarted.collect();
    assert_eq!(restarted, ["init", "side", "web", "db"]);
    let last = marks.iter().rev().find_map(|mark| match &mark.what {
        Event::Entered(state) => Some(*state),
        _ => None,
    });
    assert_eq!(last, Some(State::Running));
    let closed = |what: &Event| matches!(what, Event::Closed(_));
    assert!(!marks.iter().any(|mark| closed(&mark.what)));
}

#[tokio::test(start_paused = true)]
async fn init_containers_and_sidecars_may_ask_for_it() {
    for asking in ["init", "side"] {
        let agent = Agent::start();
        let mut spec = group("g", vec![container("web")]);
        spec.restart_policy = RestartPolicy::Never;
        spec.init_containers = vec![
            sidecar(container("first")),
            asks_for_all("init"),
            sidecar(asks_for_all("side")),
        ];
        let done = RunScript::ends(secs(1), 0);
        let fails = RunScript::ends(secs(5), ALL);
        let (init, side) = match asking {
            "init" => (vec![fails, done], vec![RunScript::forever()]),
            _ => (vec![done.clone(), done], vec![fails, RunScript::forever()]),
        };
        agent.host.script("init", init);
        agent.host.script("side", side);
        let group = agent.create(spec).await;
        pass(secs(60)).await;
        assert_eq!(phase(&group), Phase::Running, "{asking}");
        assert_eq!(state(&group, "first"), "Running#1", "{asking}");
        assert_eq!(state(&group, "init"), "Completed:0#1", "{asking}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_and_again_waits_and_nobody_else_does() {
    let agent = Agent::start();
    agent
        .host
        .script("init", vec![RunScript::ends(secs(0), 0); 9]);
    let failing = RunScript::ends(secs(1), ALL);
    agent.host.script("web", vec![failing; 9]);
    let group = agent.create(spec()).await;
    pass(secs(5)).await;
    let waits = [
        "Completed:0#2",
        "Running#2",
        "CrashLoopBackOff#1",
        "Running#2",
    ];
    assert_eq!(states(&group), waits, "the first time is at once");
    pass(secs(10)).await;
    assert_eq!(state(&group, "web"), "CrashLoopBackOff#2");
    assert_eq!(state(&group, "db"), "Running#3");
    group.restart(Some(name("web"))).await.unwrap();
    pass(Duration::from_millis(500)).await;
    assert_eq!(
        state(&group, "web"),
        "Running#3",
        "unless somebody wants it now"
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_agent_goes_on_with_it() {
    let agent = Agent::start();
    agent.host.plan("kill g/db", u32::MAX, Fault::Hangs);
    let group = asked_once(&agent, spec()).await;
    wait(&group, Condition::Ready).await;
    pass(secs(12)).await;
    let midway = "RestartingAllContainers#0";
    assert_eq!(state(&group, "web"), midway);
    assert_eq!(state(&group, "side"), midway);
    assert_eq!(state(&group, "db"), "Running#0", "it cannot be killed yet");
    let agent = agent.killed().await;
    agent.groups.adopted().await;
    let group = agent.groups.get(&uid("g")).unwrap();
    pass(secs(20)).await;
    let again = ["Completed:0#1", "Running#1", "Running#1", "Running#1"];
    assert_eq!(states(&group), again);
    assert_eq!(group.snapshot().status.sessions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_ended_before_is_history_to_the_next_agent() {
    let agent = Agent::start();
    agent
        .host
        .script("init", vec![RunScript::ends(secs(5), 0); 9]);
    let failing = RunScript::ends(secs(1), ALL);
    agent.host.script("web", vec![failing; 9]);
    agent.create(spec()).await;
    // The second round has begun, and its init container runs.
    pass(secs(8)).await;
    let host = agent.die().await;
    let agent = Agent::on(host, config());
    agent.groups.adopted().await;
    let group = agent.groups.get(&uid("g")).unwrap();
    let first = [
        "Running#1",
        "PodInitializing#0",
        "PodInitializing#0",
        "PodInitializing#0",
    ];
    assert_eq!(states(&group), first, "nothing is started before its turn");
    pass(Duration::from_millis(3500)).await;
    assert_eq!(agent.host.count("create_sandbox"), 1);
    assert!(agent.host.running().contains(&"g/db#1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_ends_does_not_begin_again() {
    let agent = Agent::start();
    agent.host.plan("kill g/db", 1, Fault::Fails(error("Busy")));
    let group = asked_once(&agent, spec()).await;
    wait(&group, Condition::Ready).await;
    pass(secs(11)).await;
    assert_eq!(state(&group, "db"), "Running#0");
    group.stop(Some(secs(0))).await.unwrap();
    pass(secs(30)).await;
    assert_eq!(phase(&group), Phase::Stopped);
    assert_eq!(state(&group, "web"), format!("Error:{ALL}#0"));
}
