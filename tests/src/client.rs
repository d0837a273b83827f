//! Asking an agent, by `burstctl`.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Agent, Outcome, PATIENCE, command};

/// Runs any program with a standard input to its end.
#[must_use]
pub fn feed(mut command: Command, stdin: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    let feeder = std::thread::spawn(move || {
        // The program may end without reading all of it.
        let _ = input.write_all(&bytes);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

impl Agent {
    /// Runs `burstctl` against this agent.
    #[must_use]
    pub fn ctl(&self, args: &[&str]) -> Outcome {
        self.ctl_with(args, b"")
    }

    /// Runs `burstctl` with a standard input.
    #[must_use]
    pub fn ctl_with(&self, args: &[&str], stdin: &[u8]) -> Outcome {
        feed(self.ctl_command(args), stdin).into()
    }

    /// A `burstctl` command against this agent, for tests that need its process.
    #[must_use]
    pub fn ctl_command(&self, args: &[&str]) -> Command {
        let mut command = command("burstctl");
        command.env("BURSTLET_ADDRESS", self.address());
        command.args(args);
        command
    }

    /// Runs `burstctl`, which must succeed, and gives what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        self.ok_with(args, b"")
    }

    /// Runs `burstctl` with a standard input; it must succeed.
    pub fn ok_with(&self, args: &[&str], stdin: &[u8]) -> String {
        let outcome = self.ctl_with(args, stdin);
        assert_eq!(
            outcome.code,
            Some(0),
            "burstctl {args:?}: {outcome:#?}\n{}",
            self.log()
        );
        outcome.stdout
    }

    /// A group as JSON.
    #[must_use]
    pub fn group(&self, name: &str) -> Value {
        serde_json::from_str(&self.ok(&["get", name, "-o", "json"])).unwrap()
    }

    /// Waits until `done` says so of a group.
    pub fn wait_until(&self, name: &str, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let group = self.group(name);
            if done(&group) {
                return group;
            }
            assert!(
                Instant::now() < deadline,
                "{name} never was {what}: {group:#}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
