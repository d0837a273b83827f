//! The machine is in trouble: the request at hand is refused with the reason, groups that run are
//! not touched, and all is well again when the trouble is over, without a restart.

mod descriptors;
mod hung;
mod kernel;
mod memory;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use burstlet_tests::crashing::Survivor;
use burstlet_tests::{Agent, Outcome, Setup};

use super::{agent, agent_as, create, group};

const QUICK: &str = "  terminationGracePeriodSeconds: 0\n";

fn survivor(agent: &Agent) -> Survivor {
    create(agent, "survivor", Survivor::SCRIPT, QUICK);
    Survivor::new(agent, "survivor")
}

fn try_to_create(agent: &Agent, name: &str) -> Outcome {
    let text = group(name, "sleep 1000", QUICK);
    agent.ctl_with(&["create", "-f", "-"], text.as_bytes())
}

/// The request fails with a reason that has one of the words, and leaves no group.
fn assert_refused(agent: &Agent, name: &str, words: &[&str]) {
    let refused = try_to_create(agent, name);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    let told = words.iter().any(|word| refused.stderr.contains(word));
    assert!(told, "{refused:?}\n{}", agent.log());
    let listed = agent.ok(&["ps", "-a", "-o", "name"]);
    assert!(!listed.lines().any(|line| line == name), "{listed}");
}

fn assert_works(agent: &Agent, name: &str) {
    create(agent, name, "sleep 1000", QUICK);
    agent.wait_until(name, "running", |g| g["status"]["phase"] == "Running");
    agent.ok(&["rm", "-f", name]);
}

/// An agent whose disk has no room for what `fill` puts there until it fails.
fn without_room(options: &str, fill: fn(&Path) -> Vec<PathBuf>) {
    let agent = agent_as(Setup {
        disk: Some(options),
        ..Setup::default()
    });
    let survivor = survivor(&agent);
    let filled = fill(&agent.disk());
    assert_refused(&agent, "refused", &["No space left"]);
    survivor.check(&agent);
    assert_eq!(agent.ok(&["exec", "survivor", "--", "echo", "in"]), "in\n");
    for path in filled {
        fs::remove_file(path).unwrap();
    }
    assert_works(&agent, "welcome");
    survivor.check(&agent);
    agent.ok(&["rm", "-f", "survivor"]);
    agent.finish();
}

#[test]
fn a_full_disk_refuses_and_heals() {
    without_room("size=96m", |disk| {
        let path = disk.join("fill");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        vec![path]
    });
}

#[test]
fn a_disk_without_inodes_refuses_and_heals() {
    without_room("size=96m,nr_inodes=3000", |disk| {
        let mut made = Vec::new();
        loop {
            let path = disk.join(format!("fill-{}", made.len()));
            match fs::File::create(&path) {
                Ok(_) => made.push(path),
                Err(_) => return made,
            }
        }
    });
}

/// A disk that fails at one point with one error, for as long as the agent lives.
fn with_a_bad_disk(arm: &str, word: &str) {
    let mut agent = agent();
    let survivor = survivor(&agent);
    agent.crash();
    assert_eq!(agent.launch_armed(arm), None);
    assert_refused(&agent, "refused", &[word]);
    survivor.check(&agent);
    assert_eq!(agent.ok(&["exec", "survivor", "--", "echo", "in"]), "in\n");
    agent.crash();
    agent.launch();
    survivor.check(&agent);
    assert_works(&agent, "welcome");
    agent.ok(&["rm", "-f", "survivor"]);
    agent.finish();
}

#[test]
fn a_disk_that_does_not_sync_acknowledges_nothing() {
    with_a_bad_disk("record-written=return(5)", "Input/output error");
}

#[test]
fn a_disk_that_became_read_only_acknowledges_nothing() {
    with_a_bad_disk("record-begun=return(30)", "Read-only file system");
}
