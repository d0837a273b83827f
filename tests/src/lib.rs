//! The harness of the privileged suite: an agent of its own for each test, on directories, a
//! bridge, a subnet and cgroups of its own, driven through `burstctl` as a user would.
//!
//! Each test ends with [`Agent::finish`], which uninstalls the agent and fails if anything is left
//! on the host. The tests run one at a time, since the leak check looks at the whole host.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
pub mod api;
mod client;
mod collector;
pub mod crashing;
mod device;
mod http;
mod person;
mod programs;
pub mod prometheus;

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burstlet_testkit::leak::HostState;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use client::feed;
pub use collector::Collector;
pub use device::DeviceNode;
pub use http::fetch;
pub use person::Person;
pub use programs::{NEXT_VERSION, Outcome, command, program, repository, sample_image};

/// How long anything may take that should take milliseconds: the machine may be busy, or one that is
/// made of software.
pub const PATIENCE: Duration = Duration::from_secs(60);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What an agent is started with beside the defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup<'a> {
    /// Keys of `[network]`.
    pub network: &'a str,
    /// Other sections.
    pub more: &'a str,
    /// Options of a file system in memory that its state is kept on, below [`Agent::disk`].
    pub disk: Option<&'a str>,
    /// Variables of its environment.
    pub environment: &'a [(&'a str, &'a str)],
}

/// An agent under test.
pub struct Agent {
    dir: tempfile::TempDir,
    environment: Vec<(String, String)>,
    /// Where the agent's program is, below the programs under test.
    build: &'static str,
    child: Option<Child>,
    told: Option<UnixDatagram>,
    before: HostState,
    finished: bool,
    has_disk: bool,
    /// Tells it from its neighbours.
    index: u32,
    /// The host is this test's; whoever stands beside another has no turn of his own.
    _turn: Option<(MutexGuard<'static, ()>, Flock<fs::File>)>,
}

impl Agent {
    /// Starts an agent with the defaults.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts an agent with more configuration, TOML sections other than `[network]`.
    #[must_use]
    pub fn start_with(more: &str) -> Self {
        Self::start_on("", more)
    }

    /// Starts an agent with more keys in `[network]`, and more sections.
    #[must_use]
    pub fn start_on(network: &str, more: &str) -> Self {
        Self::start_as(Setup {
            network,
            more,
            ..Setup::default()
        })
    }

    /// Starts an agent.
    #[must_use]
    pub fn start_as(setup: Setup<'_>) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            nix::unistd::geteuid().is_root(),
            "the privileged suite needs root"
        );
        let host = host_turn();
        Self::begin(setup, 0, Some((turn, host)))
    }

    /// Starts another agent on the same host, which must be finished before this one.
    #[must_use]
    pub fn beside(&self) -> Self {
        self.beside_with("")
    }

    /// The same with more configuration.
    #[must_use]
    pub fn beside_with(&self, more: &str) -> Self {
        let setup = Setup {
            more,
            ..Setup::default()
        };
        Self::begin(setup, self.index + 1, None)
    }

    fn begin(
        setup: Setup<'_>,
        index: u32,
        turn: Option<(MutexGuard<'static, ()>, Flock<fs::File>)>,
    ) -> Self {
        let before = HostState::take(&[]);
        let dir = tempfile::Builder::new()
            .prefix("burstlet-test-")
            .tempdir()
            .unwrap();
        let variable = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut agent = Self {
            dir,
            environment: setup.environment.iter().map(variable).collect(),
            build: "",
            child: None,
            told: None,
            before,
            finished: false,
            has_disk: setup.disk.is_some(),
            index,
            _turn: turn,
        };
        if let Some(options) = setup.disk {
            fs::create_dir(agent.disk()).unwrap();
            let (kind, none) = (Some("tmpfs"), None::<&str>);
            mount(none, &agent.disk(), kind, MsFlags::empty(), Some(options)).unwrap();
        }
        fs::write(agent.config(), agent.configuration(setup)).unwrap();
        agent.launch();
        agent
    }

    fn configuration(&self, setup: Setup<'_>) -> String {
        let number = self.number();
        let path = self.dir.path().display();
        let state = self.state_dir();
        let state = state.display();
        let Setup { network, more, .. } = setup;
        format!(
            "state_dir = \"{state}\"\nrun_dir = \"{path}/run\"\ncgroup_root = \"bt{number}\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n\
             [network]\nbridge = \"bt{number}\"\nsubnet = \"{}/24\"\n{network}\n{more}\n",
            self.address_of(0),
        )
    }

    /// An address of the agent's subnet.
    fn address_of(&self, last: u8) -> Ipv4Addr {
        let number = self.number();
        let part = |number: u32| u8::try_from(number).unwrap();
        Ipv4Addr::new(10, part(200 + number / 250 % 40), part(number % 250), last)
    }

    /// The host's address on the agent's bridge.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.address_of(1)
    }

