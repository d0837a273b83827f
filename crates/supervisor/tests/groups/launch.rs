//! From a request to a running group, and to its end.

use burstlet_model::ErrorKind;
use burstlet_model::spec::{
    GroupSpec, Hook, HookAction, PullPolicy, RestartPolicy, Volume, VolumeSource,
};
use burstlet_model::status::{ContainerState, Phase};
use burstlet_supervisor::Condition;
use burstlet_supervisor::host::HostError;
use burstlet_testkit::host::{Fault, RunScript};
use burstlet_testkit::spec::{container, group, probe};

use crate::common::{Agent, error, events, pass, phase, secs, state, wait};

#[tokio::test(start_paused = true)]
async fn a_group_runs_and_ends() {
    let agent = Agent::start();
    agent.host.script("job", [RunScript::ends(secs(5), 0)]);
    let mut spec = group("g", vec![container("job")]);
    spec.restart_policy = RestartPolicy::Never;
    let job = agent.create(spec).await;
    let running = wait(&job, Condition::Ready).await;
    assert_eq!(running.status.phase, Phase::Running);
    assert!(running.status.timeline.ready.is_some());
    let done = wait(&job, Condition::Finished).await;
    assert_eq!(done.status.phase, Phase::Succeeded);
    assert!(!done.status.ready);
    assert_eq!(state(&job, "job"), "Completed:0#0");
    let sessions = &done.status.sessions;
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].length(agent.now()), secs(5));
    insta::assert_snapshot!(agent.host.calls());

    job.delete(None).await.unwrap();
    wait(&job, Condition::Deleted).await;
    assert!(agent.host.is_clean());
    assert!(agent.groups.get(job.uid()).is_err());
    assert!(agent.groups.list().groups.is_empty());
}

