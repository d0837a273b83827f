//! The agent has no descriptors left.

use std::fs;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use burstlet_tests::Agent;
use burstlet_tests::crashing::wait_for;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::super::{agent, group};
use super::{QUICK, survivor};

/// Descriptors that the agent may open beyond those that it has.
const FDS_LEFT: u64 = 6;
/// Clients that come though there is no descriptor for them.
const CLIENTS: usize = 40;
/// The door tells of failures this far apart at least.
const TELLING_PAUSE_S: u64 = 30;
/// What the kernel calls it.
const NO_FDS: &str = "Too many open files";

/// How many descriptors the agent may have beside its own; `None` for as many as this test.
fn limit_descriptors(agent: &Agent, more: Option<u64>) {
    let pid = Pid::from_raw(agent.pid().cast_signed()).unwrap();
    let own = getrlimit(Resource::Nofile);
    let open = fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap();
    let current = match more {
        Some(more) => Some(open.count() as u64 + more),
        None => own.current,
    };
    prlimit(Some(pid), Resource::Nofile, Rlimit { current, ..own }).unwrap();
}

#[test]
fn an_agent_without_descriptors_goes_on_when_there_are_some() {
    let agent = agent();
    let survivor = survivor(&agent);
    let (since, begun) = (agent.log_end(), Instant::now());
    limit_descriptors(&agent, Some(FDS_LEFT));
    let clients: Vec<UnixStream> = (0..CLIENTS)
        .map(|_| UnixStream::connect(agent.socket()).unwrap())
        .collect();
    wait_for("the agent lacks descriptors", || {
        agent.has_logged(since, NO_FDS).then_some(())
    });
    drop(clients);
    limit_descriptors(&agent, None);
    // Whoever waited comes in, and what was not begun can be begun.
    agent
        .client()
        .create("asked", &group("asked", "sleep 1000", QUICK));
    agent.wait_until("asked", "running", |g| g["status"]["phase"] == "Running");
    let told = agent.times_logged(since, "connections are not accepted") as u64;
    let most = 1 + begun.elapsed().as_secs() / TELLING_PAUSE_S;
    assert!((1..=most).contains(&told), "{told}\n{}", agent.log());
    survivor.check(&agent);
    survivor.check_log(&agent);
    agent.ok(&["rm", "-f", "asked"]);
    agent.ok(&["rm", "-f", "survivor"]);
    agent.finish();
}
