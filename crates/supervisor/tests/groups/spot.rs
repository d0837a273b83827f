//! Spot groups make room for groups on demand.

use burstlet_model::MilliCpu;
use burstlet_model::metering::{Close, Event};
use burstlet_model::spec::{GroupSpec, ResourceList, RestartPolicy, Scheduling};
use burstlet_model::status::{Phase, Severity};
use burstlet_supervisor::{Condition, Config, Refusal};
use burstlet_testkit::host::{Fault, OnSignal, RunScript, ScriptedHost};
use burstlet_testkit::spec::{container, group};

use crate::common::{Agent, config, pass, phase, secs, uid, wait};

const ROOM: u64 = 1000;

fn machine() -> Config {
    let mut config = config();
    config.capacity.machine = ResourceList {
        cpu: Some(MilliCpu(ROOM)),
        ..ResourceList::default()
    };
    config
}

/// A group whose container has its name.
fn sized(name: &str, milli: u64) -> GroupSpec {
    let mut own = container(name);
    own.resources.requests.cpu = Some(MilliCpu(milli));
    group(name, vec![own])
}

fn spot(name: &str, milli: u64) -> GroupSpec {
    GroupSpec {
        scheduling: Scheduling::Spot,
        ..sized(name, milli)
    }
}

/// Why the sessions of a group ended, as the ledger was told.
fn closed(host: &ScriptedHost, name: &str) -> Vec<Close> {
    let marks = host.marks(&uid(name));
    let closed = marks.iter().filter_map(|mark| match mark.what {
        Event::Closed(why) => Some(why),
        _ => None,
    });
    closed.collect()
}

#[tokio::test(start_paused = true)]
async fn a_spot_group_leaves_its_room_and_waits_for_it_again() {
    let agent = Agent::on(ScriptedHost::new(), machine());
    let large = agent.create(spot("large", 700)).await;
    let small = agent.create(spot("small", 300)).await;
    wait(&small, Condition::Ready).await;
    let other = agent.create(spot("other", 300)).await;
    assert_eq!(phase(&other), Phase::Queued, "spot makes no room for spot");
    let paying = agent.create(sized("paying", 600)).await;
    wait(&paying, Condition::Ready).await;

    let ended = wait(&large, Condition::Finished).await;
    assert_eq!(ended.status.phase, Phase::Failed);
    assert_eq!(ended.status.reason, "SpotEvicted");
    let mut events = ended.events.iter();
    let told = events.any(|e| e.reason == "SpotEvicted" && e.severity == Severity::Warning);
    assert!(told, "{:?}", ended.events);
    assert_eq!(closed(&agent.host, "large"), [Close::SpotEvicted]);
    assert_eq!(
        phase(&small),
        Phase::Running,
        "it would not have been enough"
    );

    large.start().await.unwrap();
    assert_eq!(phase(&large), Phase::Queued);
    other.delete(None).await.unwrap();
    paying.delete(None).await.unwrap();
    let again = wait(&large, Condition::Ready).await;
    assert_eq!(
        (again.status.phase, &*again.status.reason),
        (Phase::Running, "")
    );
}