#[tokio::test(start_paused = true)]
async fn init_containers_and_sidecars_start_in_order() {
    let agent = Agent::start();
    agent.host.script("one", [RunScript::ends(secs(3), 0)]);
    agent.host.script(
        "two",
        [RunScript::ends(secs(2), 1), RunScript::ends(secs(2), 0)],
    );
    agent.host.script("main", [RunScript::ends(secs(60), 0)]);
    let mut spec = group("g", vec![container("main")]);
    spec.restart_policy = RestartPolicy::OnFailure;
    let mut side = container("side");
    side.restart_always = true;
    side.startup_probe = Some(probe("up"));
    side.startup_probe.as_mut().unwrap().initial_delay_s = 4;
    spec.init_containers = vec![container("one"), side, container("two")];
    let group = agent.create(spec).await;
    pass(secs(1)).await;
    assert_eq!(state(&group, "one"), "Running#0");
    assert_eq!(state(&group, "main"), "PodInitializing#0");
    assert!(!group.snapshot().status.initialized);
    let running = wait(&group, Condition::Started).await;
    assert!(running.status.initialized);
    assert_eq!(state(&group, "two"), "Completed:0#1");
    wait(&group, Condition::Finished).await;
    assert_eq!(
        phase(&group),
        Phase::Succeeded,
        "the sidecar's end does not count"
    );
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn an_init_container_that_fails_for_good_fails_the_group() {
    let agent = Agent::start();
    agent.host.script("init", [RunScript::ends(secs(1), 3)]);
    let mut spec = group("g", vec![container("main")]);
    spec.restart_policy = RestartPolicy::Never;
    spec.init_containers = vec![container("init")];
    let group = agent.create(spec).await;
    let done = wait(&group, Condition::Finished).await;
    assert_eq!(done.status.phase, Phase::Failed);
    assert_eq!(state(&group, "init"), "Error:3#0");
    assert_eq!(agent.host.count("start g/main"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_post_start_hook_delays_the_next_container() {
    let agent = Agent::start();
    let mut first = container("first");
    first.lifecycle.post_start = Some(Hook {
        action: HookAction::Sleep { duration_s: 7 },
    });
    let group = agent
        .create(group("g", vec![first, container("second")]))
        .await;
    pass(secs(3)).await;
    assert_eq!(phase(&group), Phase::Pending);
    wait(&group, Condition::Ready).await;
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn a_post_start_hook_that_fails_ends_the_container() {
    let agent = Agent::start();
    agent
        .host
        .plan("hook g/web", 1, Fault::Fails(error("HookFailed")));
    let mut web = container("web");
    web.lifecycle.post_start = Some(Hook {
        action: HookAction::Exec(vec!["warm".to_owned()]),
    });
    let group = agent.create(group("g", vec![web])).await;
    wait(&group, Condition::Ready).await;
    assert_eq!(state(&group, "web"), "Running#1");
    assert!(events(&group).contains(&"FailedPostStartHook×1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn images_are_pulled_at_once_and_a_failed_pull_is_tried_again() {
    let agent = Agent::start();
    agent.host.plan("pull slow", 1, Fault::Takes(secs(8)));
    agent
        .host
        .plan("pull lame", 2, Fault::Fails(error("ErrImagePull")));
    let names = ["fast", "slow", "lame"];
    let group = agent
        .create(group("g", names.map(container).to_vec()))
        .await;
    pass(secs(1)).await;
    assert_eq!(state(&group, "fast"), "Running#0");
    assert_eq!(state(&group, "lame"), "ImagePullBackOff#0");
    assert_eq!(phase(&group), Phase::Pending);
    wait(&group, Condition::Ready).await;
    assert_eq!(phase(&group), Phase::Running);
    assert_eq!(group.snapshot().status.timeline.pulls.len(), 3);
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn the_sandbox_waits_for_images_that_volumes_show() {
    let agent = Agent::start();
    agent.host.plan("pull model", 1, Fault::Takes(secs(5)));
    let group = agent.create(with_model()).await;
    wait(&group, Condition::Ready).await;
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn containers_say_why_an_image_that_a_volume_shows_is_not_there() {
    for (reason, told) in [
        ("SignatureValidationFailed", "SignatureValidationFailed#0"),
        ("ErrImagePull", "ImagePullBackOff#0"),
    ] {
        let agent = Agent::start();
        let fails = Fault::Fails(error(reason));
        agent.host.plan("pull model", 1, fails);
        let group = agent.create(with_model()).await;
        pass(secs(1)).await;
        assert_eq!(state(&group, "web"), told);
        assert_eq!(phase(&group), Phase::Pending);
        wait(&group, Condition::Ready).await;
        assert_eq!(state(&group, "web"), "Running#0");
    }
}

/// A group with a volume that shows an image.
fn with_model() -> GroupSpec {
    let mut spec = group("g", vec![container("web")]);
    spec.volumes.push(Volume {
        name: "model".to_owned(),
        source: VolumeSource::Image {
            reference: "model".parse().unwrap(),
            pull_policy: PullPolicy::Always,
        },
    });
    spec
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_fails_is_tried_again() {
    let agent = Agent::start();
    agent
        .host
        .plan("create_sandbox", 2, Fault::Fails(error("NetworkNotReady")));
    let group = agent.create(group("g", vec![container("web")])).await;
    pass(secs(0)).await;
    assert_eq!(group.snapshot().status.reason, "FailedCreatePodSandBox");
    wait(&group, Condition::Ready).await;
    assert_eq!(group.snapshot().status.reason, "");
    assert_eq!(agent.host.count("create_sandbox"), 3);
}

#[tokio::test(start_paused = true)]
async fn what_this_machine_cannot_run_fails() {
    let agent = Agent::start();
    let unsupported = HostError::new(
        ErrorKind::Unsupported,
        "NoUserNamespaces",
        "no kernel support",
    );
    agent
        .host
        .plan("create_sandbox", 1, Fault::Fails(unsupported));
    let group = agent.create(group("g", vec![container("web")])).await;
    let failed = wait(&group, Condition::Finished).await;
    assert_eq!(failed.status.phase, Phase::Failed);
    assert_eq!(failed.status.reason, "NoUserNamespaces");
    assert_eq!(
        agent.host.count("destroy_sandbox"),
        1,
        "what was begun is cleaned up"
    );
    assert_eq!(agent.host.running(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_be_created_is_tried_again_as_the_same_run() {
    let agent = Agent::start();
    agent.host.plan(
        "start",
        2,
        Fault::Fails(error("CreateContainerConfigError")),
    );
    let mut spec = group("g", vec![container("web")]);
    spec.restart_policy = RestartPolicy::Never;
    let group = agent.create(spec).await;
    pass(secs(1)).await;
    assert_eq!(state(&group, "web"), "CreateContainerConfigError#0");
    wait(&group, Condition::Ready).await;
    assert_eq!(state(&group, "web"), "Running#0");
    assert_eq!(agent.host.count("start g/web#0"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_start_error_is_an_exit() {
    let agent = Agent::start();
    agent
        .host
        .plan("start", 1, Fault::Fails(error("StartError")));
    let mut spec = group("g", vec![container("web")]);
    spec.restart_policy = RestartPolicy::Never;
    let group = agent.create(spec).await;
    wait(&group, Condition::Finished).await;
    assert_eq!(phase(&group), Phase::Failed);
    assert_eq!(state(&group, "web"), "StartError:128#0");
}

#[tokio::test(start_paused = true)]
async fn an_end_may_be_told_before_the_start_is() {
    let agent = Agent::start();
    agent.host.script("quick", [RunScript::ends(secs(0), 7)]);
    let mut spec = group("g", vec![container("quick")]);
    spec.restart_policy = RestartPolicy::Never;
    let group = agent.create(spec).await;
    let done = wait(&group, Condition::Finished).await;
    assert_eq!(state(&group, "quick"), "Error:7#0");
    let status = done.status.container("quick").unwrap();
    assert!(matches!(&status.state, ContainerState::Terminated(exit) if exit.code == 7));
}
