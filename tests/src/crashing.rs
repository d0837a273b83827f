//! What tests that kill the agent share: a group that must not notice, a client that goes on when
//! nobody answers, and a list of all that the agent holds.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use burstlet_testkit::leak::HostState;
use serde_json::Value;

use crate::{Agent, Outcome, PATIENCE, command};

/// Between two tries of what has to be waited for.
const PAUSE: Duration = Duration::from_millis(20);
/// The same where each try starts a program: those who wait must not take the processors from what
/// they wait for.
const CLIENT_PAUSE: Duration = Duration::from_millis(100);

/// A value from the environment, for runs that are longer than the usual ones.
#[must_use]
pub fn number_from(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

/// Numbers that look random and are the same for the same seed.
pub struct Dice(u64);

impl Dice {
    /// From `BURSTLET_TEST_SEED`, or the time. The seed is printed, for a run that is repeated.
    #[must_use]
    pub fn seeded() -> Self {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        let seed = number_from("BURSTLET_TEST_SEED", since.as_secs());
        println!("BURSTLET_TEST_SEED={seed}");
        Self(seed)
    }

    /// A number below `end`.
    pub fn roll(&mut self, end: u64) -> u64 {
        // SplitMix64, by its constants.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// `burstctl` for an agent that comes and goes.
#[derive(Clone)]
pub struct Client {
    address: String,
}

impl Agent {
    /// A client that can be used while the agent is killed.
    #[must_use]
    pub fn client(&self) -> Client {
        Client {
            address: self.address(),
        }
    }

    /// Where the agent's log ends now.
    #[must_use]
    pub fn log_end(&self) -> u64 {
        fs::metadata(self.log_file()).unwrap().len()
    }

    /// Whether the log has a text after a place from [`Agent::log_end`].
    #[must_use]
    pub fn has_logged(&self, since: u64, text: &str) -> bool {
        self.times_logged(since, text) > 0
    }

    /// How often the log has a text after a place from [`Agent::log_end`].
    #[must_use]
    pub fn times_logged(&self, since: u64, text: &str) -> usize {
        let log = fs::read(self.log_file()).unwrap();
        let since = usize::try_from(since).unwrap();
        String::from_utf8_lossy(&log[since..]).matches(text).count()
    }

    /// Waits until the agent's process ends by itself.
    pub fn wait_for_end(&mut self) -> std::process::ExitStatus {
        wait_for("the agent ends", || self.ended())
    }

    /// All that the agent holds on the host and on disk, but for what `survivor` and the ledger
    /// write while they live.
    #[must_use]
    pub fn inventory(&self, survivor: &Survivor) -> Inventory {
        Inventory {
            host: HostState::take(&[]),
            files: self.files(survivor),
        }
    }

    /// Fails if the agent holds more than it did.
    pub fn assert_holds_only(&self, inventory: &Inventory, survivor: &Survivor) {
        // The agent itself is another process than before, and the survivor sleeps anew for every
        // line. A sleeper of another group would be here with that group's namespaces.
        let is_meant = |line: &str| {
            let names = [" (burstlet) started", " (sleep) started"];
            names.iter().any(|name| line.contains(name))
        };
        let leaks = inventory.host.leaks_but(&[], is_meant);
        assert!(leaks.is_empty(), "{}\n{}", leaks.join("\n"), self.log());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.files(survivor);
            let new: Vec<_> = now.difference(&inventory.files).collect();
            if new.is_empty() {
                return;
            }
            // The trash is emptied behind the scenes.
            assert!(Instant::now() < deadline, "{new:#?}\n{}", self.log());
            std::thread::sleep(PAUSE);
        }
    }

    fn files(&self, survivor: &Survivor) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        collect(&self.scratch().join("run"), &mut found);
        collect(&self.state_dir(), &mut found);
        let own = self.state_dir().join("groups").join(&survivor.uid);
        let ledger = self.state_dir().join("ledger");
        found.retain(|path| !path.starts_with(&own) && !path.starts_with(&ledger));
        found
    }
}

impl Client {
    /// Runs `burstctl` once.
    #[must_use]
    pub fn once(&self, args: &[&str], stdin: &[u8]) -> Outcome {
        let mut command = command("burstctl");
        command.env("BURSTLET_ADDRESS", &self.address).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        // Less than a pipe takes; the program may end without reading it.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap().into()
    }

    /// Runs `burstctl` until it succeeds, and gives what it printed.
    #[must_use]
    pub fn persist(&self, args: &[&str]) -> String {
        self.persist_until(args, |outcome| outcome.code == Some(0))
            .stdout
    }

    /// Runs `burstctl` until `is_done` says so.
    #[must_use]
    pub fn persist_until(&self, args: &[&str], is_done: impl Fn(&Outcome) -> bool) -> Outcome {
        wait_with(CLIENT_PAUSE, &format!("burstctl {args:?}"), || {
            Some(self.once(args, b"")).filter(&is_done)
        })
    }

    /// A group as JSON; `None` if there is none, or nobody answers.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<Value> {
        let outcome = self.once(&["get", name, "-o", "json"], b"");
        serde_json::from_str(&outcome.stdout).ok()
    }

    /// Creates a group, whether or not an earlier try has come through.
    pub fn create(&self, name: &str, text: &str) {
        wait_with(CLIENT_PAUSE, &format!("{name} is created"), || {
            let made = self.once(&["create", "-f", "-"], text.as_bytes());
            (made.code == Some(0) || self.group(name).is_some()).then_some(())
        });
    }

    /// Removes a group, whatever it does. One that is not there is removed.
    pub fn remove(&self, name: &str) {
        let _ = self.persist(&["rm", "-f", name]);
    }
}

