//! `burstctl run`: output, exit codes and signals.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Bench, done, groups, piped};
use tokio::process::Command;

async fn check(args: &[&str], code: i32, stdout: &str, stderr: &str) -> Bench {
    let bench = Bench::new();
    let done = bench.run(args).await;
    assert_eq!(
        (done.code, done.stdout.as_str(), done.stderr.as_str()),
        (Some(code), stdout, stderr)
    );
    bench
}

async fn signal(pid: Option<u32>, name: &str) {
    let pid = pid.unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn it_exits_as_the_container_does() {
    for code in [0, 7, 137] {
        let image = format!("exits-{code}");
        let bench = check(
            &["run", &image, "-c", "x"],
            code,
            "to stdout\n",
            "to stderr\n",
        )
        .await;
        assert!(bench.agent.seen().deleted.is_empty());
    }
}

#[tokio::test]
async fn rm_removes_the_group() {
    let bench = check(&["run", "--rm", "exits-7"], 7, "to stdout\n", "to stderr\n").await;
    assert_eq!(bench.agent.seen().deleted, [groups::UID]);
}

#[tokio::test]
async fn detached_it_says_the_name_only() {
    let bench = check(&["run", "-d", "exits-7"], 0, "web\n", "").await;
    let seen = bench.agent.seen();
    assert_eq!(seen.manifest.as_ref().unwrap()["kind"], "ContainerGroup");
}

#[tokio::test]
async fn what_cannot_start_leaves_nothing_behind() {
    let bench = check(
        &["run", "no-image"],
        125,
        "",
        "burstctl: ErrImagePull: why\n",
    )
    .await;
    assert_eq!(bench.agent.seen().deleted, [groups::UID]);
    let text = "burstctl: StartError: exec \"x\": No such file or directory\n";
    check(&["run", "no-program"], 127, "", text).await;
}

#[tokio::test]
async fn refusals_name_every_field() {
    let text = "burstctl: create the group: 2 fields are refused\n  \
                spec.containers[0].image: has capitals\n  spec.restartPolicy: is not known\n";
    check(&["run", "REFUSED"], 125, "", text).await;
}

#[tokio::test]
async fn each_run_of_a_restarted_container_is_shown() {
    let (out, err) = ("to stdout\nto stdout\n", "to stderr\nto stderr\n");
    check(&["run", "--restart=on-failure", "twice"], 0, out, err).await;
}

#[tokio::test]
async fn input_goes_in_and_its_end_too() {
    let bench = Bench::new();
    let done = bench.run_with(&["run", "-i", "reads"], b"typed\n").await;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "to stdout\ntyped\n")
    );
}

#[tokio::test]
async fn the_first_signal_goes_to_the_container() {
    let bench = Bench::new();
    let child = piped(bench.command(&["run", "--rm", "runs"]));
    bench
        .agent
        .logs
        .subscribe()
        .wait_for(|count| *count > 0)
        .await
        .unwrap();
    signal(child.id(), "INT").await;
    let done = done(child).await;
    assert_eq!((done.code, *bench.agent.signal.borrow()), (Some(130), 2));
    assert_eq!(bench.agent.seen().deleted, [groups::UID]);
}

#[tokio::test]
async fn the_second_signal_leaves_the_group_alone() {
    let bench = Bench::new();
    // A container that does not mind: the agent that plays it never tells it.
    let child = piped(bench.command(&["run", "--rm", "reads"]));
    bench
        .agent
        .logs
        .subscribe()
        .wait_for(|count| *count > 0)
        .await
        .unwrap();
    signal(child.id(), "INT").await;
    bench
        .agent
        .signal
        .subscribe()
        .wait_for(|signal| *signal != 0)
        .await
        .unwrap();
    signal(child.id(), "INT").await;
    let done = done(child).await;
    assert_eq!(done.code, Some(130));
    assert_eq!(
        done.stderr,
        "burstctl: web goes on; `burstctl rm -f web` ends it\n"
    );
    assert!(bench.agent.seen().deleted.is_empty());
}

#[tokio::test]
async fn a_signal_ends_what_waits_to_be_started_again() {
    let bench = Bench::new();
    let child = piped(bench.command(&["run", "--restart=on-failure", "--rm", "backs-off"]));
    bench
        .agent
        .logs
        .subscribe()
        .wait_for(|count| *count > 0)
        .await
        .unwrap();
    signal(child.id(), "TERM").await;
    let done = done(child).await;
    assert_eq!(done.code, Some(143), "{done:?}");
    let seen = bench.agent.seen();
    assert_eq!(seen.stopped, [groups::UID]);
    assert_eq!(seen.deleted, [groups::UID]);
}

#[tokio::test]
async fn wrong_usage_and_no_agent_are_125() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["run", "--no-such-flag"]).await.code, Some(125));
    assert_eq!(bench.run(&["run", "-t", "exits-0"]).await.code, Some(125));
    assert_eq!(
        bench.run(&["run", "-p", "80", "exits-0"]).await.code,
        Some(125)
    );
    let none = bench.path("none.sock").display().to_string();
    let done = bench.run(&["--address", &none, "run", "exits-0"]).await;
    assert_eq!(done.code, Some(125));
    assert!(
        done.stderr.contains("Is the agent running?"),
        "{}",
        done.stderr
    );
}
