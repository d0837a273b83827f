//! Containers from their start to their end.

use burstlet_sandbox::client::ClientError;
use burstlet_sandbox::protocol::FailureClass;

use crate::harness::{Node, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_runs_and_its_end_is_told() {
    let node = Node::new();
    let mut group = node.create(node.group_plan("run-1")).await;
    let plan = node.container(&group, "a", &["sh", "-c", "echo out; echo err >&2; exit 7"]);
    let (exit, log) = group.run_to_end(plan).await;
    assert_eq!((exit.code, exit.signal), (Some(7), None));
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "out"]);
    assert!(exit.finished.boot > exit.started.boot);
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_is_said_to_be_missing() {
    let node = Node::new();
    let group = node.create(node.group_plan("run-2")).await;
    for (program, class) in [
        ("no-such-program", FailureClass::CommandNotFound),
        ("/no/such/program", FailureClass::CommandNotFound),
        ("/bin/not-executable", FailureClass::CommandNotExecutable),
    ] {
        let error = within(
            group
                .link
                .keeper
                .run(node.container(&group, "a", &[program])),
        )
        .await;
        let Err(ClientError::Refused(failure)) = error else {
            panic!("{program} cannot run")
        };
        assert_eq!(failure.class, class, "{failure}");
        assert!(failure.message.contains(program), "{failure}");
    }
    node.finish(vec![group]).await;
}