/// A group that runs through all of it.
pub struct Survivor {
    name: String,
    uid: String,
    before: Value,
}

/// What the agent holds.
pub struct Inventory {
    host: HostState,
    files: BTreeSet<PathBuf>,
}

impl Survivor {
    /// What its container runs: it counts.
    pub const SCRIPT: &str = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done";

    /// Takes note of a group that runs [`Survivor::SCRIPT`].
    #[must_use]
    pub fn new(agent: &Agent, name: &str) -> Self {
        let group = agent.wait_until(name, "running", |g| !running(g)["pid"].is_null());
        Self {
            name: name.to_owned(),
            uid: group["metadata"]["uid"].as_str().unwrap().to_owned(),
            before: essence(&group),
        }
    }

    /// Fails if it noticed anything.
    pub fn check(&self, agent: &Agent) {
        let group = agent.wait_until(&self.name, "running", |g| !running(g)["pid"].is_null());
        assert_eq!(essence(&group), self.before, "{}", agent.log());
    }

    /// Fails if a byte of its log is lost or doubled.
    pub fn check_log(&self, agent: &Agent) {
        let logs = agent.ok(&["logs", &self.name]);
        assert!(!logs.is_empty());
        for (index, line) in logs.lines().enumerate() {
            assert_eq!(line, format!("line {}", index + 1));
        }
    }
}

fn running(group: &Value) -> &Value {
    &group["status"]["containerStatuses"][0]["running"]
}

/// What must not change.
fn essence(group: &Value) -> Value {
    let container = &group["status"]["containerStatuses"][0];
    serde_json::json!({
        "ip": group["status"]["podIP"],
        "running": container["running"],
        "restarts": container["restartCount"].as_u64().unwrap_or(0),
        "phase": group["status"]["phase"],
    })
}

/// Waits until `look` gives something.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_with(PAUSE, what, look)
}

fn wait_with<T>(pause: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never came to be: {what}");
        std::thread::sleep(pause);
    }
}

fn collect(dir: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found);
        }
        found.insert(entry.path());
    }
}
