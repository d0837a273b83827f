//! What containers are shown of their cgroups, on trees that are plain directories.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use burstlet_cgroup::{CgroupRoot, Cgroups, Hierarchy, ShownTree, Warning};
use burstlet_model::{ContainerName, GroupUid};

const TREES: [&str; 5] = ["cpu,cpuacct", "memory", "pids", "freezer", "cpuset"];
const PROCESSORS: [(&str, &str); 2] = [("cpuset.cpus", "0-3"), ("cpuset.mems", "0")];

/// A host of version 1 at `mount`, with those files of the tree of processors that the kernel would
/// make for `root`.
fn legacy(mount: &Path) -> Hierarchy {
    let mut mountinfo = String::new();
    for tree in TREES {
        let point = mount.join(tree);
        fs::create_dir_all(point.join("root")).unwrap();
        mountinfo += &format!(
            "1 0 0:1 / {} rw - cgroup cgroup rw,{tree}\n",
            point.display()
        );
    }
    for (file, all) in PROCESSORS {
        fs::write(mount.join("cpuset").join(file), format!("{all}\n")).unwrap();
        fs::write(mount.join("cpuset/root").join(file), "\n").unwrap();
    }
    Hierarchy::from_mountinfo(&mountinfo).unwrap()
}

fn open(hierarchy: Hierarchy) -> Cgroups {
    Cgroups::open(hierarchy, CgroupRoot::new("root").unwrap()).unwrap()
}

fn shown(cgroups: &Cgroups) -> Vec<ShownTree> {
    let (uid, name) = (
        GroupUid::new("g1").unwrap(),
        ContainerName::new("web").unwrap(),
    );
    cgroups.shown(&cgroups.container(&uid, &name))
}

#[test]
fn on_v1_each_tree_is_shown_by_the_names_of_its_controllers() {
    let mount = tempfile::tempdir().unwrap();
    let cgroups = open(legacy(mount.path()));
    let tree = |name: &str, links: &[&str], shared, path: &str| ShownTree {
        name: Some(name.to_owned()),
        links: links.iter().map(|link| (*link).to_owned()).collect(),
        shared,
        directory: mount.path().join(path),
    };
    let expected = [
        tree(
            "cpu,cpuacct",
            &["cpu", "cpuacct"],
            false,
            "cpu,cpuacct/root/g1/web",
        ),
        tree("memory", &[], false, "memory/root/g1/web"),
        tree("pids", &[], false, "pids/root/g1/web"),
        tree("freezer", &[], false, "freezer/root/g1/web"),
        tree("cpuset", &[], true, "cpuset/root"),
    ];
    assert_eq!(shown(&cgroups), expected);
    for (file, all) in PROCESSORS {
        let own = mount.path().join("cpuset/root").join(file);
        assert_eq!(fs::read_to_string(own).unwrap(), all, "{file}");
    }
    assert!(cgroups.capabilities().processors);
}

#[test]
fn processors_that_an_operator_has_set_are_kept() {
    let mount = tempfile::tempdir().unwrap();
    let hierarchy = legacy(mount.path());
    let own = mount.path().join("cpuset/root/cpuset.cpus");
    fs::write(&own, "2").unwrap();
    open(hierarchy);
    assert_eq!(fs::read_to_string(own).unwrap(), "2");
}

#[test]
fn without_a_tree_of_processors_the_others_are_shown() {
    let mount = tempfile::tempdir().unwrap();
    let hierarchy = legacy(mount.path());
    fs::remove_file(mount.path().join("cpuset/cpuset.mems")).unwrap();
    let cgroups = open(hierarchy);
    assert_eq!(shown(&cgroups).len(), 4);
    assert_eq!(cgroups.processors_root(), None);
    let able = cgroups.capabilities();
    assert!(
        able.warnings()
            .any(|warning| warning == Warning::ProcessorsNotShown)
    );
}

#[test]
fn on_v2_the_one_tree_is_what_is_shown() {
    let mount = tempfile::tempdir().unwrap();
    let root = mount.path().join("root");
    fs::create_dir(&root).unwrap();
    for dir in [mount.path(), &root] {
        fs::write(dir.join("cgroup.subtree_control"), "").unwrap();
    }
    let cgroups = open(Hierarchy::v2(mount.path()));
    let expected = ShownTree {
        name: None,
        links: Vec::new(),
        shared: false,
        directory: root.join("g1/web"),
    };
    assert_eq!(shown(&cgroups), [expected]);
    assert!(cgroups.capabilities().processors);
    assert_eq!(cgroups.processors_root(), None);
}

#[test]
fn the_shared_part_goes_with_the_root() {
    let mount = tempfile::tempdir().unwrap();
    let cgroups = open(legacy(mount.path()));
    // What the kernel's own files would not hinder.
    for (file, _) in PROCESSORS {
        fs::remove_file(mount.path().join("cpuset/root").join(file)).unwrap();
    }
    cgroups.remove_root(Duration::ZERO).unwrap();
    for tree in TREES {
        assert!(!mount.path().join(tree).join("root").exists(), "{tree}");
    }
}
