//! Two builds of different versions on one host, one after the other: what the one has begun goes on
//! under the other, upwards and downwards.

use std::fs;

use burstlet_tests::{Agent, NEXT_VERSION, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{agent, create, state};

/// What only programs of the next version say to each other.
const WORD: &[u8] = b"of_the_next_version";
const SCRIPT: &str = "trap 'echo asked; exit 5' TERM; echo up; while :; do sleep 0.05; done";

fn pid(group: &Value) -> Option<u64> {
    state(group)["running"]["pid"].as_u64()
}

/// A group and the process that it must keep.
struct Group {
    name: &'static str,
    pid: Option<u64>,
}

impl Group {
    fn begin(agent: &Agent, name: &'static str) -> Self {
        create(agent, name, SCRIPT, "  restartPolicy: Never\n");
        let group = agent.wait_until(name, "running", |g| pid(g).is_some());
        Self {
            name,
            pid: pid(&group),
        }
    }

    /// It is the same process, and can be entered.
    fn check(&self, agent: &Agent) {
        let name = self.name;
        let group = agent.wait_until(name, "running", |g| pid(g).is_some());
        assert_eq!(pid(&group), self.pid, "{group:#}\n{}", agent.log());
        assert_eq!(agent.ok(&["exec", name, "--", "echo", "in"]), "in\n");
        let failed = agent.ctl(&["exec", name, "--", "sh", "-c", "exit 9"]);
        assert_eq!(failed.code, Some(9), "{failed:?}");
    }

    /// It ends as it was told to, with all that it said.
    fn end(&self, agent: &Agent) {
        let name = self.name;
        agent.ok(&["stop", name]);
        let ended = agent.wait_until(name, "stopped", |g| g["status"]["phase"] == "Stopped");
        assert_eq!(state(&ended)["terminated"]["exitCode"], 5, "{ended:#}");
        assert_eq!(agent.ok(&["logs", name]), "up\nasked\n");
        agent.ok(&["rm", name]);
    }
}

/// The programs are of different versions, and not one build twice.
fn assert_differ(name: &str) {
    let speaks = |path: &str| {
        let bytes = fs::read(program(path)).unwrap();
        bytes.windows(WORD.len()).any(|window| window == WORD)
    };
    assert!(!speaks(name), "{name} is of the next version");
    let next = format!("{NEXT_VERSION}{name}");
    assert!(speaks(&next), "{next} is not of the next version");
}

fn upgrade(agent: &mut Agent, build: &'static str) {
    agent.crash();
    agent.change_build(build);
    agent.launch();
}

#[test]
fn groups_go_on_while_agents_of_two_versions_follow_each_other() {
    assert_differ("burstlet");
    assert_differ("burstlet-launcher");
    let mut agent = agent();
    let first = Group::begin(&agent, "first");
    upgrade(&mut agent, NEXT_VERSION);
    first.check(&agent);
    // The launcher is still of this version.
    let second = Group::begin(&agent, "second");
    let launcher = agent.launcher();
    kill(Pid::from_raw(launcher.cast_signed()), Signal::SIGKILL).unwrap();
    // This keeper is of the next.
    let third = Group::begin(&agent, "third");
    assert_ne!(agent.launcher(), launcher);
    upgrade(&mut agent, "");
    let groups = [first, second, third];
    groups.iter().for_each(|group| group.check(&agent));
    let fourth = Group::begin(&agent, "fourth");
    upgrade(&mut agent, NEXT_VERSION);
    fourth.check(&agent);
    groups.iter().for_each(|group| group.end(&agent));
    fourth.end(&agent);
    agent.finish();
}
