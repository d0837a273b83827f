//! The agent, the launcher or a keeper has no descriptors left.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use burstlet_tests::crashing::wait_for;
use burstlet_tests::{Agent, ticks};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::super::crash::keeper_of;
use super::super::{agent, group, state};
use super::{QUICK, survivor};

/// Descriptors that the agent may open beyond those that it has.
const FDS_LEFT: u64 = 6;
/// Clients that come though there is no descriptor for them.
const CLIENTS: usize = 40;
/// The door tells of failures this far apart at least.
const TELLING_PAUSE_S: u64 = 30;
/// What the kernel calls it.
const NO_FDS: &str = "Too many open files";
/// The same in words of any C library.
const NO_FDS_NUMBER: &str = "os error 24";
/// How long somebody is watched who has nothing to do but wait for descriptors.
const WATCHED: Duration = Duration::from_secs(2);
/// Processor time that he may take meanwhile, in ticks of 10 ms.
const TICKS_MAX: u64 = 20;

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

/// Takes from a process that it may open any more. Gives what it may open otherwise.
fn take_descriptors(pid: u32) -> Rlimit {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let open: Vec<u64> = numbers.collect();
    let lowest_free = (0..).find(|number| !open.contains(number));
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = lowest_free;
    set_descriptors(pid, Rlimit { current, maximum })
}

fn set_descriptors(pid: u32, limit: Rlimit) -> Rlimit {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    prlimit(Some(pid), Resource::Nofile, limit).unwrap()
}

/// It has said in the launcher's log that it lacks descriptors, and then waits without being busy.
fn assert_waits(agent: &Agent, pid: u32, who: &str) {
    let log = agent.scratch().join("run/launcher.log");
    let told = format!("{who}: take a connection: ");
    wait_for("it lacks descriptors", || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        let mut lines = log.lines();
        let is_told = |line: &str| line.starts_with(&told) && line.contains(NO_FDS_NUMBER);
        lines.any(is_told).then_some(())
    });
    let before = ticks(pid);
    std::thread::sleep(WATCHED);
    let taken = ticks(pid) - before;
    assert!(taken <= TICKS_MAX, "{who} was busy for {taken} ticks");
}

#[test]
fn a_launcher_without_descriptors_waits_for_some() {
    let agent = agent();
    let survivor = survivor(&agent);
    let launcher = agent.launcher();
    let limit = take_descriptors(launcher);
    let client = agent.client();
    client.create("asked", &group("asked", "sleep 1000", QUICK));
    assert_waits(&agent, launcher, "burstlet-launcher");
    assert_ne!(agent.group("asked")["status"]["phase"], "Running");
    set_descriptors(launcher, limit);
    agent.wait_until("asked", "running", |g| g["status"]["phase"] == "Running");
    assert_eq!(agent.launcher(), launcher);
    survivor.check(&agent);
    agent.ok(&["rm", "-f", "asked", "survivor"]);
    agent.finish();
}

#[test]
fn a_launcher_that_cannot_answer_is_uninstalled() {
    let rests: fn(&Agent) = |agent| {
        let launcher = agent.launcher();
        take_descriptors(launcher);
        let client = come_to(&agent.scratch().join("run/launcher.sock"));
        assert_waits(agent, launcher, "burstlet-launcher");
        drop(client);
    };
    let is_stopped: fn(&Agent) = |agent| {
        let launcher = nix::unistd::Pid::from_raw(agent.launcher().cast_signed());
        kill(launcher, Signal::SIGSTOP).unwrap();
    };
    for cannot_answer in [rests, is_stopped] {
        let agent = agent();
        survivor(&agent);
        cannot_answer(&agent);
        agent.finish();
    }
}

/// A client of a launcher or keeper that says nothing.
fn come_to(socket_path: &Path) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let client = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    connect(client.as_raw_fd(), &UnixAddr::new(socket_path).unwrap()).unwrap();
    client
}

#[test]
fn a_keeper_without_descriptors_waits_for_some() {
    let agent = agent();
    let survivor = survivor(&agent);
    let running = agent.group("survivor");
    let uid = running["metadata"]["uid"].as_str().unwrap();
    let keeper = keeper_of(state(&running)["running"]["pid"].as_u64().unwrap());
    let limit = take_descriptors(keeper);
    let since = agent.log_end();
    let client = come_to(&agent.scratch().join(format!("run/keepers/{uid}.sock")));
    assert_waits(&agent, keeper, &format!("keep group {uid}"));
    set_descriptors(keeper, limit);
    // Whoever comes takes the agent's place, which then comes again.
    wait_for("the client was let in, and the agent after it", || {
        agent
            .has_logged(since, "connected to the keeper again")
            .then_some(())
    });
    drop(client);
    survivor.check(&agent);
    survivor.check_log(&agent);
    agent.ok(&["rm", "-f", "survivor"]);
    agent.finish();
}
