use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::GroupUid;
use burstlet_model::spec::ResourceList;
use burstlet_model::{Bytes, MilliCpu};
use burstlet_supervisor::{Capacity, Condition, Config, CreateRequest, Groups, Quotas};
use burstlet_testkit::host::{RunScript, ScriptedHost};
use burstlet_testkit::spec;
use tokio_util::sync::CancellationToken;

use super::*;

const UID: &str = "u-1";

fn path(uid: Option<&str>) -> PodPath {
    PodPath {
        namespace: "default".parse().unwrap(),
        name: "web".parse().unwrap(),
        uid: uid.map(str::to_owned),
    }
}

fn container(name: &str) -> ContainerPath {
    ContainerPath {
        pod: path(None),
        container: ContainerName::new(name).unwrap(),
    }
}

/// A pod whose container `main` runs.
async fn pod() -> Snapshot {
    let host = ScriptedHost::new();
    host.script("main", [RunScript::forever()]);
    let config = Config {
        capacity: Capacity {
            machine: ResourceList {
                cpu: Some(MilliCpu(1000)),
                memory: Some(Bytes(1 << 30)),
                ..ResourceList::default()
            },
            reserved: ResourceList::default(),
            overcommit_percent: 100,
            default_request: ResourceList::default(),
            devices: BTreeMap::new(),
            waiting_max: 2,
        },
        groups_max: 2,
        quotas: Quotas::default(),
        history_max: 16,
        adoptions_in_flight_max: 1,
        launches_in_flight_max: 1,
        probes_in_flight_max: 1,
    };
    let shutdown = CancellationToken::new();
    let groups = Groups::start(Arc::new(host), config, Vec::new(), shutdown);
    let mut definition = spec::definition(spec::group("web", vec![spec::container("main")]));
    definition.origin = Origin::Kubernetes;
    let uid = GroupUid::new(UID).unwrap();
    let request = CreateRequest {
        uid: uid.clone(),
        definition,
        request_id: None,
    };
    groups.create(request).await.unwrap();
    let group = groups.get(&uid).unwrap();
    let within = Duration::from_secs(60);
    let snapshot = group.wait(Condition::Ready, within).await.unwrap();
    Snapshot::clone(&snapshot)
}

/// The same before its container has run.
async fn waiting_pod(reason: &str) -> Snapshot {
    let mut snapshot = pod().await;
    snapshot.status.containers[0].state = ContainerState::Waiting {
        reason: reason.to_owned(),
        message: String::new(),
    };
    snapshot
}

fn refusal(answer: Result<(), Refused>) -> (ErrorKind, String) {
    let refused = answer.unwrap_err();
    (refused.kind(), refused.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_found_by_name_and_by_its_own_uid_only() {
    let mut snapshot = pod().await;
    assert!(is_pod(&snapshot, &path(None)));
    assert!(is_pod(&snapshot, &path(Some(UID))));
    assert!(!is_pod(&snapshot, &path(Some("another"))));
    snapshot.definition.origin = Origin::Direct;
    assert!(!is_pod(&snapshot, &path(None)), "nobody's pod is reached");
}

#[tokio::test(start_paused = true)]
async fn a_container_is_reached_while_it_runs() {
    let name = ContainerName::new("main").unwrap();
    assert!(running(&pod().await, &name).is_ok());
    let not_found = (
        ErrorKind::NotFound,
        "container not found (\"main\")".to_owned(),
    );
    let waiting = waiting_pod("ContainerCreating").await;
    assert_eq!(refusal(running(&waiting, &name)), not_found);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_not_there_is_refused_in_a_kubelet_s_words() {
    let (snapshot, main) = (pod().await, container("main"));
    assert!(has_log(&snapshot, &main, false).is_ok());
    let previous = "previous terminated container \"main\" in pod \"web\" not found";
    assert_eq!(
        refusal(has_log(&snapshot, &main, true)),
        (ErrorKind::FailedPrecondition, previous.to_owned())
    );
    let other = "container \"other\" not found in pod \"web\"";
    assert_eq!(
        refusal(has_log(&snapshot, &container("other"), false)),
        (ErrorKind::NotFound, other.to_owned())
    );
    for (reason, told) in [
        ("PodInitializing", "PodInitializing"),
        ("ErrImagePull", "image can't be pulled"),
        ("ImagePullBackOff", "trying and failing to pull image"),
    ] {
        let expected = format!("container \"main\" in pod \"web\" is waiting to start: {told}");
        assert_eq!(
            refusal(has_log(&waiting_pod(reason).await, &main, false)),
            (ErrorKind::FailedPrecondition, expected)
        );
    }
}

#[test]
fn what_nobody_has_heard_of_does_not_exist() {
    let expected = "pod \"web\" does not exist";
    for refused in [
        no_group(&path(None), None),
        no_group_of(&container("main"), None),
    ] {
        assert_eq!(refused.kind(), ErrorKind::NotFound);
        assert_eq!(refused.to_string(), expected);
    }
}
