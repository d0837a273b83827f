//! From a request to a running group, and to its end.
use crate::common::{Agent, error, phase, secs, state, wait};
use burstlet_model::spec::RestartPolicy;
use burstlet_model::status::Phase;
use burstlet_supervisor::Condition;
use burstlet_testkit::host::{Fault, RunScript};
use burstlet_testkit::spec::{container, group};

#[tokio::test(start_paused = true)]
async fn a_group_runs_and_ends() {
    let agent = Agent::start();
    agent.host.script("job", [RunScript::ends(secs(5), 0)]);
    let mut spec = group("g", vec![container("job")]);
    spec.restart_policy = RestartPolicy::Never;
    let job = agent.create(spec).await;
    let running = wait(&job, Condition::Ready).await;
    assert_eq!(running.status.phase, Phase::Running);
    assert!(running.status.timeline.ready.is_some());
    let done = wait(&job, Condition::Finished).await;
    assert_eq!(done.status.phase, Phase::Succeeded);
    assert_eq!(state(&job, "job"), "Completed:0#0");
    let sessions = &done.status.sessions;
    assert_eq!(sessions.len(), 1);
    assert_eq!(
        sessions[0].closed.unwrap().since(sessions[0].opened),
        secs(5)
    );
    insta::assert_snapshot!(agent.host.calls());

    job.delete(None).await.unwrap();
    wait(&job, Condition::Deleted).await;
    assert!(agent.host.is_clean());
    assert!(agent.groups.get(job.uid()).is_err());
    assert!(agent.groups.list().groups.is_empty());
}
