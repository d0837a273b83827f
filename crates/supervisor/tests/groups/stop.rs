//! How groups are stopped, deleted, and end by themselves.

use std::time::Duration;

use burstlet_model::ErrorKind;
use burstlet_model::spec::{Hook, HookAction, RestartPolicy, Signal};
use burstlet_model::status::{Desired, Phase};
use burstlet_supervisor::host::HostError;
use burstlet_supervisor::{Condition, Refusal};
use burstlet_testkit::host::{Fault, OnSignal, RunScript};
use burstlet_testkit::spec::{container, group};

use crate::common::{Agent, error, events, pass, phase, secs, state, wait};

fn stubborn() -> [RunScript; 1] {
    [RunScript::forever().on_signal(OnSignal::Ignores)]
}

#[tokio::test(start_paused = true)]
async fn stop_runs_the_hook_then_signals_then_kills() {
    let agent = Agent::start();
    agent.host.script("web", stubborn());
    let mut web = container("web");
    web.lifecycle.stop_signal = Signal::parse("QUIT");
    web.lifecycle.pre_stop = Some(Hook {
        action: HookAction::Sleep { duration_s: 4 },
    });
    let group = agent.create(group("g", vec![web])).await;
    wait(&group, Condition::Ready).await;
    pass(secs(10)).await;
    let answer = group.stop(None).await.unwrap();
    assert_eq!(answer.status.phase, Phase::Stopping);
    assert_eq!(answer.status.desired, Desired::Stopped);
    let stopped = wait(&group, Condition::AtRest).await;
    assert_eq!(stopped.status.phase, Phase::Stopped);
    assert_eq!(state(&group, "web"), "Error:137#0");
    assert_eq!(stopped.status.sessions[0].length(agent.now()), secs(20));
    assert!(events(&group).contains(&"ExceededGracePeriod×1".to_owned()));
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_uses_up_the_grace_leaves_two_seconds() {
    let agent = Agent::start();
    agent.host.script("web", stubborn());
    let mut web = container("web");
    web.lifecycle.pre_stop = Some(Hook {
        action: HookAction::Sleep { duration_s: 60 },
    });
    let group = agent.create(group("g", vec![web])).await;
    wait(&group, Condition::Ready).await;
    group.stop(None).await.unwrap();
    wait(&group, Condition::AtRest).await;
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn sidecars_are_signalled_last_and_in_reverse() {
    let agent = Agent::start();
    for name in ["first", "second", "main"] {
        let slow = RunScript::forever().on_signal(OnSignal::EndsAfter(secs(2)));
        agent.host.script(name, [slow]);
    }
    let mut spec = group("g", vec![container("main")]);
    spec.init_containers = ["first", "second"].map(container).to_vec();
    for side in &mut spec.init_containers {
        side.restart_always = true;
    }
    let group = agent.create(spec).await;
    wait(&group, Condition::Ready).await;
    group.stop(None).await.unwrap();
    wait(&group, Condition::AtRest).await;
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn grace_can_only_shrink() {
    let agent = Agent::start();
    agent.host.script("web", stubborn());
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    group.stop(Some(secs(60))).await.unwrap();
    pass(secs(3)).await;
    group.delete(Some(secs(600))).await.unwrap();
    assert_eq!(phase(&group), Phase::Terminating);
    pass(secs(3)).await;
    assert_eq!(agent.host.count("kill"), 0);
    group.delete(Some(Duration::ZERO)).await.unwrap();
    wait(&group, Condition::Deleted).await;
    assert!(agent.host.is_clean());
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_outlives_sigkill_is_killed_again() {
    let agent = Agent::start();
    agent.host.script("web", stubborn());
    agent.host.plan("kill", 2, Fault::Fails(error("Frozen")));
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    group.stop(Some(Duration::ZERO)).await.unwrap();
    pass(secs(15)).await;
    assert_eq!(
        phase(&group),
        Phase::Stopping,
        "never told to be gone before it is"
    );
    wait(&group, Condition::AtRest).await;
    assert_eq!(agent.host.count("kill"), 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_hangs_holds_up_an_answer() {
    let agent = Agent::start();
    agent.host.plan("pull", 1, Fault::Hangs);
    let group = agent.create(group("g", vec![container("web")])).await;
    pass(secs(5)).await;
    group.stop(None).await.unwrap();
    let stopped = wait(&group, Condition::AtRest).await;
    assert_eq!(stopped.status.sessions[0].length(agent.now()), secs(5));
    group.start().await.unwrap();
    wait(&group, Condition::Ready).await;

    agent.host.plan("destroy_sandbox", 1, Fault::Hangs);
    let answer = group.delete(None).await.unwrap();
    assert_eq!(answer.status.phase, Phase::Terminating);
    let late = group.wait(Condition::Deleted, secs(1)).await.unwrap_err();
    assert!(matches!(late, Refusal::NotInTime { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_removed_now_is_removed_later() {
    let agent = Agent::start();
    agent
        .host
        .plan("destroy_sandbox", 2, Fault::Fails(error("Busy")));
    agent.host.plan("remove", 2, Fault::Fails(error("Busy")));
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    group.delete(None).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(phase(&group), Phase::Terminating);
    wait(&group, Condition::Deleted).await;
    assert!(agent.host.is_clean());
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_group_starts_again_with_what_it_had() {
    let agent = Agent::start();
    let group = agent.create(group("g", vec![container("web")])).await;
    let ip = wait(&group, Condition::Ready).await.status.ip;
    group.stop(None).await.unwrap();
    wait(&group, Condition::AtRest).await;
    pass(secs(100)).await;
    group.start().await.unwrap();
    let again = wait(&group, Condition::Ready).await;
    assert_eq!(again.status.ip, ip);
    assert_eq!(again.status.desired, Desired::Running);
    assert_eq!(again.status.sessions.len(), 2);
    assert_eq!(
        state(&group, "web"),
        "Running#1",
        "runs are numbered for life"
    );
    assert_eq!(agent.host.running(), ["g/web#1"]);
    let last = again
        .status
        .container("web")
        .unwrap()
        .last_exit
        .as_ref()
        .unwrap();
    assert_eq!(last.code, 143);
}

#[tokio::test(start_paused = true)]
async fn the_active_deadline_fails_the_group() {
    let agent = Agent::start();
    let mut spec = group("g", vec![container("web")]);
    spec.active_deadline_s = Some(30);
    let group = agent.create(spec).await;
    let failed = wait(&group, Condition::Finished).await;
    assert_eq!(failed.status.phase, Phase::Failed);
    assert_eq!(failed.status.reason, "DeadlineExceeded");
    assert_eq!(failed.status.sessions[0].length(agent.now()), secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_uses_too_much_disk_is_evicted_and_may_be_started_again() {
    let agent = Agent::start();
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    agent.host.evict(group.uid(), "volume data is too large");
    let failed = wait(&group, Condition::Finished).await;
    assert_eq!(failed.status.phase, Phase::Failed);
    assert_eq!(failed.status.reason, "Evicted");
    assert_eq!(failed.status.message, "volume data is too large");
    group.start().await.unwrap();
    let again = wait(&group, Condition::Ready).await;
    assert_eq!(again.status.phase, Phase::Running);
    assert_eq!(again.status.reason, "");
}

#[tokio::test(start_paused = true)]
async fn a_group_s_owner_is_warned_and_the_group_goes_on() {
    let agent = Agent::start();
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    agent
        .host
        .warn(group.uid(), "BudgetWarning", "half of it is spent");
    let mut snapshots = group.subscribe();
    let warned = snapshots.wait_for(|snapshot| {
        let mut events = snapshot.events.iter();
        events.any(|e| e.reason == "BudgetWarning" && e.message == "half of it is spent")
    });
    assert_eq!(warned.await.unwrap().status.phase, Phase::Running);
}

#[tokio::test(start_paused = true)]
async fn a_group_begins_only_if_the_host_admits_it() {
    let agent = Agent::start();
    let there = agent.create(group("there", vec![container("web")])).await;
    wait(&there, Condition::Ready).await;
    there.stop(None).await.unwrap();
    wait(&there, Condition::AtRest).await;
    let why = HostError::new(
        ErrorKind::ResourceExhausted,
        "BudgetExceeded",
        "all is spent",
    );
    agent.host.refuse(Some(why.clone()));
    let new = group("new", vec![container("web")]);
    let refused = agent.try_create(new.clone()).await.unwrap_err();
    assert_eq!(refused, Refusal::Host(why.clone()));
    assert_eq!(refused.reason(), "BudgetExceeded");
    assert_eq!(there.start().await.unwrap_err(), Refusal::Host(why));
    agent.host.refuse(None);
    agent.create(new).await;
    there.start().await.unwrap();
    wait(&there, Condition::Ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_group_goes_when_its_time_to_live_is_over() {
    let agent = Agent::start();
    agent.host.script("job", [RunScript::ends(secs(1), 0)]);
    let mut spec = group("g", vec![container("job")]);
    spec.restart_policy = RestartPolicy::Never;
    spec.ttl_after_finished_s = Some(60);
    let group = agent.create(spec).await;
    wait(&group, Condition::Finished).await;
    pass(secs(59)).await;
    assert_eq!(phase(&group), Phase::Succeeded);
    wait(&group, Condition::Deleted).await;
    assert!(agent.host.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_lost_keeper_fails_its_group_alone() {
    let agent = Agent::start();
    let other = agent.create(group("other", vec![container("web")])).await;
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    pass(secs(10)).await;
    agent.host.lose_keeper(group.uid());
    let failed = wait(&group, Condition::Finished).await;
    assert_eq!(failed.status.phase, Phase::Failed);
    assert_eq!(failed.status.reason, "KeeperLost");
    assert_eq!(state(&group, "web"), "ContainerStatusUnknown:137#0");
    assert_eq!(failed.status.sessions[0].length(agent.now()), secs(10));
    assert_eq!(agent.host.count("destroy_sandbox g"), 1);
    assert_eq!(phase(&other), Phase::Running);
    assert_eq!(agent.host.running(), ["other/web#0"]);
}
