//! Pods that are changed while they run.

use burstlet_model::Secret;
use burstlet_model::spec::{DataFile, GroupSpec, RestartPolicy, Volume, VolumeSource};
use burstlet_supervisor::record::{Definition, Origin};
use burstlet_supervisor::{Condition, CreateRequest, GroupHandle, Refusal};
use burstlet_testkit::host::Fault;
use burstlet_testkit::spec::{container, definition, group};

use crate::common::{Agent, error, events, pass, secs, state, uid, wait};

fn pod(spec: GroupSpec) -> Definition {
    Definition {
        origin: Origin::Kubernetes,
        ..definition(spec)
    }
}

fn with_file(text: &str) -> GroupSpec {
    let mut spec = group("g", vec![container("web"), container("log")]);
    let file = DataFile {
        path: "file".to_owned(),
        mode: 0o644,
        data: Secret::new(text.as_bytes().to_vec()),
    };
    spec.volumes.push(Volume {
        name: "config".to_owned(),
        source: VolumeSource::ConfigData(vec![file]),
    });
    spec
}

fn with_image(image: &str) -> GroupSpec {
    let mut spec = with_file("one");
    spec.restart_policy = RestartPolicy::Never;
    spec.containers[0].image = image.parse().unwrap();
    spec
}

async fn run(agent: &Agent, spec: GroupSpec) -> GroupHandle {
    let request = CreateRequest {
        uid: uid("g"),
        definition: pod(spec),
        request_id: None,
    };
    agent.groups.create(request).await.unwrap();
    let group = agent.groups.get(&uid("g")).unwrap();
    wait(&group, Condition::Ready).await;
    group
}

#[tokio::test(start_paused = true)]
async fn files_are_renewed_and_nothing_is_started_again() {
    let agent = Agent::start();
    let group = run(&agent, with_file("one")).await;
    assert_eq!(agent.host.count("renew"), 0);
    group.update(pod(with_file("two")), None).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(agent.host.count("renew g"), 1);
    assert_eq!(state(&group, "web"), "Running#0");
    let volumes = group.snapshot().definition.spec.volumes.clone();
    assert_eq!(volumes, with_file("two").volumes);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_told_and_tried_again() {
    let agent = Agent::start();
    let group = run(&agent, with_file("one")).await;
    let fault = Fault::Fails(error("FailedMount"));
    agent.host.plan("renew", 2, fault);
    group.update(pod(with_file("two")), None).await.unwrap();
    pass(secs(10)).await;
    assert_eq!(agent.host.count("renew g"), 3);
    let told = events(&group);
    assert!(told.contains(&"FailedMount×2".to_owned()), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_before_the_agent_went_is_done_by_the_next() {
    let agent = Agent::start();
    let group = run(&agent, with_file("one")).await;
    agent.host.plan("renew", 1, Fault::Hangs);
    group.update(pod(with_file("two")), None).await.unwrap();
    pass(secs(1)).await;
    let agent = agent.killed().await;
    pass(secs(1)).await;
    assert_eq!(agent.host.count("renew g"), 2);
    let group = agent.groups.get(&uid("g")).unwrap();
    assert_eq!(state(&group, "web"), "Running#0");
}

#[tokio::test(start_paused = true)]
async fn a_container_with_another_image_is_started_again_whatever_the_policy_says() {
    let agent = Agent::start();
    let group = run(&agent, with_image("one")).await;
    group.update(pod(with_image("two")), None).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(agent.host.count("pull two"), 1, "{}", agent.host.calls());
    assert_eq!(state(&group, "web"), "Running#1");
    assert_eq!(state(&group, "log"), "Running#0");
    let snapshot = group.snapshot();
    let status = snapshot.status.container("web").unwrap();
    assert!(status.image.contains("two"), "{}", status.image);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_changed_for_one_that_can() {
    let agent = Agent::start();
    let missing = Fault::Fails(error("ErrImagePull"));
    agent.host.plan("pull wrong", u32::MAX, missing);
    let request = CreateRequest {
        uid: uid("g"),
        definition: pod(with_image("wrong")),
        request_id: None,
    };
    agent.groups.create(request).await.unwrap();
    let group = agent.groups.get(&uid("g")).unwrap();
    pass(secs(5)).await;
    assert_eq!(state(&group, "web"), "ImagePullBackOff#0");
    group.update(pod(with_image("right")), None).await.unwrap();
    wait(&group, Condition::Ready).await;
    assert_eq!(state(&group, "web"), "Running#0");
    let pulls = agent.host.count("pull wrong");
    pass(secs(3600)).await;
    assert_eq!(agent.host.count("pull wrong"), pulls, "nobody asks for it");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_image_outlives_the_agent() {
    let agent = Agent::start();
    let group = run(&agent, with_image("one")).await;
    // The container does not end while this agent lives.
    agent.host.plan("signal", u32::MAX, Fault::Hangs);
    agent.host.plan("kill", u32::MAX, Fault::Hangs);
    group.update(pod(with_image("two")), None).await.unwrap();
    pass(secs(1)).await;
    let agent = agent.killed().await;
    let group = agent.groups.get(&uid("g")).unwrap();
    pass(secs(60)).await;
    assert_eq!(state(&group, "web"), "Running#1", "{}", agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn what_a_pod_cannot_change_is_refused() {
    let agent = Agent::start();
    let group = run(&agent, with_file("one")).await;
    let mut other = with_file("two");
    other.hostname = "other".to_owned();
    let refused = group.update(pod(other), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::Immutable(_)), "{refused}");
    assert_eq!(agent.host.count("renew"), 0);
}
