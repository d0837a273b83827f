//! The agent has no memory left, and the kernel kills it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use burstlet_tests::Agent;
use burstlet_tests::crashing::wait_for;

use super::super::{agent, create, group};
use super::{QUICK, assert_works, survivor};

/// What the agent may take beyond what it has: less than one request needs.
const BYTES_LEFT: &str = "1048576";
/// Bytes of a request, nearly as many as the API takes.
const REQUEST_BYTES: usize = 3 << 20;

/// The names of what differs between the versions.
struct Files {
    limit: &'static str,
    swap: (&'static str, &'static str),
    events: &'static str,
}

const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    swap: ("memory.swappiness", "0"),
    events: "memory.oom_control",
};
const V2: Files = Files {
    limit: "memory.max",
    swap: ("memory.swap.max", "0"),
    events: "memory.events",
};

/// A cgroup for one process. What the process has already is counted elsewhere.
struct Cage {
    dir: PathBuf,
    files: Files,
}

impl Cage {
    fn around(pid: u32) -> Self {
        let old = Path::new("/sys/fs/cgroup/memory");
        let (root, files) = match old.exists() {
            true => (old, V1),
            false => (Path::new("/sys/fs/cgroup"), V2),
        };
        let dir = root.join(format!("burstlet-test-cage-{pid}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(files.limit), BYTES_LEFT).unwrap();
        let (swap, none) = files.swap;
        // Not every host has swap to be kept from.
        let _ = fs::write(dir.join(swap), none);
        fs::write(dir.join("cgroup.procs"), pid.to_string()).unwrap();
        Self { dir, files }
    }

    /// How many the kernel has killed in it for want of memory.
    fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.dir.join(self.files.events)).unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.unwrap().parse().unwrap()
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // It is empty; one that is not shows as a leak.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Asks for a group with a long script until the agent has ended.
fn ask_until_it_ends(agent: &mut Agent, name: &str) -> ExitStatus {
    let script = format!("sleep 1000 # {}", "x".repeat(REQUEST_BYTES));
    let text = group(name, &script, QUICK);
    let client = agent.client();
    wait_for("the agent ends", || {
        let _ = client.once(&["create", "-f", "-"], text.as_bytes());
        agent.ended()
    })
}

#[test]
fn an_agent_that_is_killed_for_want_of_memory_leaves_all_to_the_next() {
    let mut agent = agent();
    let survivor = survivor(&agent);
    create(&agent, "owed", "sleep 1000", QUICK);
    let cage = Cage::around(agent.pid());
    let ended = ask_until_it_ends(&mut agent, "large");
    assert_eq!(ended.signal(), Some(9), "{ended}");
    assert!(cage.kills() > 0, "somebody else killed it");
    drop(cage);
    agent.launch();
    survivor.check(&agent);
    survivor.check_log(&agent);
    agent.wait_until("owed", "running", |g| g["status"]["phase"] == "Running");
    assert_works(&agent, "welcome");
    agent.ok(&["ledger", "verify"]);
    agent.client().remove("large");
    agent.ok(&["rm", "-f", "owed", "survivor"]);
    agent.finish();
}
