//! The kernel holds something fast, or somebody takes it away from a group: only that group notices.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use burstlet_tests::crashing::wait_for;
use serde_json::Value;

use super::super::{agent, create, state};
use super::{QUICK, assert_works, survivor};

/// Where the cgroups of every kind of host are.
const CGROUPS: &str = "/sys/fs/cgroup";

fn pid(group: &Value) -> Option<u64> {
    state(group)["running"]["pid"].as_u64()
}

/// The directories of a process's cgroups below the mount points of their hierarchies, with the
/// controllers of each; none for the second version.
fn cgroups(pid: u64) -> Vec<(String, PathBuf, PathBuf)> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let lines = text.lines().map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap(), parts.next().unwrap());
        let root = Path::new(CGROUPS).join(controllers);
        let below = path.trim_start_matches('/').to_owned();
        (controllers.to_owned(), root.clone(), root.join(below))
    });
    lines.filter(|(_, _, dir)| dir.exists()).collect()
}

/// The file that freezes and thaws a process's cgroup, and the word for it.
fn freezer(pid: u64) -> (PathBuf, &'static str) {
    let of = |(controllers, _, dir): (String, PathBuf, PathBuf)| {
        let (old, new) = (dir.join("freezer.state"), dir.join("cgroup.freeze"));
        match controllers.as_str() {
            "" if new.exists() => Some((new, "1")),
            _ if old.exists() => Some((old, "FROZEN")),
            _ => None,
        }
    };
    cgroups(pid).into_iter().find_map(of).expect("a freezer")
}

#[test]
fn a_frozen_group_can_be_removed_and_holds_nobody_up() {
    let agent = agent();
    let survivor = survivor(&agent);
    create(&agent, "frozen", "while :; do sleep 0.1; done", QUICK);
    let frozen = agent.wait_until("frozen", "running", |g| pid(g).is_some());
    let (file, word) = freezer(pid(&frozen).unwrap());
    fs::write(&file, word).unwrap();
    wait_for("it is frozen", || {
        let text = fs::read_to_string(&file).unwrap();
        (text.trim() == word).then_some(())
    });
    assert_works(&agent, "welcome");
    agent.ok(&["rm", "-f", "frozen"]);
    survivor.check(&agent);
    agent.ok(&["rm", "-f", "survivor"]);
    agent.finish();
}

/// Moves what is in a cgroup to its hierarchy's root, and deletes it.
fn delete_cgroup(root: &Path, dir: &Path) {
    wait_for("the cgroup can be deleted", || {
        let held = fs::read_to_string(dir.join("cgroup.procs")).unwrap();
        for pid in held.lines() {
            // It may have ended meanwhile.
            let _ = fs::write(root.join("cgroup.procs"), pid);
        }
        match fs::remove_dir(dir) {
            Ok(()) => Some(()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ResourceBusy, "{error}");
                None
            }
        }
    });
}

#[test]
fn a_group_whose_cgroups_were_deleted_ends_and_nobody_else_does() {
    let agent = agent();
    let survivor = survivor(&agent);
    create(&agent, "robbed", "while :; do sleep 0.1; done", QUICK);
    let robbed = agent.wait_until("robbed", "running", |g| pid(g).is_some());
    let (uid, pid) = (&robbed["metadata"]["uid"], pid(&robbed).unwrap());
    let own: Vec<_> = cgroups(pid)
        .into_iter()
        .filter(|(_, _, dir)| dir.display().to_string().contains(uid.as_str().unwrap()))
        .collect();
    assert!(!own.is_empty());
    for (_, root, dir) in own {
        delete_cgroup(&root, &dir);
    }
    assert_works(&agent, "welcome");
    agent.ok(&["rm", "-f", "robbed"]);
    let process = PathBuf::from(format!("/proc/{pid}"));
    wait_for("its process is gone", || (!process.exists()).then_some(()));
    survivor.check(&agent);
    agent.ok(&["rm", "-f", "survivor"]);
    agent.finish();
}
