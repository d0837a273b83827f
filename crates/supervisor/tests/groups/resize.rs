//! Pods that are given other processors and memory while they run.

use burstlet_model::metering::{Allocated, Event, Mark};
use burstlet_model::spec::{GroupSpec, ResourceList, Resources, Scheduling};
use burstlet_model::status::{GroupStatus, Resize};
use burstlet_model::{Bytes, ErrorKind, MilliCpu};
use burstlet_supervisor::host::HostError;
use burstlet_supervisor::record::{Definition, Origin};
use burstlet_supervisor::{Condition, Config, CreateRequest, GroupHandle, Refusal};
use burstlet_testkit::host::{Fault, ScriptedHost};
use burstlet_testkit::spec::{container, definition, group};

use crate::common::{Agent, config, events, pass, secs, state, uid, wait};

fn pod(spec: GroupSpec) -> Definition {
    Definition {
        origin: Origin::Kubernetes,
        ..definition(spec)
    }
}

fn amounts(milli: u64) -> Resources {
    Resources {
        requests: ResourceList {
            cpu: Some(MilliCpu(milli)),
            memory: Some(Bytes(1 << 20)),
            ..ResourceList::default()
        },
        limits: ResourceList::default(),
    }
}

/// Two containers, of which the first has so much.
fn sized(name: &str, milli: u64) -> GroupSpec {
    let mut spec = group(name, vec![container("web"), container("log")]);
    spec.containers[0].resources = amounts(milli);
    spec
}

async fn run(agent: &Agent, spec: GroupSpec) -> GroupHandle {
    let id = uid(spec.name.name.as_str());
    let request = CreateRequest {
        uid: id.clone(),
        definition: pod(spec),
        request_id: None,
    };
    agent.groups.create(request).await.unwrap();
    let group = agent.groups.get(&id).unwrap();
    wait(&group, Condition::Ready).await;
    group
}

/// What the first container has, in thousandths of a core, and how it stands with the rest.
fn has(group: &GroupHandle) -> (u64, Option<Resize>) {
    let status: GroupStatus = group.snapshot().status.clone();
    let cpu = status.containers[0].resources.unwrap().requests.cpu;
    (cpu.unwrap().0, status.resize)
}

/// What was set aside, by what the ledger was told, and when.
fn told(host: &ScriptedHost) -> Vec<(u64, u64)> {
    let marks = host.marks(&uid("g"));
    let begin = marks.first().map(|mark| mark.at).unwrap_or_default();
    let resized = |mark: &Mark| match mark.what {
        Event::Resized(Allocated { cpu, .. }) => Some((cpu.0, mark.at.since(begin).as_secs())),
        _ => None,
    };
    marks.iter().filter_map(resized).collect()
}

fn in_use() -> Fault {
    let text = "memory limit (1) below current usage (2)";
    Fault::Fails(HostError::new(
        ErrorKind::FailedPrecondition,
        "ResizeError",
        text,
    ))
}

fn one_core() -> Config {
    let mut config = config();
    config.capacity.machine.cpu = Some(MilliCpu(1000));
    config
}

