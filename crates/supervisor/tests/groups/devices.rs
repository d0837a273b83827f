//! Devices are a group's own from its start to its end, whatever becomes of the agent.

use burstlet_model::Device;
use burstlet_model::spec::{GroupSpec, RestartPolicy};
use burstlet_model::status::Phase;
use burstlet_supervisor::{Condition, Config, GroupHandle};
use burstlet_testkit::host::{Fault, RunScript, ScriptedHost};
use burstlet_testkit::spec::{container, group};

use crate::common::{Agent, config, error, pass, phase, secs, uid, wait};

/// A machine with these devices.
fn machine(nodes: &[&str]) -> Config {
    let devices = nodes.iter().map(|node| Device {
        nodes: vec![node.into()],
    });
    let mut config = config();
    let resource = "example.com/gpu".parse().unwrap();
    config.capacity.devices.insert(resource, devices.collect());
    config
}

/// A group whose containers, named by it and a number, have so many devices.
fn with_gpus(name: &str, counts: &[u32]) -> GroupSpec {
    let containers = (0..).zip(counts).map(|(index, count)| {
        let mut own = container(&format!("{name}-{index}"));
        own.devices = *count;
        own
    });
    let mut spec = group(name, containers.collect());
    spec.device_resource = Some("example.com/gpu".parse().unwrap());
    spec
}

/// The nodes that a group's status shows.
fn leased(group: &GroupHandle) -> Vec<String> {
    let snapshot = group.snapshot();
    let lease = snapshot.status.lease.iter();
    let nodes = lease.flat_map(|lease| lease.devices.iter().flat_map(|device| &device.nodes));
    nodes.map(|node| node.display().to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn each_container_has_devices_of_its_own_until_the_group_ends() {
    let agent = Agent::on(
        ScriptedHost::new(),
        machine(&["/dev/g0", "/dev/g1", "/dev/g2"]),
    );
    let first = agent.create(with_gpus("first", &[1, 0, 2])).await;
    wait(&first, Condition::Ready).await;
    let next = agent.create(with_gpus("next", &[1])).await;
    assert_eq!(leased(&first), ["/dev/g0", "/dev/g1", "/dev/g2"]);
    assert_eq!(next.snapshot().status.reason, "OutOfexample.com/gpu");
    assert_eq!(leased(&next), [""; 0]);
    for start in [
        "start first/first-0#0 with /dev/g0",
        "start first/first-1#0",
        "start first/first-2#0 with /dev/g1 with /dev/g2",
    ] {
        let calls = agent.host.calls();
        assert!(calls.lines().any(|line| line.ends_with(start)), "{calls}");
    }
    first.stop(None).await.unwrap();
    wait(&next, Condition::Ready).await;
    assert_eq!(leased(&first), [""; 0]);
    assert_eq!(leased(&next), ["/dev/g0"]);
}

#[tokio::test(start_paused = true)]
async fn who_runs_keeps_his_devices_over_the_agents_death() {
    let agent = Agent::on(ScriptedHost::new(), machine(&["/dev/g0", "/dev/g1"]));
    // The older of both waits, so that it asks for room before the other one tells of its own.
    let large = agent.create(with_gpus("large", &[2])).await;
    wait(&large, Condition::Ready).await;
    pass(secs(1)).await;
    agent.create(with_gpus("waits", &[2])).await;
    pass(secs(1)).await;
    let mut urgent = with_gpus("urgent", &[1]);
    urgent.priority = 9;
    let urgent = agent.create(urgent).await;
    large.stop(None).await.unwrap();
    wait(&urgent, Condition::Ready).await;
    assert_eq!(leased(&urgent), ["/dev/g0"]);

    let agent = Agent::on(agent.die().await, machine(&["/dev/g1", "/dev/g0"]));
    agent.groups.adopted().await;
    let get = |name: &str| agent.groups.get(&uid(name)).unwrap();
    assert_eq!(leased(&get("urgent")), ["/dev/g0"]);
    assert_eq!(phase(&get("waits")), Phase::Queued);
    let other = agent.create(with_gpus("other", &[0])).await;
    wait(&other, Condition::Ready).await;
    get("urgent").delete(None).await.unwrap();
    wait(&get("waits"), Condition::Ready).await;
    assert_eq!(leased(&get("waits")), ["/dev/g1", "/dev/g0"]);
}

#[tokio::test(start_paused = true)]
async fn devices_are_lent_again_only_once_it_is_written_down_that_they_are_free() {
    let agent = Agent::on(ScriptedHost::new(), machine(&["/dev/g0"]));
    agent.host.script("job-0", [RunScript::ends(secs(5), 0)]);
    let mut job = with_gpus("job", &[1]);
    job.restart_policy = RestartPolicy::Never;
    let job = agent.create(job).await;
    wait(&job, Condition::Ready).await;
    let next = agent.create(with_gpus("next", &[1])).await;
    pass(secs(1)).await;
    agent
        .host
        .plan("save job", u32::MAX, Fault::Fails(error("DiskFull")));
    pass(secs(600)).await;
    assert_eq!(phase(&next), Phase::Queued);
    agent.host.heal();
    wait(&next, Condition::Ready).await;
    assert_eq!(phase(&job), Phase::Succeeded);
    assert_eq!(leased(&next), ["/dev/g0"]);
}
