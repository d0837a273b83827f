//! What clients may ask, and what they are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use burstlet_model::ErrorKind;
use burstlet_model::status::Phase;
use burstlet_supervisor::record::Origin;
use burstlet_supervisor::stream::{ExecRequest, LogRequest};
use burstlet_supervisor::{ChangeKind, Condition, CreateRequest, Refusal};
use burstlet_testkit::host::{Fault, RunScript};
use burstlet_testkit::spec::{container, definition, group};

use crate::common::{Agent, error, name, pass, phase, secs, state, uid, wait};

fn request(uid_: &str, request_id: Option<&str>, image: &str) -> CreateRequest {
    CreateRequest {
        uid: uid(uid_),
        definition: definition(group("g", vec![container(image)])),
        request_id: request_id.map(str::to_owned),
    }
}

#[tokio::test(start_paused = true)]
async fn creating_twice_with_one_request_id_gives_one_group() {
    let agent = Agent::start();
    agent.host.plan("save", 1, Fault::Takes(secs(1)));
    let (first, second) = tokio::join!(
        agent.groups.create(request("a", Some("r1"), "web")),
        agent.groups.create(request("b", Some("r1"), "web")),
    );
    assert_eq!(first.unwrap().uid, uid("a"));
    assert_eq!(second.unwrap().uid, uid("a"));
    let agent = agent.killed().await;
    let third = agent.groups.create(request("c", Some("r1"), "web")).await;
    assert_eq!(third.unwrap().uid, uid("a"), "after a crash too");
    let other = agent
        .groups
        .create(request("d", Some("r1"), "db"))
        .await
        .unwrap_err();
    assert!(matches!(other, Refusal::RequestIdReused { .. }));
    let taken = agent
        .groups
        .create(request("e", None, "web"))
        .await
        .unwrap_err();
    assert!(matches!(taken, Refusal::NameTaken { .. }));
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    assert_eq!(agent.host.records().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pods_and_groups_have_names_of_their_own() {
    let agent = Agent::start();
    let pod = |uid_| {
        let mut pod = request(uid_, None, "web");
        pod.definition.origin = Origin::Kubernetes;
        pod
    };
    agent.groups.create(pod("pod")).await.unwrap();
    let shared = pod("pod").definition.spec.name.clone();
    let found = |agent: &Agent| agent.groups.find(&shared).unwrap().uid().clone();
    assert_eq!(found(&agent), uid("pod"), "nobody else has the name");
    agent
        .groups
        .create(request("own", None, "web"))
        .await
        .unwrap();
    let taken = agent.groups.create(pod("another")).await.unwrap_err();
    assert!(matches!(taken, Refusal::NameTaken { .. }));
    let agent = agent.killed().await;
    assert_eq!(found(&agent), uid("own"), "the API's own comes first");
    for (origin, has_it) in [(Origin::Direct, "own"), (Origin::Kubernetes, "pod")] {
        let of = agent.groups.find_of(origin, &shared).unwrap();
        assert_eq!(*of.uid(), uid(has_it));
    }
    assert_eq!(agent.groups.list().groups.len(), 2);
    let own = agent.groups.get(&uid("own")).unwrap();
    own.delete(None).await.unwrap();
    wait(&own, Condition::Deleted).await;
    assert_eq!(found(&agent), uid("pod"), "one goes without the other");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_does_not_exist() {
    let agent = Agent::start();
    agent.host.plan("save", 1, Fault::Fails(error("DiskFull")));
    let refused = agent
        .groups
        .create(request("a", Some("r1"), "web"))
        .await
        .unwrap_err();
    assert!(matches!(refused, Refusal::NotSaved { .. }));
    assert_eq!(agent.groups.room().admitted, 0);
    assert_eq!(agent.host.calls(), "", "intent before effect");
    agent
        .groups
        .create(request("a", Some("r1"), "web"))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_set_up_and_what_is_durable_is_started() {
    let agent = Agent::start();
    agent.host.plan("save-sync", 1, Fault::Takes(secs(2)));
    let groups = agent.groups.clone();
    let creating = tokio::spawn(async move { groups.create(request("a", None, "web")).await });
    pass(secs(1)).await;
    assert_eq!(agent.host.count("create_sandbox"), 1);
    assert_eq!(agent.host.count("start_container"), 0);
    assert!(!creating.is_finished(), "nobody is told yet");
    creating.await.unwrap().unwrap();
    pass(secs(1)).await;
    assert_eq!(agent.host.running(), ["a/web#0"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_become_durable_is_undone_and_never_ran() {
    let agent = Agent::start();
    let fails = Fault::Fails(error("DiskFull"));
    agent.host.plan("save-sync", 1, fails);
    agent.host.plan("destroy_sandbox", 1, Fault::Takes(secs(1)));
    let refused = agent.groups.create(request("a", None, "web")).await;
    assert!(
        matches!(refused, Err(Refusal::NotSaved { .. })),
        "{refused:?}"
    );
    assert!(agent.groups.list().groups.is_empty());
    assert_eq!(agent.groups.room().admitted, 0);
    pass(secs(5)).await;
    assert_eq!(agent.host.count("start_container"), 0);
    assert!(agent.host.is_clean(), "{}", agent.host.calls());
    agent
        .groups
        .create(request("a", None, "web"))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_group_goes_on_though_its_record_cannot_be_written() {
    let agent = Agent::start();
    agent
        .host
        .script("web", [RunScript::ends(secs(1), 1), RunScript::forever()]);
    agent
        .groups
        .create(request("g", None, "web"))
        .await
        .unwrap();
    agent
        .host
        .plan("save", u32::MAX, Fault::Fails(error("DiskFull")));
    let group = agent.groups.get(&uid("g")).unwrap();
    pass(secs(60)).await;
    assert_eq!(state(&group, "web"), "Running#1");
    group.stop(None).await.unwrap();
    wait(&group, Condition::AtRest).await;
    agent.host.heal();
    pass(secs(60)).await;
    assert_eq!(
        agent.host.records()[0].status.phase,
        Phase::Stopped,
        "it heals by itself"
    );
}

#[tokio::test(start_paused = true)]
async fn verbs_are_refused_with_a_reason_and_never_hang() {
    let agent = Agent::start();
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    let version = group.snapshot().resource_version;
    assert_eq!(
        group.start().await.unwrap().resource_version,
        version,
        "it runs already"
    );
    group.stop(None).await.unwrap();
    wait(&group, Condition::AtRest).await;
    group.stop(None).await.unwrap();
    let refused = group.restart(Some(name("web"))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
    assert_eq!(
        refused.to_string(),
        "cannot restart a container of container group default/g while Stopped: \
         nothing of it runs; start it first"
    );
    let never = group.wait(Condition::Ready, secs(1)).await.unwrap_err();
    assert!(matches!(never, Refusal::OutOfReach { .. }));
    group.delete(None).await.unwrap();
    wait(&group, Condition::Deleted).await;
    for answer in [
        group.start().await,
        group.stop(None).await,
        group.delete(None).await,
    ] {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test(start_paused = true)]
async fn only_labels_annotations_and_tags_can_be_changed() {
    let agent = Agent::start();
    let group_ = agent.create(group("g", vec![container("web")])).await;
    let before = wait(&group_, Condition::Ready).await;
    let mut spec = group("g", vec![container("web")]);
    spec.tags = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    let new = definition(spec.clone());
    let updated = group_
        .update(new.clone(), Some(before.resource_version))
        .await
        .unwrap();
    assert_eq!(updated.definition.spec.tags, spec.tags);
    assert!(updated.resource_version > before.resource_version);
    let stale = group_
        .update(new, Some(before.resource_version))
        .await
        .unwrap_err();
    assert!(matches!(stale, Refusal::Changed { .. }));
    spec.priority = 3;
    let refused = group_.update(definition(spec), None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let agent = agent.killed().await;
    assert_eq!(agent.host.records()[0].definition.spec.tags.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn watchers_see_a_group_come_change_and_go() {
    let agent = Agent::start();
    let since = agent.groups.list().resource_version;
    let mut changes = agent.groups.watch(since);
    let group = agent.create(group("g", vec![container("web")])).await;
    wait(&group, Condition::Ready).await;
    group.delete(None).await.unwrap();
    wait(&group, Condition::Deleted).await;
    let mut seen = Vec::new();
    loop {
        let change = changes.next().await.unwrap().unwrap();
        seen.push((change.kind, change.snapshot.status.phase));
        if change.kind == ChangeKind::Deleted {
            break;
        }
    }
    assert_eq!(seen.first().unwrap().0, ChangeKind::Added);
    seen.dedup();
    let phases: Vec<_> = seen.iter().map(|(_, phase)| *phase).collect();
    assert!(phases.contains(&Phase::Running) && phases.contains(&Phase::Terminating));
    let host = agent.end().await;
    assert!(changes.next().await.unwrap().is_none(), "the agent goes");
    assert!(host.is_clean());
}

#[tokio::test(start_paused = true)]
async fn streams_are_refused_where_they_could_only_hang() {
    let agent = Agent::start();
    agent
        .host
        .plan("pull lame", 9, Fault::Fails(error("ErrImagePull")));
    let group = agent
        .create(group("g", vec![container("web"), container("lame")]))
        .await;
    pass(secs(1)).await;
    let exec = |container: &str| ExecRequest {
        container: name(container),
        command: vec!["true".to_owned()],
        tty: None,
        stdin: false,
    };
    let session = agent.groups.exec(group.uid(), exec("web")).await.unwrap();
    assert_eq!(session.exit.await.unwrap().unwrap().code, 0);
    let refused = agent
        .groups
        .exec(group.uid(), exec("lame"))
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "container lame of default/g is not running: waiting (ImagePullBackOff)"
    );
    let unknown = agent
        .groups
        .exec(group.uid(), exec("nobody"))
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    let log = LogRequest {
        container: name("web"),
        follow: false,
        tail_lines: None,
        since: None,
        until: None,
        previous: true,
        stream: None,
        limit_bytes: None,
    };
    let no_previous = agent
        .groups
        .logs(group.uid(), log.clone())
        .await
        .unwrap_err();
    assert_eq!(no_previous.kind(), ErrorKind::FailedPrecondition);
    group.stop(None).await.unwrap();
    wait(&group, Condition::AtRest).await;
    let current = LogRequest {
        previous: false,
        ..log
    };
    agent.groups.logs(group.uid(), current).await.unwrap();
    let resting = agent.groups.usage(group.uid()).await.unwrap_err();
    assert_eq!(resting.kind(), ErrorKind::FailedPrecondition);
    assert_eq!(phase(&group), Phase::Stopped);
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_by_name() {
    let agent = Agent::start();
    for name in ["b", "a", "c"] {
        agent.create(group(name, vec![container("web")])).await;
    }
    let names = |agent: &Agent| {
        let listing = agent.groups.list();
        let names = listing.groups.iter().map(|g| g.name().name.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&agent), ["a", "b", "c"]);
    let found = agent
        .groups
        .find(agent.groups.list().groups[1].name())
        .unwrap();
    assert_eq!(found.uid(), &uid("b"));
    let host = agent.end().await;
    assert_eq!(host.running().len(), 3, "groups go on without the agent");
    let _: Arc<_> = found.snapshot();
    let gone = found.start().await.unwrap_err();
    assert!(matches!(gone, Refusal::ShuttingDown));
}
