use burstlet_model::spec::{
    Ends, GroupSpec, OwnRestart, ResourceList, Resources, RestartAction, RestartPolicy, RestartRule,
};
use burstlet_model::status::{
    ContainerStatus, Desired, ExitStatus, GroupStatus, LaunchTimeline, RESTARTING_ALL, Resize,
};
use burstlet_model::{BootTime, ContainerName, GroupUid, MilliCpu, Stamp};
use burstlet_testkit::spec::{container, group};
use insta::assert_json_snapshot;

use super::*;
use crate::pod::ephemeral::Withheld;
use crate::pod::resources::Pending;
use crate::pod::seen::tests::pod;

const SECOND: i64 = 1_000_000_000;
const NOW: WallTime = WallTime(1_700_000_100 * SECOND);

fn at(second: i64) -> Stamp {
    Stamp {
        boot: BootTime(second.unsigned_abs() * 1_000_000_000),
        wall: WallTime((1_700_000_000 + second) * SECOND),
    }
}

/// A container of the group that is in `state`.
fn one(name: &str, state: ContainerState) -> ContainerStatus {
    let runs = state.is_running();
    ContainerStatus {
        name: ContainerName::new(name).unwrap(),
        image: "docker.io/library/busybox:1".to_owned(),
        image_digest: None,
        state,
        last_exit: None,
        restart_count: 0,
        started: runs,
        ready: runs,
        user: None,
        resources: None,
    }
}

fn waiting(reason: &str) -> ContainerState {
    ContainerState::Waiting {
        reason: reason.to_owned(),
        message: String::new(),
    }
}

fn running() -> ContainerState {
    ContainerState::Running {
        started_at: at(5),
        pid: 7,
    }
}

fn exit(code: i32) -> ExitStatus {
    ExitStatus {
        code,
        signal: None,
        reason: if code == 0 { "Completed" } else { "Error" }.to_owned(),
        message: "last words".to_owned(),
        started_at: Some(at(5)),
        finished_at: at(9),
    }
}

fn ended(code: i32) -> ContainerState {
    ContainerState::Terminated(exit(code))
}

fn spec(names: &[&str]) -> GroupSpec {
    group("web-1", names.iter().map(|name| container(name)).collect())
}

fn status(phase: Phase, containers: Vec<ContainerStatus>) -> GroupStatus {
    let stands = matches!(phase, Phase::Running | Phase::Terminating);
    GroupStatus {
        desired: Desired::Running,
        phase,
        reason: String::new(),
        message: String::new(),
        queue_position: None,
        ip: stands.then(|| "10.119.0.5".parse().unwrap()),
        initialized: true,
        ready: phase == Phase::Running,
        init_containers: Vec::new(),
        containers,
        ephemeral_containers: Vec::new(),
        created_at: at(0).wall,
        finished_at: None,
        timeline: LaunchTimeline {
            network_ready: stands.then(|| at(2)),
            ..LaunchTimeline::default()
        },
        sessions: Vec::new(),
        resources: None,
        resize: None,
        lease: None,
        processors: None,
    }
}

/// The status that is written of a pod with `has` as its status.
fn told(has: &Value, spec: &GroupSpec, status: &GroupStatus, gone: bool) -> Status {
    let pod = pod(json!({
        "metadata": {"name": "web-1", "generation": 2},
        "spec": {"containers": [], "readinessGates": [{"conditionType": "example.com/gate"}]},
        "status": has,
    }));
    let uid = GroupUid::new("u-1").unwrap();
    let told = Told {
        uid: &uid,
        spec,
        status,
        gone,
        generation: Some(2),
        pending: None,
        withheld: &Withheld::new(),
        cost: None,
        now: NOW,
    };
    of_group(
        (&pod, &pod.status()),
        &told,
        &["192.0.2.10".parse().unwrap()],
    )
}

fn gate(status: &str) -> Value {
    json!({"phase": "Pending", "conditions": [{"type": "example.com/gate", "status": status}]})
}

#[test]
fn a_pod_that_runs() {
    let mut restarted = one("b", running());
    restarted.restart_count = 2;
    restarted.last_exit = Some(exit(3));
    let status = status(Phase::Running, vec![restarted, one("a", running())]);
    assert_json_snapshot!(told(&gate("True"), &spec(&["b", "a"]), &status, false));
}

#[test]
fn a_pod_that_waits_for_room() {
    let mut status = status(Phase::Queued, vec![one("a", waiting("ContainerCreating"))]);
    status.queue_position = Some(3);
    status.reason = "OutOfcpu".to_owned();
    status.message = "2 cores are needed, 1 is free".to_owned();
    assert_json_snapshot!(told(&Value::Null, &spec(&["a"]), &status, false));
}

