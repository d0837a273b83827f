//! Room is waited for, in order.

use burstlet_model::spec::{GroupSpec, ResourceList};
use burstlet_model::status::Phase;
use burstlet_model::{Bytes, MilliCpu};
use burstlet_supervisor::{Condition, Config, Refusal};
use burstlet_testkit::host::{RunScript, ScriptedHost};
use burstlet_testkit::spec::{container, group};

use crate::common::{Agent, config, pass, phase, secs, uid, wait};

fn cpu(milli: u64) -> ResourceList {
    ResourceList {
        cpu: Some(MilliCpu(milli)),
        ..ResourceList::default()
    }
}

fn one_core() -> Config {
    let mut config = config();
    config.capacity.machine = ResourceList {
        memory: Some(Bytes(1 << 30)),
        ..cpu(1500)
    };
    config.capacity.reserved = cpu(500);
    config
}

fn sized(name: &str, milli: u64) -> GroupSpec {
    let mut web = container("web");
    web.resources.requests = cpu(milli);
    group(name, vec![web])
}

#[tokio::test(start_paused = true)]
async fn a_group_waits_and_starts_when_there_is_room() {
    let agent = Agent::on(ScriptedHost::new(), one_core());
    let first = agent.create(sized("first", 800)).await;
    let second = agent.create(sized("second", 800)).await;
    let mut urgent = sized("urgent", 900);
    urgent.priority = 10;
    let urgent = agent.create(urgent).await;
    let full = agent.try_create(sized("more", 300)).await.unwrap_err();
    assert!(matches!(full, Refusal::QueueFull { .. }));
    assert!(agent.groups.get(&uid("more")).is_err());
    pass(secs(1)).await;

    let status = second.snapshot().status.clone();
    assert_eq!(
        (status.phase, status.queue_position),
        (Phase::Queued, Some(2))
    );
    assert_eq!(status.reason, "OutOfcpu");
    assert_eq!(status.message, "waits for cpu: 800m requested, 200m free");
    assert_eq!(status.sessions.len(), 0, "waiting is free");
    let room = agent.groups.room();
    assert_eq!((room.admitted, room.waiting), (1, 2));

    first.stop(None).await.unwrap();
    wait(&urgent, Condition::Ready).await;
    assert_eq!(second.snapshot().status.queue_position, Some(1));
    urgent.delete(None).await.unwrap();
    wait(&second, Condition::Ready).await;
    assert_eq!(second.snapshot().status.queue_position, None);

    let queued = first.start().await.unwrap();
    assert_eq!(queued.status.phase, Phase::Queued);
    let stopped = first.stop(None).await.unwrap();
    assert_eq!(stopped.status.phase, Phase::Stopped);
    assert_eq!(agent.groups.room().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_finished_group_frees_its_room_and_a_giant_only_waits() {
    let agent = Agent::on(ScriptedHost::new(), one_core());
    agent.host.script("web", [RunScript::ends(secs(5), 0)]);
    let giant = agent.create(sized("giant", 5000)).await;
    let mut spec = sized("job", 1000);
    spec.restart_policy = burstlet_model::spec::RestartPolicy::Never;
    let job = agent.create(spec).await;
    let next = agent.create(sized("next", 1000)).await;
    assert_eq!(phase(&next), Phase::Queued);
    wait(&job, Condition::Finished).await;
    wait(&next, Condition::Started).await;
    let status = &giant.snapshot().status;
    assert_eq!(status.phase, Phase::Queued);
    assert!(
        status
            .message
            .contains("more cpu than this machine can give"),
        "{}",
        status.message
    );
    giant.delete(None).await.unwrap();
    wait(&giant, Condition::Deleted).await;
}

#[tokio::test(start_paused = true)]
async fn places_in_the_queue_outlive_the_agent() {
    let agent = Agent::on(ScriptedHost::new(), one_core());
    let first = agent.create(sized("first", 1000)).await;
    wait(&first, Condition::Ready).await;
    pass(secs(1)).await;
    agent.create(sized("second", 1000)).await;
    pass(secs(1)).await;
    agent.create(sized("a-third", 1000)).await;
    let mut smaller = one_core();
    smaller.capacity.machine = cpu(600);
    smaller.capacity.waiting_max = 0;
    let agent = Agent::on(agent.die().await, smaller);
    agent.groups.adopted().await;
    let get = |name: &str| agent.groups.get(&uid(name)).unwrap();
    assert_eq!(
        phase(&get("first")),
        Phase::Running,
        "who runs is not stopped"
    );
    assert_eq!(get("second").snapshot().status.queue_position, Some(1));
    assert_eq!(get("a-third").snapshot().status.queue_position, Some(2));
}

/// Many groups at once are set up a few at a time, in order.
#[tokio::test(start_paused = true)]
async fn a_burst_is_launched_in_order() {
    let agent = Agent::start();
    agent.host.plan(
        "create_sandbox",
        u32::MAX,
        burstlet_testkit::host::Fault::Takes(secs(1)),
    );
    let mut groups = Vec::new();
    for n in 0..12 {
        groups.push(
            agent
                .create(group(&format!("g{n:02}"), vec![container("web")]))
                .await,
        );
    }
    for group in &groups {
        wait(group, Condition::Ready).await;
    }
    let calls = agent.host.calls();
    let made = calls.lines().filter(|line| line.contains("create_sandbox"));
    let made: Vec<_> = made.collect();
    let names: Vec<_> = made
        .iter()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!(
        made[3].starts_with("   0.000") && made[4].starts_with("   1.000"),
        "{made:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_not_let_in_before_those_who_run_are_counted_again() {
    let agent = Agent::on(ScriptedHost::new(), one_core());
    let first = agent.create(sized("first", 1000)).await;
    wait(&first, Condition::Ready).await;
    pass(secs(1)).await;
    agent.create(sized("older", 1000)).await;
    pass(secs(1)).await;
    let mut urgent = sized("urgent", 1000);
    urgent.priority = 10;
    let urgent = agent.create(urgent).await;
    first.stop(None).await.unwrap();
    wait(&urgent, Condition::Ready).await;

    let agent = Agent::on(agent.die().await, one_core());
    agent.groups.adopted().await;
    pass(secs(1)).await;
    let older = agent.groups.get(&uid("older")).unwrap();
    assert_eq!(phase(&older), Phase::Queued);
    let room = agent.groups.room();
    assert_eq!((room.admitted, room.waiting), (1, 1));
}
