//! Probes gate, restart and take out of service.

use burstlet_model::spec::ContainerSpec;
use burstlet_model::status::Phase;
use burstlet_supervisor::Condition;
use burstlet_supervisor::host::ProbeResult::{self, Failure, Success};
use burstlet_testkit::host::{Fault, OnSignal, RunScript};
use burstlet_testkit::spec::{container, group, probe};

use crate::common::{Agent, error, events, pass, secs, state, wait};

fn bad() -> ProbeResult {
    Failure("no answer".to_owned())
}

fn is_ready(group: &burstlet_supervisor::GroupHandle) -> bool {
    group.snapshot().status.ready
}

fn web() -> ContainerSpec {
    container("web")
}

#[tokio::test(start_paused = true)]
async fn a_dead_container_is_restarted_with_the_probes_own_grace() {
    let agent = Agent::start();
    agent
        .host
        .probes("web", [Success, bad(), bad(), bad(), Success]);
    let stubborn = RunScript::forever().on_signal(OnSignal::Ignores);
    agent.host.script("web", [stubborn]);
    let mut web = web();
    let mut liveness = probe("alive");
    liveness.initial_delay_s = 5;
    liveness.termination_grace_period_s = Some(3);
    web.liveness_probe = Some(liveness);
    let group = agent.create(group("g", vec![web])).await;
    pass(secs(60)).await;
    assert_eq!(state(&group, "web"), "Running#1");
    assert!(events(&group).contains(&"Unhealthy×3".to_owned()));
    insta::assert_snapshot!(agent.host.calls());
}

/// A try that is worth a warning is a success, and told of.
#[tokio::test(start_paused = true)]
async fn a_warning_is_told_and_counts_as_success() {
    let agent = Agent::start();
    let warning = || ProbeResult::Warning("it leads elsewhere".to_owned());
    let results = [bad(), warning(), warning(), Success];
    agent.host.probes("web", results);
    let mut web = web();
    web.readiness_probe = Some(probe("ready"));
    let group = agent.create(group("g", vec![web])).await;
    pass(secs(60)).await;
    assert!(is_ready(&group));
    assert!(events(&group).contains(&"ProbeWarning×2".to_owned()));
    let counts = agent.groups.probe_counts(group.uid());
    let ready = counts
        .iter()
        .find(|count| count.kind == "Readiness")
        .unwrap();
    assert_eq!(ready.failed, 1);
    assert!(ready.successful >= 2);
}

#[tokio::test(start_paused = true)]
async fn the_startup_probe_gates_the_others() {
    let agent = Agent::start();
    agent.host.probes("web up", [bad(), bad(), Success]);
    let mut web = web();
    web.startup_probe = Some(probe("up"));
    web.liveness_probe = Some(probe("alive"));
    web.readiness_probe = Some(probe("ready"));
    let group = agent.create(group("g", vec![web])).await;
    pass(secs(15)).await;
    assert_eq!(agent.host.count("probe g/web alive"), 0);
    assert!(!group.snapshot().status.container("web").unwrap().started);
    pass(secs(20)).await;
    assert!(is_ready(&group));
    let counts = agent.groups.probe_counts(group.uid());
    let startup = counts.iter().find(|count| count.kind == "Startup").unwrap();
    assert_eq!((startup.failed, startup.successful), (2, 1));
    assert!(counts.iter().all(|count| count.unknown == 0));
    assert_eq!(counts.len(), 3, "{counts:?}");
    insta::assert_snapshot!(agent.host.calls());
}

#[tokio::test(start_paused = true)]
async fn readiness_comes_and_goes_without_a_restart() {
    let agent = Agent::start();
    let results = [bad(), Success, bad(), bad(), bad(), Success];
    agent.host.probes("web", results);
    let mut web = web();
    web.readiness_probe = Some(probe("ready"));
    let group = agent.create(group("g", vec![web])).await;
    pass(secs(5)).await;
    assert!(!is_ready(&group));
    pass(secs(10)).await;
    assert!(is_ready(&group), "one success is enough");
    pass(secs(20)).await;
    assert!(is_ready(&group), "two failures are not");
    pass(secs(10)).await;
    assert!(!is_ready(&group));
    pass(secs(10)).await;
    assert!(is_ready(&group));
    assert_eq!(state(&group, "web"), "Running#0");
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_fails_is_no_failed_probe() {
    let agent = Agent::start();
    let mut web = web();
    web.liveness_probe = Some(probe("alive"));
    agent
        .host
        .plan("probe", 40, Fault::Fails(error("ProbeFailed")));
    let group = agent.create(group("g", vec![web])).await;
    pass(secs(95)).await;
    assert_eq!(state(&group, "web"), "Running#0");
    assert_eq!(agent.host.count("probe"), 40, "four tries each period");
}

#[tokio::test(start_paused = true)]
async fn who_ends_is_not_probed_to_death() {
    let agent = Agent::start();
    agent.host.probes("web", [Success, bad()]);
    let slow = RunScript::forever().on_signal(OnSignal::EndsAfter(secs(300)));
    agent.host.script("web", [slow]);
    let mut web = web();
    web.liveness_probe = Some(probe("alive"));
    let group = agent.create(group("g", vec![web])).await;
    wait(&group, Condition::Ready).await;
    pass(secs(5)).await;
    group.stop(Some(secs(600))).await.unwrap();
    let stopped = wait(&group, Condition::AtRest).await;
    assert_eq!(stopped.status.phase, Phase::Stopped);
    assert_eq!(agent.host.count("probe"), 1);
    assert_eq!(agent.host.count("kill"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_nodes_own_load_kills_nobody_at_once() {
    let agent = Agent::start();
    let results = [Success, bad(), bad(), bad(), bad(), bad(), Success];
    agent.host.probes("web", results);
    let mut web = web();
    let mut liveness = probe("alive");
    liveness.failure_threshold = 1;
    web.liveness_probe = Some(liveness);
    let victim = agent.create(group("g", vec![web])).await;
    wait(&victim, Condition::Ready).await;
    agent.host.plan("create_sandbox", 8, Fault::Takes(secs(24)));
    for n in 0..8 {
        agent
            .create(group(&format!("burst-{n}"), vec![container("db")]))
            .await;
    }
    pass(secs(45)).await;
    assert_eq!(
        state(&victim, "web"),
        "Running#0",
        "four failed tries in a crowd"
    );
    pass(secs(20)).await;
    assert_eq!(state(&victim, "web"), "Running#1", "one failed try without");
}
