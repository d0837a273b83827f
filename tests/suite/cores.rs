//! No core is written of who holds the secrets of groups, and nobody else reads their memory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use burstlet_tests::{Outcome, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::crash::keeper_of;
use super::{agent, create, state};

/// Lets this process and those that it starts dump as much as whoever started it allows, and gives how
/// much that is.
fn allow_cores() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    let current = maximum;
    setrlimit(Resource::Core, Rlimit { current, maximum }).unwrap();
    maximum.unwrap_or(u64::MAX)
}

/// What a core of a process may have: the limit and its bound.
fn core_limit(pid: u64) -> Vec<String> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max core file size"));
    let words = line.unwrap().split_whitespace();
    words.take(2).map(str::to_owned).collect()
}

#[test]
fn nobody_who_holds_secrets_leaves_a_core() {
    let allowed = allow_cores();
    let mut agent = agent();
    let more =
        "      env: [{name: TOKEN, value: canary-0d61c7}]\n  terminationGracePeriodSeconds: 0\n";
    create(&agent, "box", "sleep 1000", more);
    let pid = |g: &serde_json::Value| state(g)["running"]["pid"].as_u64();
    let running = agent.wait_until("box", "running", |g| pid(g).is_some());
    let container = pid(&running).unwrap();
    let limit = allowed.min(1).to_string();
    for holder in [
        agent.pid().into(),
        agent.launcher().into(),
        keeper_of(container).into(),
    ] {
        assert_eq!(core_limit(holder), [&*limit, &*limit], "process {holder}");
    }
    assert_eq!(core_limit(container), ["0", "0"]);
    kill(Pid::from_raw(agent.pid().cast_signed()), Signal::SIGABRT).unwrap();
    let ended = agent.wait_for_end();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));
    agent.launch();
    assert_eq!(pid(&agent.group("box")), Some(container));
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}

/// Who is nobody, and who is root but for its rights, as in a container with the host's ids.
const OTHERS: [&[&str]; 2] = [
    &["--reuid=65534", "--regid=65534", "--clear-groups"],
    &["--bounding-set=-all", "--inh-caps=-all"],
];

/// Whether somebody reads a byte of a file of a process, and what he is told if not.
fn read_as(who: &[&str], file: &str) -> Result<(), String> {
    let mut command = Command::new("setpriv");
    let read = command.args(who).args(["head", "-c", "1", file]).output();
    let read = read.unwrap();
    match read.status.success() && !read.stdout.is_empty() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&read.stderr).into_owned()),
    }
}

/// A program that reads the memory of others, where everybody may execute it.
fn reader() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let reader = dir.path().join("reader");
    fs::copy(program("burstlet-incontainer"), &reader).unwrap();
    fs::set_permissions(&reader, fs::Permissions::from_mode(0o755)).unwrap();
    (dir, reader)
}

/// An address in the memory of a process that it may read itself.
fn readable(pid: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let line = maps.lines().find(|line| line.contains(" r")).unwrap();
    let (begin, _) = line.split_once('-').unwrap();
    u64::from_str_radix(begin, 16).unwrap()
}

/// What somebody sees who tries to read a byte of a process, by each way that there is.
fn peek_as(who: &[&str], reader: &Path, pid: u32) -> String {
    let mut command = Command::new("setpriv");
    let (pid, address) = (pid.to_string(), readable(pid).to_string());
    let peek = command.args(who).arg(reader).args(["peek", &pid, &address]);
    let Outcome { stdout, stderr, .. } = peek.output().unwrap().into();
    assert_eq!(stderr, "");
    stdout
}

#[test]
fn nobody_else_reads_the_memory_of_who_holds_secrets() {
    let (_dir, reader) = reader();
    let agent = agent();
    create(
        &agent,
        "box",
        "sleep 1000",
        "  terminationGracePeriodSeconds: 0\n",
    );
    let pid = |g: &serde_json::Value| state(g)["running"]["pid"].as_u64();
    let running = agent.wait_until("box", "running", |g| pid(g).is_some());
    let keeper = keeper_of(pid(&running).unwrap());
    for holder in [agent.pid(), agent.launcher(), keeper] {
        // What a dump of a process begins with, and what is in its memory from the start.
        for file in ["maps", "auxv"] {
            let file = format!("/proc/{holder}/{file}");
            read_as(&["--keep-groups"], &file).unwrap();
            for who in OTHERS {
                let refused = read_as(who, &file).unwrap_err();
                assert!(refused.contains("denied"), "{file} {who:?}: {refused}");
            }
        }
        let peeked = peek_as(&["--keep-groups"], &reader, holder);
        assert_eq!(peeked, "memory\tfile\tdone\nmemory\tcall\tdone\n");
        for who in OTHERS {
            let peeked = peek_as(who, &reader, holder);
            assert_eq!(
                peeked, "memory\tfile\tEACCES\nmemory\tcall\tEPERM\n",
                "{who:?}"
            );
        }
    }
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}