#[tokio::test(start_paused = true)]
async fn it_has_its_grace_period_but_not_for_ever() {
    let agent = Agent::on(ScriptedHost::new(), machine());
    let stubborn = || RunScript::forever().on_signal(OnSignal::Ignores);
    for (name, grace, expected) in [("short", 30, 30), ("long", 3600, 120)] {
        agent.host.script(name, [stubborn()]);
        let mut spec = spot(name, ROOM);
        spec.termination_grace_period_s = grace;
        let cheap = agent.create(spec).await;
        wait(&cheap, Condition::Ready).await;
        let paying = agent.create(sized("paying", ROOM)).await;
        let asked = agent.now();
        pass(secs(1)).await;
        let status = cheap.snapshot().status.clone();
        assert_eq!(
            (status.phase, &*status.reason),
            (Phase::Running, "SpotEvicted")
        );
        let refused = cheap.restart(None).await.unwrap_err();
        assert!(matches!(refused, Refusal::WrongPhase { .. }), "{refused}");
        wait(&paying, Condition::Ready).await;
        assert_eq!(agent.now().since(asked), secs(expected));
        assert_eq!(cheap.snapshot().status.reason, "SpotEvicted");
        assert_eq!(phase(&cheap), Phase::Failed);
        paying.delete(None).await.unwrap();
        wait(&paying, Condition::Deleted).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_agent_goes_on_with_it() {
    let agent = Agent::on(ScriptedHost::new(), machine());
    let stubborn = RunScript::forever().on_signal(OnSignal::Ignores);
    agent.host.script("cheap", [stubborn]);
    let cheap = agent.create(spot("cheap", 500)).await;
    let stays = agent.create(spot("stays", 500)).await;
    wait(&cheap, Condition::Ready).await;
    wait(&stays, Condition::Ready).await;
    stays.stop(None).await.unwrap();
    wait(&stays, Condition::AtRest).await;
    let holds = agent.create(sized("holds", 500)).await;
    wait(&holds, Condition::Ready).await;
    agent.create(sized("paying", 500)).await;
    pass(secs(2)).await;
    assert_eq!(cheap.snapshot().status.reason, "SpotEvicted");

    let agent = Agent::on(agent.die().await, machine());
    agent.groups.adopted().await;
    let get = |name: &str| agent.groups.get(&uid(name)).unwrap();
    wait(&get("paying"), Condition::Ready).await;
    assert_eq!(phase(&get("cheap")), Phase::Failed);
    assert_eq!(closed(&agent.host, "cheap"), [Close::SpotEvicted]);
    assert_eq!(phase(&get("holds")), Phase::Running);
}

#[tokio::test(start_paused = true)]
async fn the_next_agent_gives_it_no_more_time() {
    let agent = Agent::on(ScriptedHost::new(), machine());
    let stubborn = RunScript::forever().on_signal(OnSignal::Ignores);
    agent.host.script("cheap", [stubborn]);
    let mut spec = spot("cheap", ROOM);
    spec.termination_grace_period_s = 60;
    let cheap = agent.create(spec).await;
    wait(&cheap, Condition::Ready).await;
    agent.create(sized("paying", ROOM)).await;
    let asked = agent.now();
    pass(secs(20)).await;
    let agent = Agent::on(agent.die().await, machine());
    pass(secs(20)).await;
    let agent = Agent::on(agent.die().await, machine());
    agent.groups.adopted().await;
    let paying = agent.groups.get(&uid("paying")).unwrap();
    wait(&paying, Condition::Ready).await;
    assert_eq!(agent.now().since(asked), secs(60));
    assert_eq!(closed(&agent.host, "cheap"), [Close::SpotEvicted]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_in_who_only_waits_for_its_end() {
    let mut full = machine();
    full.capacity.waiting_max = 1;
    let agent = Agent::on(ScriptedHost::new(), full);
    let cheap = agent.create(spot("cheap", ROOM)).await;
    wait(&cheap, Condition::Ready).await;
    agent.create(spot("waits", ROOM)).await;
    let paying = agent.create(sized("paying", ROOM)).await;
    for late in [spot("late", ROOM), sized("late", ROOM)] {
        let refused = agent.try_create(late).await.unwrap_err();
        assert!(matches!(refused, Refusal::QueueFull { .. }), "{refused}");
    }
    wait(&paying, Condition::Ready).await;
    assert_eq!(closed(&agent.host, "cheap"), [Close::SpotEvicted]);
}

/// A spot group that is taken over loses its room like any other.
#[tokio::test(start_paused = true)]
async fn one_that_was_taken_over_leaves_its_room_too() {
    let agent = Agent::on(ScriptedHost::new(), machine());
    let cheap = agent.create(spot("cheap", ROOM)).await;
    wait(&cheap, Condition::Ready).await;
    pass(secs(1)).await;
    let agent = Agent::on(agent.die().await, machine());
    agent.groups.adopted().await;
    let paying = agent.create(sized("paying", 1)).await;
    wait(&paying, Condition::Ready).await;
    assert_eq!(closed(&agent.host, "cheap"), [Close::SpotEvicted]);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_started_again_leaves_its_room_too() {
    let agent = Agent::on(ScriptedHost::new(), machine());
    let slow = RunScript::forever().on_signal(OnSignal::EndsAfter(secs(8)));
    agent.host.script("again", [slow]);
    let again = agent.create(spot("again", ROOM)).await;
    wait(&again, Condition::Ready).await;
    again.restart(None).await.unwrap();
    pass(secs(1)).await;
    assert_eq!(phase(&again), Phase::Stopping);
    let paying = agent.create(sized("paying", ROOM)).await;
    wait(&paying, Condition::Ready).await;
    assert_eq!(phase(&again), Phase::Failed);
    assert_eq!(again.snapshot().status.reason, "SpotEvicted");
    assert_eq!(closed(&agent.host, "again"), [Close::SpotEvicted]);
}

/// A session that is over is not ended: a job that was done in its grace period has succeeded all the
/// same, if it was done before.
#[tokio::test(start_paused = true)]
async fn an_end_of_its_own_stays_one() {
    let agent = Agent::on(ScriptedHost::new(), machine());
    agent.host.script("job", [RunScript::ends(secs(5), 0)]);
    agent
        .host
        .plan("destroy_sandbox", 1, Fault::Takes(secs(60)));
    let mut job = spot("job", ROOM);
    job.restart_policy = RestartPolicy::Never;
    let job = agent.create(job).await;
    pass(secs(10)).await;
    // It is done, and still has its room.
    let paying = agent.create(sized("paying", ROOM)).await;
    wait(&paying, Condition::Ready).await;
    assert_eq!(phase(&job), Phase::Succeeded);
    assert_eq!(closed(&agent.host, "job"), [Close::Succeeded]);
}
