//! Who runs on which processors, on plain directories that stand for both versions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use burstlet_cgroup::{CgroupError, CgroupRoot, Cgroups, Hierarchy, Processors, Shared};
use burstlet_model::{ErrorKind, GroupUid, ProcessorSet};

fn set(list: &str) -> ProcessorSet {
    list.parse().unwrap()
}

fn uid(name: &str) -> GroupUid {
    GroupUid::new(name).unwrap()
}

fn shared(list: &str) -> Shared {
    Shared::new(set(list), &set("0-3"))
}

fn put(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(dir: &Path, path: &str) -> String {
    fs::read_to_string(dir.join(path)).unwrap()
}

/// A host of version 1 whose kernel has made the files of `+own` and of a group in it already.
fn legacy(dir: &Path) -> Cgroups {
    let mut mountinfo = String::new();
    for tree in ["cpu,cpuacct", "memory", "pids", "freezer", "cpuset"] {
        let point = dir.join(tree);
        fs::create_dir_all(point.join("root/g1")).unwrap();
        let point = point.display();
        mountinfo += &format!("1 0 0:1 / {point} rw - cgroup cgroup rw,{tree}\n");
    }
    put(dir.join("cpuset/cpuset.cpus"), "0-3\n");
    put(dir.join("cpuset/cpuset.mems"), "0-1\n");
    for part in ["root", "root+own"] {
        put(dir.join("cpuset").join(part).join("cpuset.cpus"), "\n");
        put(dir.join("cpuset").join(part).join("cpuset.mems"), "\n");
    }
    let hierarchy = Hierarchy::from_mountinfo(&mountinfo).unwrap();
    Cgroups::open(hierarchy, CgroupRoot::new("root").unwrap()).unwrap()
}

/// A host of version 2 with these groups, and the launcher.
fn unified(dir: &Path, groups: &[&str]) -> Cgroups {
    put(dir.join("cgroup.subtree_control"), "");
    put(dir.join("a/cgroup.subtree_control"), "");
    put(dir.join("a/root/cgroup.subtree_control"), "");
    put(dir.join("a/root/cpuset.cpus.effective"), "0-3\n");
    put(dir.join("a/root/_launcher/cpuset.cpus"), "");
    for group in groups {
        let group = dir.join("a/root").join(group);
        put(group.join("cgroup.subtree_control"), "");
        put(group.join("cpuset.cpus"), "\n");
        put(group.join("_keeper/cpuset.cpus"), "\n");
    }
    let root = CgroupRoot::new("a/root").unwrap();
    Cgroups::open(Hierarchy::v2(dir), root).unwrap()
}

fn owners(processors: &Processors) -> BTreeMap<GroupUid, ProcessorSet> {
    processors.owners().unwrap()
}

#[test]
fn on_v1_a_group_has_a_directory_beside_what_is_shared() {
    let dir = tempfile::tempdir().unwrap();
    let cgroups = legacy(dir.path());
    let processors = cgroups.processors().unwrap();
    assert_eq!(processors.all().unwrap(), set("0-3"));
    assert_eq!(processors.tasks(&uid("g1")), None);
    processors.share(&shared("0-1"), [].into_iter()).unwrap();
    processors.give(&uid("g1"), &set("2-3")).unwrap();
    assert_eq!(read(dir.path(), "cpuset/root/cpuset.cpus"), "0-1\n");
    let own = dir.path().join("cpuset/root+own/g1");
    assert_eq!(read(&own, "cpuset.cpus"), "2-3\n");
    assert_eq!(read(&own, "cpuset.mems"), "0-1\n");
    assert_eq!(processors.tasks(&uid("g1")), Some(own.join("tasks")));
    assert_eq!(owners(&processors), [(uid("g1"), set("2-3"))].into());
    // What a container is shown is what it has.
    let container = cgroups.container(&uid("g1"), &"web".parse().unwrap());
    let shown = cgroups.shown(&container);
    assert_eq!(shown.last().unwrap().directory, own);
    // All there is, is written by name: a directory of v1 with nothing holds no process.
    processors.share(&shared("0-3"), [].into_iter()).unwrap();
    assert_eq!(read(dir.path(), "cpuset/root/cpuset.cpus"), "0-3\n");
    for file in ["cpuset.cpus", "cpuset.mems"] {
        // These go with a directory of the kernel's.
        fs::remove_file(own.join(file)).unwrap();
    }
    processors.take_back(&uid("g1"), Duration::ZERO).unwrap();
    processors.take_back(&uid("g1"), Duration::ZERO).unwrap();
    assert!(!own.exists());
    assert_eq!(owners(&processors), BTreeMap::new());
}

#[test]
fn on_v2_everybody_has_a_set_and_who_has_it_alone_has_it_twice() {
    let dir = tempfile::tempdir().unwrap();
    let cgroups = unified(dir.path(), &["alone", "other"]);
    let root = dir.path().join("a/root");
    let processors = cgroups.processors().unwrap();
    for part in ["", "a", "a/root"] {
        let passed_on = read(&dir.path().join(part), "cgroup.subtree_control");
        assert!(passed_on.contains("cpuset"), "{part:?}: {passed_on}");
    }
    assert_eq!(processors.all().unwrap(), set("0-3"));
    let (alone, other) = (uid("alone"), uid("other"));
    processors
        .share(&shared("0"), [&alone].into_iter())
        .unwrap();
    processors.give(&alone, &set("1-3")).unwrap();
    for (file, list) in [
        ("_launcher/cpuset.cpus", "0\n"),
        ("other/cpuset.cpus", "0\n"),
        ("other/_keeper/cpuset.cpus", "\n"),
        ("alone/cpuset.cpus", "1-3\n"),
        ("alone/_keeper/cpuset.cpus", "1-3\n"),
    ] {
        assert_eq!(read(&root, file), list, "{file}");
    }
    assert_eq!(owners(&processors), [(alone.clone(), set("1-3"))].into());
    // Who was told of some is told of all, and who comes when nobody has any alone of nothing.
    processors
        .share(&shared("0-3"), [&alone].into_iter())
        .unwrap();
    assert_eq!(read(&root, "other/cpuset.cpus"), "0-3\n");
    put(root.join("other/cpuset.cpus"), "\n");
    processors.share_with(&other, &shared("0-3")).unwrap();
    processors
        .share(&shared("0-3"), [&alone].into_iter())
        .unwrap();
    assert_eq!(read(&root, "other/cpuset.cpus"), "\n");
    processors.share_with(&other, &shared("0,2")).unwrap();
    assert_eq!(read(&root, "other/cpuset.cpus"), "0,2\n");
    assert_eq!(processors.tasks(&alone), None);
}

#[test]
fn a_later_agent_learns_who_has_what() {
    let dir = tempfile::tempdir().unwrap();
    let cgroups = unified(dir.path(), &["alone"]);
    // The kernel writes there what it was asked for; none was.
    put(dir.path().join("a/root/cgroup.subtree_control"), "cpu io\n");
    assert!(cgroups.processors_left().is_none());
    let processors = cgroups.processors().unwrap();
    processors.give(&uid("alone"), &set("1")).unwrap();
    put(
        dir.path().join("a/root/cgroup.subtree_control"),
        "cpuset cpu\n",
    );
    let left = cgroups.processors_left().unwrap();
    assert_eq!(owners(&left), [(uid("alone"), set("1"))].into());
}

#[test]
fn a_group_that_is_gone_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let cgroups = unified(dir.path(), &["other"]);
    let processors = cgroups.processors().unwrap();
    fs::create_dir(dir.path().join("a/root/going")).unwrap();
    fs::remove_file(dir.path().join("a/root/other/cpuset.cpus")).unwrap();
    fs::create_dir(dir.path().join("a/root/other/cpuset.cpus")).unwrap();
    let refused = processors.share(&shared("0"), [].into_iter()).unwrap_err();
    assert!(matches!(refused, CgroupError::Write { .. }), "{refused}");
    let missing = processors.give(&uid("none"), &set("1")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Unsupported, "{missing}");
}

#[test]
fn a_host_without_the_controller_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let cgroups = legacy(dir.path());
    assert!(cgroups.processors_left().is_none(), "nobody was given any");
    cgroups.processors().unwrap();
    assert!(cgroups.processors_left().is_some());
    fs::remove_dir_all(dir.path().join("cpuset")).unwrap();
    let other = CgroupRoot::new("root").unwrap();
    let cgroups = Cgroups::open(cgroups.hierarchy().clone(), other).unwrap();
    assert!(cgroups.processors_left().is_none());
    let missing = cgroups.processors().unwrap_err();
    assert!(missing.to_string().contains("cpuset"), "{missing}");
}