    /// The address of the agent's socket, as clients name it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The agent's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/burstlet.sock")
    }

    /// The agent's configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("burstlet.toml")
    }

    /// A directory of the test's own that goes with the agent.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Where [`Setup::disk`] is.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// The agent's state directory.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        match self.has_disk {
            true => self.disk().join("state"),
            false => self.dir.path().join("state"),
        }
    }

    /// Starts the agent's process and waits until it answers.
    pub fn launch(&mut self) {
        let ended = self.launch_armed("");
        assert_eq!(ended, None, "the agent did not start:\n{}", self.log());
    }

    /// Starts the agent's process with failpoints, and waits until it answers or ends.
    pub fn launch_armed(&mut self, failpoints: &str) -> Option<ExitStatus> {
        self.spawn(failpoints);
        let deadline = Instant::now() + PATIENCE;
        while self.ctl(&["info"]).code != Some(0) {
            if let Some(ended) = self.ended() {
                return Some(ended);
            }
            assert!(Instant::now() < deadline, "no answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Starts the agent's process with failpoints.
    pub fn spawn(&mut self, failpoints: &str) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let socket = self.dir.path().join("notify.sock");
        let _ = fs::remove_file(&socket);
        let told = UnixDatagram::bind(&socket).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        self.told = Some(told);
        let child = command(&format!("{}burstlet", self.build))
            .env("NOTIFY_SOCKET", &socket)
            .arg("--config")
            .arg(self.config())
            // Images stay, however full this machine's disk is.
            .env("BURSTLET_IMAGES_GC_LOW_PERCENT", "100")
            .env("BURSTLET_IMAGES_GC_HIGH_PERCENT", "100")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("FAILPOINTS", failpoints)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// The build that the agent is started from next: [`NEXT_VERSION`], or with an empty text the one
    /// that is tested.
    pub fn change_build(&mut self, directory: &'static str) {
        self.build = directory;
    }

    /// How the agent's process has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().unwrap().try_wait().unwrap()
    }

    /// The agent's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The agent's bridge.
    #[must_use]
    pub fn bridge(&self) -> String {
        format!("bt{}", self.number())
    }

    /// Tells this agent's bridge, subnet and cgroups from those of others on the host.
    fn number(&self) -> u32 {
        (std::process::id() + self.index) % 10_000
    }

    /// The next thing that the agent's latest process tells its service manager.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = [0; 256];
        let told = self.told.as_ref().unwrap();
        // A wait with a bound is cut short by any signal.
        let len = loop {
            match told.recv(&mut text) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.unwrap(),
            }
        };
        String::from_utf8_lossy(&text[..len]).into_owned()
    }

    /// Ends the agent's process as a crash would.
    pub fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends the agent's process as an operator would.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("the agent did not end on SIGTERM:\n{}", self.log());
    }

    /// Processor time that the launcher has taken, in ticks of 10 ms.
    #[must_use]
    pub fn launcher_ticks(&self) -> u64 {
        ticks(self.launcher())
    }

    /// The launcher's process. Keepers have other names.
    #[must_use]
    pub fn launcher(&self) -> u32 {
        let run_dir = self.dir.path().join("run").display().to_string();
        let is_ours = |pid: &u32| {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.starts_with("burstlet-launcher") && command.contains(&run_dir)
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.find(is_ours).expect("the launcher runs")
    }

    /// Uninstalls the agent, and fails if anything is left on the host.
    pub fn finish(mut self) {
        self.stop();
        let outcome = self.uninstall();
        self.finished = true;
        assert!(outcome.success(), "uninstall failed:\n{}", self.log());
        for dir in [self.state_dir(), self.dir.path().join("run")] {
            assert!(!dir.exists(), "{} is left", dir.display());
        }
        self.drop_disk();
        let leaks = self.before.leaks(&[]);
        assert!(
            leaks.is_empty(),
            "left on the host:\n{}\n{}",
            leaks.join("\n"),
            self.log()
        );
    }

    fn drop_disk(&mut self) {
        if std::mem::take(&mut self.has_disk) {
            umount2(&self.disk(), MntFlags::MNT_DETACH).unwrap();
        }
    }

    fn uninstall(&self) -> ExitStatus {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        command("burstlet")
            .arg("--config")
            .arg(self.config())
            .args(["uninstall", "--yes"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .status()
            .unwrap()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("agent.log")
    }

    /// All that the agent has logged.
    fn whole_log(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = fs::File::open(self.log_file()) {
            let _ = file.read_to_string(&mut text);
        }
        text
    }

    /// What the agent has logged, its end if it is long.
    #[must_use]
    pub fn log(&self) -> String {
        let text = self.whole_log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(80)..].join("\n")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if !self.finished {
            self.crash();
            let _ = self.uninstall();
            self.drop_disk();
        }
    }
}

/// Waits until something holds.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Processor time that a process has taken, in ticks of 10 ms.
#[must_use]
pub fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// Waits until no other suite is on this host, which would look like a leak of ours. The lock is on
/// a directory that is always there, so that it leaves nothing behind.
fn host_turn() -> Flock<fs::File> {
    let directory = fs::File::open("/run").unwrap();
    Flock::lock(directory, FlockArg::LockExclusive).unwrap()
}