#[test]
fn that_all_are_started_again_is_said_of_pods_that_may_ask_for_it() {
    let mut spec = spec(&["a", "b"]);
    let mut status = status(
        Phase::Running,
        vec![one("a", waiting(RESTARTING_ALL)), one("b", running())],
    );
    let said = |spec: &GroupSpec, status: &GroupStatus| {
        let told = told(&Value::Null, spec, status, false);
        let mut conditions = items(told.get("conditions"));
        let found = conditions.find(|c| c["type"] == "AllContainersRestarting");
        found.map(|c| (c["status"].clone(), c["reason"].clone()))
    };
    assert_eq!(said(&spec, &status), None);
    spec.containers[0].restart = Some(OwnRestart {
        policy: RestartPolicy::Never,
        rules: vec![RestartRule {
            ends: Ends::In([1].into()),
            action: RestartAction::All,
        }],
    });
    let begun = (json!("True"), json!("RestartAllContainersStarted"));
    assert_eq!(said(&spec, &status), Some(begun));
    status.containers[0].state = running();
    assert_eq!(said(&spec, &status), Some((json!("False"), Value::Null)));
    status.phase = Phase::Failed;
    assert_eq!(
        said(&spec, &status),
        Some((json!("False"), json!("PodFailed")))
    );
}

/// The conditions of a resize of a pod with `has` as its status.
fn resizing(has: &Value, status: &GroupStatus, pending: Option<&Pending>) -> Vec<Value> {
    let pod = pod(json!({
        "metadata": {"name": "web-1", "generation": 2},
        "spec": {"containers": [{"name": "a"}]},
        "status": has,
    }));
    let told = Told {
        uid: &GroupUid::new("u-1").unwrap(),
        spec: &spec(&["a"]),
        status,
        gone: false,
        generation: Some(2),
        pending,
        withheld: &Withheld::new(),
        cost: None,
        now: NOW,
    };
    let told = of_group((&pod, &pod.status()), &told, &[]);
    let of_resize = |c: &&Value| {
        c["type"]
            .as_str()
            .is_some_and(|t| t.starts_with("PodResize"))
    };
    let conditions = items(told.get("conditions"));
    conditions.filter(of_resize).cloned().collect()
}

#[test]
fn a_resize_is_said_while_it_lasts() {
    let mut status = status(Phase::Running, vec![one("a", running())]);
    assert!(resizing(&Value::Null, &status, None).is_empty());
    let mut pending = Pending {
        for_good: false,
        message: "too little".to_owned(),
    };
    let deferred = resizing(&Value::Null, &status, Some(&pending));
    pending.for_good = true;
    let infeasible = resizing(&Value::Null, &status, Some(&pending));
    status.resize = Some(Resize::InProgress);
    let begun = resizing(&Value::Null, &status, None);
    status.resize = Some(Resize::Failed("in use".to_owned()));
    let failed = resizing(&Value::Null, &status, None);
    status.resize = None;
    let has = json!({"conditions": [{"type": "PodResizeInProgress", "status": "True"}]});
    let over = resizing(&has, &status, None);
    assert_json_snapshot!([deferred, infeasible, begun, failed, over]);
}

#[test]
fn a_container_shows_what_it_has_and_what_was_set_aside_for_it() {
    let cpu = |milli| Resources {
        requests: ResourceList {
            cpu: Some(MilliCpu(milli)),
            ..ResourceList::default()
        },
        limits: ResourceList::default(),
    };
    let mut spec = spec(&["a"]);
    spec.containers[0].resources = cpu(1500);
    spec.resources = Some(cpu(1500));
    let mut status = status(Phase::Running, vec![one("a", running())]);
    status.containers[0].resources = Some(cpu(500));
    status.resources = Some(cpu(500));
    let resources = json!({"requests": {"cpu": "1.5"}});
    let pod = pod(json!({
        "metadata": {"name": "web-1"},
        "spec": {"resources": resources, "containers": [{"name": "a", "resources": resources}]},
    }));
    let told = Told {
        uid: &GroupUid::new("u-1").unwrap(),
        spec: &spec,
        status: &status,
        gone: false,
        generation: None,
        pending: None,
        withheld: &Withheld::new(),
        cost: None,
        now: NOW,
    };
    let written = of_group((&pod, &pod.status()), &told, &[]);
    for own in [
        &written["containerStatuses"][0],
        &Value::Object(written.clone()),
    ] {
        assert_eq!(own["resources"], json!({"requests": {"cpu": "500m"}}));
        assert_eq!(own["allocatedResources"], json!({"cpu": "1.5"}));
    }
}

#[test]
fn a_pod_that_has_succeeded() {
    let status = status(Phase::Succeeded, vec![one("a", ended(0))]);
    assert_json_snapshot!(told(&gate("True"), &spec(&["a"]), &status, false));
}

