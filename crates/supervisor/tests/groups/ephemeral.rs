//! Containers that are added to a group that runs, to look into it.

use burstlet_model::spec::GroupSpec;
use burstlet_model::status::Phase;
use burstlet_supervisor::record::{Definition, Origin};
use burstlet_supervisor::{Condition, CreateRequest, GroupHandle, Refusal};
use burstlet_testkit::host::{Fault, RunScript};
use burstlet_testkit::spec::{container, definition, ephemeral, group};

use crate::common::{Agent, error, events, name, pass, phase, secs, state, uid, wait};

/// A pod into which these look.
fn pod(looks: &[&str]) -> Definition {
    let mut spec: GroupSpec = group("g", vec![container("web")]);
    spec.ephemeral_containers = looks.iter().map(|name| ephemeral(name)).collect();
    Definition {
        origin: Origin::Kubernetes,
        ..definition(spec)
    }
}

async fn run(agent: &Agent) -> GroupHandle {
    let request = CreateRequest {
        uid: uid("g"),
        definition: pod(&[]),
        request_id: None,
    };
    agent.groups.create(request).await.unwrap();
    let group = agent.groups.get(&uid("g")).unwrap();
    wait(&group, Condition::Ready).await;
    group
}

#[tokio::test(start_paused = true)]
async fn it_is_pulled_and_runs_once_beside_the_others() {
    let agent = Agent::start();
    let group = run(&agent).await;
    agent.host.script("look", [RunScript::ends(secs(5), 3)]);
    group.update(pod(&["look"]), None).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(agent.host.count("pull look"), 1, "{}", agent.host.calls());
    assert_eq!(state(&group, "look"), "Running#0");
    assert_eq!(state(&group, "web"), "Running#0");
    pass(secs(3600)).await;
    assert_eq!(state(&group, "look"), "Error:3#0");
    assert_eq!(agent.host.count("start g/look"), 1);
    assert_eq!(phase(&group), Phase::Running);
    let snapshot = group.snapshot();
    assert!(snapshot.status.ready);
    let of_it = snapshot.events.iter();
    let of_it = of_it.filter(|event| event.container == Some(name("look")));
    let reasons: Vec<_> = of_it.map(|event| event.reason.as_str()).collect();
    assert_eq!(reasons, ["Pulling", "Pulled", "Created", "Started"]);
    let refused = group.restart(Some(name("look"))).await.unwrap_err();
    assert!(matches!(refused, Refusal::NotRunning { .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn one_after_the_other_may_be_added_and_none_is_taken_away() {
    let agent = Agent::start();
    let group = run(&agent).await;
    for looks in [&["first"][..], &["first", "second"]] {
        group.update(pod(looks), None).await.unwrap();
        pass(secs(1)).await;
        for look in looks {
            assert_eq!(state(&group, look), "Running#0");
        }
    }
    let refused = group.update(pod(&["second"]), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::Immutable(_)), "{refused}");
    group.delete(None).await.unwrap();
    wait(&group, Condition::Deleted).await;
    assert!(agent.host.is_clean());
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_missing_disturbs_nobody() {
    let agent = Agent::start();
    let group = run(&agent).await;
    let before = group.snapshot().status.timeline.pulled;
    let missing = Fault::Fails(error("ErrImagePull"));
    agent.host.plan("pull look", 2, missing);
    group.update(pod(&["look"]), None).await.unwrap();
    pass(secs(5)).await;
    assert_eq!(state(&group, "look"), "ImagePullBackOff#0");
    assert_eq!(phase(&group), Phase::Running);
    assert!(group.snapshot().status.ready);
    let told = events(&group);
    assert!(told.iter().any(|e| e.starts_with("BackOff")), "{told:?}");
    pass(secs(60)).await;
    assert_eq!(state(&group, "look"), "Running#0");
    assert_eq!(group.snapshot().status.timeline.pulled, before);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_made_is_tried_again() {
    let agent = Agent::start();
    let group = run(&agent).await;
    let reason = "CreateContainerConfigError";
    agent
        .host
        .plan("start g/look", 1, Fault::Fails(error(reason)));
    group.update(pod(&["look"]), None).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(state(&group, "look"), format!("{reason}#0"));
    pass(secs(600)).await;
    assert_eq!(state(&group, "look"), "Running#0");
}

#[tokio::test(start_paused = true)]
async fn it_outlives_the_agent_and_its_end_is_known() {
    let agent = Agent::start();
    let group = run(&agent).await;
    agent.host.script("look", [RunScript::ends(secs(50), 4)]);
    group.update(pod(&["look"]), None).await.unwrap();
    pass(secs(1)).await;
    let agent = agent.killed().await;
    agent.groups.adopted().await;
    let group = agent.groups.get(&uid("g")).unwrap();
    assert_eq!(state(&group, "look"), "Running#0");
    // It ends while nobody looks.
    let host = agent.die().await;
    pass(secs(60)).await;
    let agent = Agent::on(host, crate::common::config());
    agent.groups.adopted().await;
    let group = agent.groups.get(&uid("g")).unwrap();
    pass(secs(1)).await;
    assert_eq!(state(&group, "look"), "Error:4#0");
    assert_eq!(state(&group, "web"), "Running#0");
    assert_eq!(agent.host.count("start g/look"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_keeper_or_a_restart_does_not_run_it_again() {
    let agent = Agent::start();
    let group = run(&agent).await;
    group.update(pod(&["look"]), None).await.unwrap();
    pass(secs(1)).await;
    group.restart(None).await.unwrap();
    pass(secs(60)).await;
    assert_eq!(state(&group, "web"), "Running#1");
    assert!(
        state(&group, "look").starts_with("Error:1"),
        "{}",
        state(&group, "look")
    );
    assert_eq!(agent.host.count("start g/look"), 1);
    agent.host.lose_keeper(&uid("g"));
    pass(secs(60)).await;
    assert_eq!(phase(&group), Phase::Failed);
    assert_eq!(agent.host.count("start g/look"), 1);
}
