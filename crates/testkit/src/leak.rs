//! The leak check: what a test made on the host must be gone when it ends.
//!
//! [`HostState::take`] lists what could be left behind; [`HostState::leaks`] compares a later
//! listing with it. The tests that use it run one at a time, or they see each other's objects.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long the kernel may take to free what it frees in the background (network namespaces,
/// cgroups, zombies).
pub const SETTLE_MAX: Duration = Duration::from_secs(10);

/// Everything on the host that a test could leave behind, as lines for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostState {
    lines: BTreeSet<String>,
}

impl HostState {
    /// Lists processes, namespaces, mounts, links, nft tables, cgroups, and the entries of
    /// `directories`.
    #[must_use]
    pub fn take(directories: &[&Path]) -> Self {
        let mut lines = BTreeSet::new();
        processes(&mut lines);
        mounts(&mut lines);
        entries("link", Path::new("/sys/class/net"), &mut lines);
        nft(&mut lines);
        cgroups(&mut lines);
        for directory in directories {
            entries("file", directory, &mut lines);
        }
        Self { lines }
    }

    /// What is there now and was not when `self` was taken, after the host has had time to settle.
    #[must_use]
    pub fn leaks(&self, directories: &[&Path]) -> Vec<String> {
        self.leaks_but(directories, |_| false)
    }

    /// The same, without the lines that are meant to be there.
    #[must_use]
    pub fn leaks_but(&self, directories: &[&Path], is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            let now = Self::take(directories);
            let new = now.lines.difference(&self.lines);
            let left: Vec<String> = new.filter(|line| !is_meant(line)).cloned().collect();
            if left.is_empty() || Instant::now() >= deadline {
                return left;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Processes of Burstlet's, and those in namespaces of their own, with these namespaces. Others on
/// the host come and go without us.
fn processes(lines: &mut BTreeSet<String>) {
    for pid in numbers(Path::new("/proc")) {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let Ok(stat) = fs::read_to_string(dir.join("stat")) else {
            continue;
        };
        let Some((name, rest)) = stat.rsplit_once(')') else {
            continue;
        };
        let started = rest.split_whitespace().nth(19).unwrap_or("?");
        let foreign: Vec<String> = foreign_namespaces(&dir).collect();
        let program = fs::read_link(dir.join("exe")).unwrap_or_default();
        let ours = program
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("burst"));
        if ours || !foreign.is_empty() {
            lines.insert(format!("process {name}) started at tick {started}"));
            lines.extend(foreign);
        }
    }
}

/// The namespaces of a process that are not ours.
fn foreign_namespaces(process: &Path) -> impl Iterator<Item = String> {
    let kinds = ["net", "mnt", "user", "ipc", "uts", "pid", "cgroup"];
    kinds.into_iter().filter_map(|kind| {
        let theirs = fs::read_link(process.join("ns").join(kind)).ok()?;
        let ours = fs::read_link(Path::new("/proc/self/ns").join(kind)).ok()?;
        (theirs != ours).then(|| format!("namespace {}", theirs.display()))
    })
}

fn mounts(lines: &mut BTreeSet<String>) {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in text.lines() {
        let mut fields = line.split(' ');
        let (place, id) = (line.split(' ').nth(4), fields.next());
        lines.insert(format!(
            "mount {} at {}",
            id.unwrap_or("?"),
            place.unwrap_or("?")
        ));
    }
}

fn nft(lines: &mut BTreeSet<String>) {
    if let Ok(output) = Command::new("nft").args(["list", "tables"]).output() {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        lines.extend(text.lines().map(|line| format!("nft {line}")));
    }
}

/// Every cgroup of every hierarchy.
fn cgroups(lines: &mut BTreeSet<String>) {
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                lines.insert(format!("cgroup {}", entry.path().display()));
                open.push(entry.path());
            }
        }
    }
}

fn entries(what: &str, directory: &Path, lines: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let inode = entry.metadata().map_or(0, |metadata| metadata.ino());
        lines.insert(format!("{what} {} (inode {inode})", entry.path().display()));
    }
}

fn numbers(directory: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_seen_and_its_end_too() {
        let dir = tempfile::tempdir().unwrap();
        let watched = [dir.path()];
        let before = HostState::take(&watched);
        fs::write(dir.path().join("left"), "x").unwrap();
        let now = HostState::take(&watched);
        let seen: Vec<_> = now
            .lines
            .difference(&before.lines)
            .filter(|line| line.starts_with("file "))
            .collect();
        assert_eq!(seen.len(), 1, "{seen:?}");
        fs::remove_file(dir.path().join("left")).unwrap();
        let again = HostState::take(&watched);
        assert!(
            !again
                .lines
                .difference(&before.lines)
                .any(|line| line.starts_with("file "))
        );
    }
}
