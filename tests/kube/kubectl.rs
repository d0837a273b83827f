//! `kubectl`, as one of the cluster's users.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take that should take a moment: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `kubectl` with somebody's credentials.
pub(crate) struct Kubectl {
    program: PathBuf,
    config: PathBuf,
    /// Variables of its environment.
    variables: Vec<(&'static str, &'static str)>,
}

/// What a command came to.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Kubectl {
    /// The program with a kubeconfig.
    pub(crate) const fn new(program: PathBuf, config: PathBuf) -> Self {
        Self {
            program,
            config,
            variables: Vec::new(),
        }
    }

    /// Whose credentials, for other clients.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// The same with a variable in its environment.
    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    /// A command, for tests that need its process.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("KUBECONFIG", &self.config)
            .envs(self.variables.iter().copied())
            .args(args);
        command
    }

    /// Runs a command with a standard input to its end.
    pub(crate) fn feed(&self, args: &[&str], stdin: &[u8]) -> Ended {
        feed(self.command(args), stdin)
    }

    /// Runs a command; what it printed, or what it complained of.
    pub(crate) fn try_run(&self, args: &[&str]) -> Result<String, String> {
        self.try_run_with(args, "")
    }

    /// Runs a command that must succeed.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        match self.try_run(args) {
            Ok(printed) => printed,
            Err(complaint) => panic!("kubectl {args:?}: {complaint}"),
        }
    }

    /// Runs a command that must be refused; why it was.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        match self.try_run(args) {
            Ok(printed) => panic!("kubectl {args:?} was not refused: {printed}"),
            Err(complaint) => complaint,
        }
    }

    /// Creates or changes objects.
    pub(crate) fn apply(&self, manifests: &str) {
        let applied = self.try_run_with(&["apply", "-f", "-"], manifests);
        if let Err(complaint) = applied {
            panic!("kubectl apply: {complaint}\n{manifests}");
        }
    }

    /// An object; `None` if it is not there.
    pub(crate) fn get(&self, args: &[&str]) -> Option<Value> {
        let all = [&["get", "-o", "json"], args].concat();
        match self.try_run(&all) {
            Ok(text) => Some(serde_json::from_str(&text).unwrap()),
            Err(complaint) if complaint.contains("NotFound") => None,
            Err(complaint) => panic!("kubectl {all:?}: {complaint}"),
        }
    }

    /// Waits until `done` says so of an object, `None` while it is not there.
    pub(crate) fn wait_until(
        &self,
        args: &[&str],
        what: &str,
        done: impl Fn(Option<&Value>) -> bool,
    ) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let object = self.get(args);
            if done(object.as_ref()) {
                return object;
            }
            assert!(
                Instant::now() < deadline,
                "{args:?} never was {what}: {object:#?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until something is so.
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}: not in time");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn try_run_with(&self, args: &[&str], stdin: &str) -> Result<String, String> {
        let ended = self.feed(args, stdin.as_bytes());
        if ended.code == Some(0) {
            Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
        } else {
            Err(ended.stderr)
        }
    }
}

/// Runs any program with a standard input to its end.
pub(crate) fn feed(command: Command, stdin: &[u8]) -> Ended {
    let output = burstlet_tests::feed(command, stdin);
    Ended {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