#[tokio::test(start_paused = true)]
async fn what_runs_has_more_and_is_billed_when_the_host_has_done_it() {
    let agent = Agent::start();
    let group = run(&agent, sized("g", 100)).await;
    agent.host.plan("resize", 1, Fault::Takes(secs(3)));
    pass(secs(10)).await;
    group.update(pod(sized("g", 200)), None).await.unwrap();
    assert_eq!(has(&group), (100, Some(Resize::InProgress)));
    pass(secs(1)).await;
    assert!(told(&agent.host).is_empty(), "not before it has it");
    pass(secs(5)).await;
    assert_eq!(has(&group), (200, None));
    assert_eq!(agent.host.count("resize g [web log]"), 1);
    assert_eq!(state(&group, "web"), "Running#0");
    assert_eq!(told(&agent.host), [(200, 13)]);
    let events = events(&group);
    for event in ["ResizeStarted×1", "ResizeCompleted×1"] {
        assert!(events.contains(&event.to_owned()), "{events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_for_one_on_demand_is_made_by_the_end_of_spot_groups() {
    let agent = Agent::on(ScriptedHost::new(), one_core());
    let group = run(&agent, sized("g", 400)).await;
    let mut cheap = sized("cheap", 600);
    cheap.scheduling = Scheduling::Spot;
    let cheap = run(&agent, cheap).await;
    let mut freed = agent.groups.freed();
    let more = || group.update(pod(sized("g", 500)), None);
    let refused = more().await.unwrap_err();
    assert!(
        matches!(refused, Refusal::TooLittleRoom { .. }),
        "{refused}"
    );
    wait(&cheap, Condition::AtRest).await;
    assert_eq!(cheap.snapshot().status.reason, "SpotEvicted");
    // It is told when it may ask again.
    freed.changed().await.unwrap();
    more().await.unwrap();
    pass(secs(1)).await;
    assert_eq!(has(&group), (500, None));
    assert_eq!(state(&group, "web"), "Running#0");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_said_and_tried_again() {
    let agent = Agent::start();
    let group = run(&agent, sized("g", 200)).await;
    agent.host.plan("resize", 2, in_use());
    group.update(pod(sized("g", 100)), None).await.unwrap();
    pass(secs(1)).await;
    let (milli, resize) = has(&group);
    let text = "memory limit (1) below current usage (2)".to_owned();
    assert_eq!((milli, resize), (200, Some(Resize::Failed(text))));
    assert!(told(&agent.host).is_empty());
    pass(secs(60)).await;
    assert_eq!(has(&group), (100, None));
    assert!(events(&group).contains(&"ResizeError×2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_overtaken_by_another_wish() {
    let agent = Agent::start();
    let group = run(&agent, sized("g", 200)).await;
    agent.host.plan("resize", 1, in_use());
    group.update(pod(sized("g", 100)), None).await.unwrap();
    pass(secs(1)).await;
    group.update(pod(sized("g", 200)), None).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(has(&group), (200, None));
    assert!(told(&agent.host).is_empty(), "it never had anything else");
}

#[tokio::test(start_paused = true)]
async fn a_container_is_started_again_where_its_policy_says_so() {
    let agent = Agent::start();
    let spec = |milli| {
        let mut spec = sized("g", milli);
        spec.containers[0].resize_policy.cpu_restarts = true;
        spec
    };
    let group = run(&agent, spec(100)).await;
    group.update(pod(spec(200)), None).await.unwrap();
    pass(secs(60)).await;
    assert_eq!(state(&group, "web"), "Running#1");
    assert_eq!(state(&group, "log"), "Running#0");
    assert_eq!(has(&group), (200, None));
    let calls = agent.host.calls();
    let at = |call: &str| {
        calls
            .find(call)
            .unwrap_or_else(|| panic!("{call}: {calls}"))
    };
    assert!(at("resize g [log]") < at("start g/web#1"), "{calls}");
    assert_eq!(told(&agent.host).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn growth_waits_for_room_and_keeps_what_it_has() {
    let agent = Agent::on(ScriptedHost::new(), one_core());
    let group = run(&agent, sized("g", 400)).await;
    let other = run(&agent, sized("other", 400)).await;
    let mut freed = agent.groups.freed();
    for (milli, for_good) in [(1001, true), (800, false)] {
        let refused = group.update(pod(sized("g", milli)), None).await;
        match refused.unwrap_err() {
            Refusal::TooLittleRoom { short, .. } => {
                assert_eq!(short.is_for_good(), for_good);
                assert_eq!((short.used, short.capacity), (400, 1000));
            }
            refusal => panic!("{refusal}"),
        }
    }
    assert_eq!(has(&group), (400, None));
    assert!(!freed.has_changed().unwrap());
    other.delete(None).await.unwrap();
    freed.changed().await.unwrap();
    group.update(pod(sized("g", 800)), None).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(has(&group), (800, None));
}

#[tokio::test(start_paused = true)]
async fn a_resize_before_the_agent_went_is_done_by_the_next() {
    let agent = Agent::start();
    let group = run(&agent, sized("g", 100)).await;
    agent.host.plan("resize", 1, Fault::Hangs);
    group.update(pod(sized("g", 200)), None).await.unwrap();
    pass(secs(1)).await;
    let agent = agent.killed().await;
    let group = agent.groups.get(&uid("g")).unwrap();
    pass(secs(1)).await;
    assert_eq!(has(&group), (200, None), "{}", agent.host.calls());
    assert_eq!(told(&agent.host).len(), 1);
    let agent = agent.killed().await;
    pass(secs(1)).await;
    assert_eq!(agent.host.count("resize"), 2, "what is done is done");
}

#[tokio::test(start_paused = true)]
async fn a_client_cannot_change_resources() {
    let agent = Agent::start();
    let group = agent.create(sized("g", 100)).await;
    wait(&group, Condition::Ready).await;
    let refused = group.update(definition(sized("g", 200)), None).await;
    assert!(matches!(refused, Err(Refusal::Immutable(_))));
}

/// One container that asks for all that it may use.
fn whole(name: &str, milli: u64) -> GroupSpec {
    let mut spec = group(name, vec![container("web")]);
    let requests = amounts(milli).requests;
    let limits = requests;
    spec.containers[0].resources = Resources { requests, limits };
    spec
}

fn processors(group: &GroupHandle) -> Option<String> {
    let status = &group.snapshot().status;
    status.processors.as_ref().map(ToString::to_string)
}

#[tokio::test(start_paused = true)]
async fn who_has_processors_alone_is_given_whole_ones_only() {
    let agent = Agent::start();
    let group = run(&agent, whole("g", 2000)).await;
    assert_eq!(processors(&group).as_deref(), Some("0-1"));
    group.update(pod(whole("g", 1000)), None).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(processors(&group).as_deref(), Some("0"));
    let refused = group.update(pod(whole("g", 1500)), None).await.unwrap_err();
    assert_eq!(refused.reason(), "OwnProcessors", "{refused}");
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
    let agent = agent.killed().await;
    let group = agent.groups.get(&uid("g")).unwrap();
    pass(secs(1)).await;
    assert_eq!(
        processors(&group).as_deref(),
        Some("0"),
        "they are as they were"
    );
    group.stop(None).await.unwrap();
    pass(secs(60)).await;
    assert_eq!(processors(&group), None);
    let shares = run(&agent, sized("shares", 1000)).await;
    assert_eq!(processors(&shares), None);
    shares
        .update(pod(sized("shares", 300)), None)
        .await
        .unwrap();
}
