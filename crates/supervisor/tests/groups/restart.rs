//! What ends is started again, as policy and back-off say.

use burstlet_model::spec::{Ends, OwnRestart, RestartAction, RestartPolicy, RestartRule};
use burstlet_model::status::{ContainerState, Phase};
use burstlet_supervisor::{Condition, Refusal};
use burstlet_testkit::host::RunScript;
use burstlet_testkit::spec::{container, group};

use crate::common::{Agent, events, name, pass, phase, secs, state, wait};

#[tokio::test(start_paused = true)]
async fn back_off_doubles_and_is_forgotten_after_a_long_run() {
    let agent = Agent::start();
    let mut runs = vec![RunScript::ends(secs(1), 1); 8];
    runs.push(RunScript::ends(secs(601), 1));
    runs.push(RunScript::ends(secs(1), 1));
    runs.push(RunScript::forever());
    agent.host.script("web", runs);
    let group = agent.create(group("g", vec![container("web")])).await;
    pass(secs(5)).await;
    assert_eq!(state(&group, "web"), "CrashLoopBackOff#1");
    assert_eq!(phase(&group), Phase::Running, "it will be restarted");
    let snapshot = group.snapshot();
    let status = snapshot.status.container("web").unwrap();
    assert_eq!(status.last_exit.as_ref().unwrap().code, 1);
    pass(secs(3600)).await;
    assert_eq!(state(&group, "web"), "Running#10");
    assert!(
        events(&group).contains(&"BackOff×8".to_owned()),
        "{:?}",
        events(&group)
    );
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn only_failures_are_restarted_on_failure() {
    let agent = Agent::start();
    agent.host.script(
        "web",
        [RunScript::ends(secs(1), 9), RunScript::ends(secs(1), 0)],
    );
    let mut oom = RunScript::ends(secs(30), 137);
    oom.oom = true;
    agent.host.script("db", [oom, RunScript::ends(secs(1), 0)]);
    let mut spec = group("g", vec![container("web"), container("db")]);
    spec.restart_policy = RestartPolicy::OnFailure;
    let group = agent.create(spec).await;
    let done = wait(&group, Condition::Finished).await;
    assert_eq!(done.status.phase, Phase::Succeeded);
    assert_eq!(state(&group, "web"), "Completed:0#1");
    let before = done
        .status
        .container("db")
        .unwrap()
        .last_exit
        .as_ref()
        .unwrap();
    assert_eq!(before.reason, "OOMKilled");
}

#[tokio::test(start_paused = true)]
async fn one_container_is_restarted_whatever_the_policy_says() {
    let agent = Agent::start();
    agent
        .host
        .script("done", [RunScript::ends(secs(1), 0), RunScript::forever()]);
    let mut spec = group("g", vec![container("web"), container("done")]);
    spec.restart_policy = RestartPolicy::Never;
    let group = agent.create(spec).await;
    pass(secs(5)).await;
    group.restart(Some(name("web"))).await.unwrap();
    group.restart(Some(name("done"))).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(state(&group, "web"), "Running#1");
    assert_eq!(state(&group, "done"), "Running#1");
    let snapshot = group.snapshot();
    let before = snapshot
        .status
        .container("web")
        .unwrap()
        .last_exit
        .as_ref()
        .unwrap();
    assert_eq!(before.code, 143);
    let nobody = group.restart(Some(name("nobody"))).await.unwrap_err();
    assert!(matches!(nobody, Refusal::NoContainer { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_restart_ends_the_back_off() {
    let agent = Agent::start();
    let failing = RunScript::ends(secs(0), 1);
    agent.host.script("web", vec![failing; 5]);
    let group = agent.create(group("g", vec![container("web")])).await;
    pass(secs(1)).await;
    assert_eq!(state(&group, "web"), "CrashLoopBackOff#1");
    group.restart(Some(name("web"))).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(
        state(&group, "web"),
        "CrashLoopBackOff#3",
        "twice at once, as at first"
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_is_restarted_as_a_new_session() {
    let agent = Agent::start();
    let group = agent.create(group("g", vec![container("web")])).await;
    let first = wait(&group, Condition::Ready).await;
    pass(secs(10)).await;
    let answer = group.restart(None).await.unwrap();
    assert_eq!(answer.status.phase, Phase::Stopping);
    pass(secs(1)).await;
    let second = group.snapshot();
    assert_eq!(second.status.phase, Phase::Running);
    assert_eq!(second.status.ip, first.status.ip);
    assert_eq!(second.status.sessions.len(), 2);
    assert_eq!(second.status.sessions[0].length(agent.now()), secs(10));
    let status = second.status.container("web").unwrap();
    assert!(matches!(status.state, ContainerState::Running { .. }));
    assert_eq!(status.restart_count, 1);
    insta::assert_snapshot!(agent.host.calls());
}

const fn again(ends: Ends) -> RestartRule {
    RestartRule {
        ends,
        action: RestartAction::Container,
    }
}

/// A container's own word counts before its group's, and its rules before both.
#[tokio::test(start_paused = true)]
async fn a_container_has_a_policy_and_rules_of_its_own() {
    let agent = Agent::start();
    let ended = RunScript::ends(secs(1), 42);
    agent
        .host
        .script("worker", [ended, RunScript::ends(secs(1), 1)]);
    agent.host.script(
        "server",
        [RunScript::ends(secs(1), 0), RunScript::forever()],
    );
    agent.host.script("other", [RunScript::ends(secs(1), 42)]);
    let mut spec = group("g", ["worker", "server", "other"].map(container).into());
    spec.restart_policy = RestartPolicy::Never;
    spec.containers[0].restart = Some(OwnRestart {
        policy: RestartPolicy::Never,
        rules: vec![again(Ends::In([42].into()))],
    });
    spec.containers[1].restart = Some(OwnRestart {
        policy: RestartPolicy::Always,
        rules: Vec::new(),
    });
    let group = agent.create(spec).await;
    pass(secs(600)).await;
    assert_eq!(state(&group, "worker"), "Error:1#1");
    assert_eq!(state(&group, "server"), "Running#1");
    assert_eq!(state(&group, "other"), "Error:42#0");
    assert_eq!(phase(&group), Phase::Running);
}

#[tokio::test(start_paused = true)]
async fn an_init_container_that_failed_is_started_again_by_its_own_rules() {
    let agent = Agent::start();
    let script = [RunScript::ends(secs(1), 7), RunScript::ends(secs(1), 0)];
    agent.host.script("init", script);
    let mut spec = group("g", vec![container("web")]);
    spec.restart_policy = RestartPolicy::Never;
    spec.init_containers = vec![container("init")];
    spec.init_containers[0].restart = Some(OwnRestart {
        policy: RestartPolicy::Never,
        // An init container that has done its work is never started again.
        rules: vec![again(Ends::NotIn([1].into()))],
    });
    let group = agent.create(spec).await;
    wait(&group, Condition::Ready).await;
    pass(secs(60)).await;
    assert_eq!(state(&group, "init"), "Completed:0#1");
}
