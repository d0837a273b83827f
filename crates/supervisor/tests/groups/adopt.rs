//! Groups outlive the agent.

use std::time::Duration;

use burstlet_model::spec::RestartPolicy;
use burstlet_model::status::{ContainerState, Phase};
use burstlet_supervisor::{Condition, GroupHandle};
use burstlet_testkit::host::{Fault, OnSignal, RunScript};
use burstlet_testkit::spec::{container, group, probe};

use crate::common::{Agent, config, error, events, name, pass, phase, secs, state, uid, wait};

async fn taken_over(agent: &Agent) -> GroupHandle {
    agent.groups.adopted().await;
    agent.groups.get(&uid("g")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_running_group_is_not_touched() {
    let agent = Agent::start();
    let mut web = container("web");
    web.readiness_probe = Some(probe("ready"));
    let group_ = agent.create(group("g", vec![web, container("db")])).await;
    let before = wait(&group_, Condition::Ready).await;
    pass(secs(100)).await;
    let agent = agent.killed().await;
    let group = taken_over(&agent).await;
    let after = group.snapshot();
    assert_eq!(after.status, before.status, "ready all the time");
    assert!(after.resource_version > before.resource_version);
    pass(secs(100)).await;
    assert_eq!(agent.host.count("start"), 2);
    assert_eq!(agent.host.count("create_sandbox"), 1);
    assert_eq!(agent.host.count("destroy_sandbox"), 0);
    assert_eq!(agent.host.count("adopt"), 1);
    assert_eq!(
        group.snapshot().status.sessions[0].length(agent.now()),
        secs(200)
    );
}

#[tokio::test(start_paused = true)]
async fn a_bounded_number_is_taken_over_at_once() {
    let agent = Agent::start();
    for index in 0..10 {
        let spec = group(&format!("g{index}"), vec![container("web")]);
        wait(&agent.create(spec).await, Condition::Ready).await;
    }
    let host = agent.die().await;
    host.plan("adopt", 10, Fault::Takes(secs(1)));
    let agent = Agent::on(host, config());
    let at_once = config().adoptions_in_flight_max;
    let begun = agent.now();
    pass(Duration::from_millis(500)).await;
    assert_eq!(agent.host.count("adopt"), at_once);
    agent.groups.adopted().await;
    let rounds = u64::try_from(10_usize.div_ceil(at_once)).unwrap();
    assert_eq!(agent.now().boot.since(begun.boot), secs(rounds));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_saw_is_not_lost() {
    let agent = Agent::start();
    agent.host.script("job", [RunScript::ends(secs(30), 9)]);
    let mut spec = group("g", vec![container("job")]);
    spec.restart_policy = RestartPolicy::Never;
    wait(&agent.create(spec).await, Condition::Ready).await;
    pass(secs(10)).await;
    let host = agent.die().await;
    pass(secs(50)).await;
    let agent = Agent::on(host, config());
    let group = taken_over(&agent).await;
    let done = wait(&group, Condition::Finished).await;
    assert_eq!(done.status.phase, Phase::Failed);
    assert_eq!(state(&group, "job"), "Error:9#0");
    assert_eq!(
        done.status.sessions[0].length(agent.now()),
        secs(30),
        "not the agent's absence"
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_was_due_meanwhile_is_made_up_for() {
    let agent = Agent::start();
    let mut runs = vec![RunScript::ends(secs(1), 1); 3];
    runs.push(RunScript::forever());
    agent.host.script("web", runs);
    agent.create(group("g", vec![container("web")])).await;
    pass(secs(20)).await;
    let agent = agent.killed().await;
    let group = taken_over(&agent).await;
    assert_eq!(state(&group, "web"), "CrashLoopBackOff#2");
    pass(secs(60)).await;
    assert_eq!(state(&group, "web"), "Running#3");
    assert_eq!(agent.host.running(), ["g/web#3"]);
}

#[tokio::test(start_paused = true)]
async fn a_launch_goes_on_where_it_was() {
    let agent = Agent::start();
    agent.host.plan("pull", 1, Fault::Hangs);
    agent.host.plan("create_sandbox", 1, Fault::Hangs);
    agent.create(group("g", vec![container("web")])).await;
    pass(secs(10)).await;
    let host = agent.die().await;
    pass(secs(1000)).await;
    let agent = Agent::on(host, config());
    let group = taken_over(&agent).await;
    wait(&group, Condition::Ready).await;
    assert_eq!(state(&group, "web"), "Running#0");
    pass(secs(5)).await;
    let status = &group.snapshot().status;
    assert!(
        status.metered_s(agent.now()) < 20,
        "nothing was alive meanwhile: {status:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_goes_on_where_it_was() {
    let agent = Agent::start();
    let stubborn = RunScript::forever().on_signal(OnSignal::Ignores);
    agent.host.script("web", [stubborn]);
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    group.stop(None).await.unwrap();
    let agent = agent.killed().await;
    let group = taken_over(&agent).await;
    assert_eq!(phase(&group), Phase::Stopping);
    wait(&group, Condition::AtRest).await;
    assert_eq!(phase(&group), Phase::Stopped);
    let agent = agent.killed().await;
    let group = taken_over(&agent).await;
    assert_eq!(phase(&group), Phase::Stopped);
    assert_eq!(
        agent.host.count("adopt"),
        1,
        "nothing of it runs: nothing to look for"
    );
    group.start().await.unwrap();
    wait(&group, Condition::Ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_goes_on_where_it_was() {
    let agent = Agent::start();
    agent.host.plan("destroy_sandbox", 1, Fault::Hangs);
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    group.delete(None).await.unwrap();
    pass(secs(10)).await;
    let agent = agent.killed().await;
    let group = agent.groups.get(&uid("g"));
    if let Ok(group) = group {
        wait(&group, Condition::Deleted).await;
    }
    assert!(agent.host.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_keeper_lost_meanwhile_fails_the_group() {
    let agent = Agent::start();
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    pass(secs(10)).await;
    let host = agent.die().await;
    host.lose_keeper(&uid("g"));
    let agent = Agent::on(host, config());
    let group = taken_over(&agent).await;
    let failed = wait(&group, Condition::Finished).await;
    assert_eq!(failed.status.reason, "KeeperLost");
    assert_eq!(agent.host.count("start"), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_reboot_groups_run_again_if_they_may() {
    let agent = Agent::start();
    let group_ = agent.create(group("g", vec![container("web")])).await;
    let mut once = group("once", vec![container("job")]);
    once.restart_policy = RestartPolicy::Never;
    let once = agent.create(once).await;
    wait(&group_, Condition::Ready).await;
    wait(&once, Condition::Ready).await;
    pass(secs(100)).await;
    let host = agent.die().await;
    host.reboot();
    let agent = Agent::on(host, config());
    let group = taken_over(&agent).await;
    pass(secs(5)).await;
    assert_eq!(state(&group, "web"), "Running#1");
    assert_eq!(group.snapshot().status.sessions.len(), 2);
    let once = agent.groups.get(&uid("once")).unwrap();
    assert_eq!(phase(&once), Phase::Failed);
    assert_eq!(agent.host.running(), ["g/web#1"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_at_is_left_alone() {
    let agent = Agent::start();
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    pass(secs(1)).await;
    let host = agent.die().await;
    host.plan("adopt", 3, Fault::Fails(error("Unreachable")));
    let agent = Agent::on(host, config());
    let group = taken_over(&agent).await;
    assert_eq!(phase(&group), Phase::Running);
    assert_eq!(group.snapshot().status.reason, "AdoptFailed");
    pass(secs(60)).await;
    assert_eq!(group.snapshot().status.reason, "");
    assert_eq!(agent.host.count("start"), 1);

    let host = agent.die().await;
    host.plan("adopt", u32::MAX, Fault::Fails(error("Unreachable")));
    let agent = Agent::on(host, config());
    let group = taken_over(&agent).await;
    group.delete(None).await.unwrap();
    wait(&group, Condition::Deleted).await;
    assert!(agent.host.is_clean());
}

#[tokio::test(start_paused = true)]
async fn exits_are_heard_after_taking_over() {
    let agent = Agent::start();
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    pass(secs(700)).await;
    let agent = agent.again().await;
    let group = taken_over(&agent).await;
    agent.host.exit(group.uid(), &name("web"), 5);
    pass(secs(1)).await;
    assert_eq!(state(&group, "web"), "Running#1");
    let snapshot = group.snapshot();
    let status = snapshot.status.container("web").unwrap();
    assert_eq!(status.last_exit.as_ref().unwrap().code, 5);
    assert!(matches!(status.state, ContainerState::Running { .. }));
    assert!(
        events(&group).contains(&"Started×2".to_owned()),
        "{:?}",
        events(&group)
    );
}

#[tokio::test(start_paused = true)]
async fn events_and_request_ids_survive() {
    let agent = Agent::start();
    let group_ = agent.create(group("g", vec![container("web")])).await;
    wait(&group_, Condition::Ready).await;
    pass(secs(1)).await;
    let before = events(&group_);
    let agent = agent.killed().await;
    let group = taken_over(&agent).await;
    assert_eq!(events(&group), before);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_could_not_be_tidied_up_keeps_its_verdict() {
    let agent = Agent::start();
    agent.host.script("job", [RunScript::ends(secs(5), 0)]);
    agent
        .host
        .plan("destroy_sandbox", 3, Fault::Fails(error("Busy")));
    let mut spec = group("g", vec![container("job")]);
    spec.restart_policy = RestartPolicy::Never;
    let group = agent.create(spec).await;
    pass(secs(7)).await;
    assert_eq!(group.snapshot().status.reason, "FailedKillPod");
    let agent = agent.killed().await;
    let group = taken_over(&agent).await;
    let done = wait(&group, Condition::Finished).await;
    assert_eq!(done.status.phase, Phase::Succeeded);
    assert_eq!(done.status.metered_s(agent.now()), 5);
    assert_eq!(agent.host.count("start"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_written_down_before_what_tells_of_it_goes() {
    let agent = Agent::start();
    agent.host.script("job", [RunScript::ends(secs(5), 0)]);
    let mut spec = group("g", vec![container("job")]);
    spec.restart_policy = RestartPolicy::Never;
    wait(&agent.create(spec).await, Condition::Ready).await;
    pass(secs(1)).await;
    let none = error("Dead");
    agent.host.plan("save", u32::MAX, Fault::Fails(none));
    pass(secs(5)).await;
    assert_eq!(agent.host.count("destroy_sandbox"), 0);
    let agent = agent.killed().await;
    let group = taken_over(&agent).await;
    wait(&group, Condition::Finished).await;
    assert_eq!(agent.host.count("start"), 1, "it has run once");
}
