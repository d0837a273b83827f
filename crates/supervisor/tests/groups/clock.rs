//! Somebody sets the wall clock: nothing is done that would not have been done, and at no other time.

use std::time::Duration;

use burstlet_model::status::Phase;
use burstlet_supervisor::Condition;
use burstlet_testkit::host::RunScript;
use burstlet_testkit::spec::{container, group};

use crate::common::{Agent, events, pass, phase, secs, state, uid, wait};

const YEAR_NS: i64 = 365 * 24 * 3600 * 1_000_000_000;

/// What was seen of a group's life.
#[derive(Debug, PartialEq)]
struct Life {
    states: Vec<String>,
    events: Vec<String>,
    length: Duration,
    calls: String,
    groups_left: usize,
}

/// A group that fails a few times, sees its agent die, and ends by its deadline, while the clock is set
/// now and then.
async fn live(step_ns: i64) -> Life {
    let agent = Agent::start();
    let mut runs = vec![RunScript::ends(secs(3), 1); 4];
    runs.push(RunScript::forever());
    agent.host.script("web", runs);
    let mut spec = group("g", vec![container("web")]);
    spec.active_deadline_s = Some(600);
    spec.ttl_after_finished_s = Some(120);
    let group = agent.create(spec).await;
    let mut states = Vec::new();
    for _ in 0..8 {
        pass(secs(7)).await;
        agent.host.step_clock(step_ns);
        states.push(state(&group, "web"));
    }
    let agent = agent.killed().await;
    agent.host.step_clock(-12 * step_ns);
    pass(secs(300)).await;
    let group = agent.groups.get(&uid("g")).unwrap();
    states.push(state(&group, "web"));
    assert_eq!(phase(&group), Phase::Running);
    let ended = wait(&group, Condition::Finished).await;
    assert_eq!(ended.status.phase, Phase::Failed);
    let length = ended.status.sessions[0].length(agent.now());
    let events = events(&group);
    agent.host.step_clock(step_ns);
    pass(secs(60)).await;
    assert!(agent.groups.get(&uid("g")).is_ok(), "it went too early");
    pass(secs(90)).await;
    Life {
        states,
        events,
        length,
        calls: agent.host.calls(),
        groups_left: agent.groups.list().groups.len(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_changes_nothing() {
    let untouched = live(0).await;
    assert_eq!(untouched.length, secs(600));
    assert_eq!(untouched.groups_left, 0);
    for step_ns in [YEAR_NS, -YEAR_NS] {
        assert_eq!(live(step_ns).await, untouched);
    }
}