#[test]
fn a_gate_that_is_shut_keeps_the_pod_from_being_ready() {
    let status = status(Phase::Running, vec![one("a", running())]);
    for (has, message) in [
        (
            gate("False"),
            "the status of pod readiness gate \"example.com/gate\" is not \"True\", but False",
        ),
        (
            Value::Null,
            "corresponding condition of pod readiness gate \"example.com/gate\" does not exist.",
        ),
    ] {
        let told = told(&has, &spec(&["a"]), &status, false);
        let ready = &told["conditions"][2];
        assert_eq!(ready["type"], "Ready");
        assert_eq!(ready["status"], "False");
        assert_eq!(ready["reason"], "ReadinessGatesNotReady");
        assert_eq!(ready["message"], message);
    }
}

#[test]
fn no_pod_comes_to_its_end_while_a_process_may_run() {
    let spec = spec(&["a", "b"]);
    let has = |phase: &str| json!({"phase": phase});
    let phase = |has: Value, status: &GroupStatus, gone| {
        told(&has, &spec, status, gone)["phase"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let going = status(
        Phase::Terminating,
        vec![one("a", ended(0)), one("b", running())],
    );
    assert_eq!(phase(has("Running"), &going, false), "Running");
    let all_ended = status(
        Phase::Terminating,
        vec![one("a", ended(0)), one("b", ended(0))],
    );
    assert_eq!(phase(has("Running"), &all_ended, false), "Running");
    assert_eq!(phase(has("Running"), &all_ended, true), "Succeeded");
    let badly = status(
        Phase::Terminating,
        vec![one("a", ended(0)), one("b", ended(143))],
    );
    assert_eq!(phase(has("Running"), &badly, true), "Failed");
    let never_ran = status(
        Phase::Terminating,
        vec![
            one("a", waiting("ContainerCreating")),
            one("b", waiting("ContainerCreating")),
        ],
    );
    assert_eq!(phase(has("Pending"), &never_ran, false), "Pending");
    assert_eq!(phase(has("Pending"), &never_ran, true), "Failed");
}

#[test]
fn an_end_is_for_good() {
    let status = status(Phase::Running, vec![one("a", running())]);
    let has = json!({"phase": "Failed", "reason": "Evicted", "message": "by others"});
    let told = told(&has, &spec(&["a"]), &status, false);
    assert_eq!(told["phase"], "Failed");
    assert_eq!(
        (&told["reason"], &told["message"]),
        (&"Evicted".into(), &"by others".into())
    );
}

#[test]
fn what_nobody_saw_end_has_ended_all_the_same() {
    let status = status(Phase::Terminating, vec![one("a", running())]);
    let told = told(&json!({"phase": "Running"}), &spec(&["a"]), &status, true);
    let state = &told["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(
        (&state["exitCode"], &state["reason"]),
        (&137.into(), &"ContainerStatusUnknown".into())
    );
}

#[test]
fn ephemeral_containers_are_told_as_the_pod_names_them() {
    let looks = ["runs", "over", "pulls", "refused", "new"];
    let pod = pod(json!({
        "metadata": {"name": "web-1"},
        "spec": {
            "containers": [{"name": "a"}],
            "ephemeralContainers": looks.map(|name| json!({"name": name, "image": "i"})),
        },
    }));
    let mut status = status(Phase::Running, vec![one("a", running())]);
    status.ephemeral_containers = vec![
        one("runs", running()),
        one("over", ended(7)),
        one("pulls", waiting("ImagePullBackOff")),
    ];
    let why = Missing {
        reason: "CreateContainerConfigError",
        message: "not allowed".to_owned(),
        container: Some("refused".to_owned()),
    };
    let withheld = Withheld::from([("refused".to_owned(), why.clone())]);
    let told = Told {
        uid: &GroupUid::new("u-1").unwrap(),
        spec: &spec(&["a"]),
        status: &status,
        gone: false,
        generation: Some(2),
        pending: None,
        withheld: &withheld,
        cost: None,
        now: NOW,
    };
    let written = of_group((&pod, &pod.status()), &told, &[]);
    assert_json_snapshot!(written["ephemeralContainerStatuses"]);
    assert_eq!(written["phase"], "Running");
    let ready = items(written.get("conditions")).find(|c| c["type"] == "Ready");
    assert_eq!(ready.unwrap()["status"], "True", "they do not count");
    let of_none = of_waiting((&pod, &pod.status()), &why, &[], NOW);
    let states = items(of_none.get("ephemeralContainerStatuses"));
    let reasons: Vec<_> = states
        .map(|status| &status["state"]["waiting"]["reason"])
        .collect();
    let creating = "ContainerCreating";
    let config = "CreateContainerConfigError";
    assert_eq!(reasons, [creating, creating, creating, config, creating]);
}
