//! The unified interface, on plain directories that stand for it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use burstlet_cgroup::{
    CgroupError, CgroupRoot, Cgroups, Devices, FinalUsage, Gauges, Hierarchy, IoUsage, JoinPaths,
    Limits, Reading,
};
use burstlet_model::{BootTime, Bytes, ContainerName, GroupUid, MilliCpu, Usage};

const FILES: [(&str, &str); 11] = [
    ("cgroup.events", "populated 0\nfrozen 0\n"),
    ("cgroup.procs", ""),
    ("cgroup.subtree_control", ""),
    ("cpu.max", "max 100000\n"),
    ("cpu.stat", "usage_usec 7\nuser_usec 4\nsystem_usec 3\n"),
    ("memory.current", "9000\n"),
    ("memory.events", "low 0\noom 1\noom_kill 2\n"),
    ("memory.peak", "9500\n"),
    ("memory.stat", "anon 1000\nfile 8000\ninactive_file 3000\n"),
    ("io.stat", "8:0 rbytes=1 wbytes=2 rios=1\n"),
    ("pids.current", "3\n"),
];

/// Puts the files into `dir` that a kernel makes with a cgroup's directory.
fn fill(dir: &Path) {
    for (name, content) in FILES {
        fs::write(dir.join(name), content).unwrap();
    }
}

fn limits() -> Limits {
    Limits {
        cpu_request: MilliCpu(1000),
        cpu_limit: Some(MilliCpu(1500)),
        memory_limit: Some(Bytes(64 << 20)),
        pids_limit: 100,
        oom_group: true,
        devices: Devices::Listed(Vec::new()),
    }
}

struct Fake {
    mount: tempfile::TempDir,
    cgroups: Cgroups,
    uid: GroupUid,
}

/// An opened root whose files promise all capabilities.
fn fake() -> Fake {
    let mount = tempfile::tempdir().unwrap();
    fill(mount.path());
    let root = mount.path().join("root");
    fs::create_dir(&root).unwrap();
    fill(&root);
    for promise in ["memory.swap.max", "memory.oom.group", "cgroup.kill"] {
        fs::write(root.join(promise), "").unwrap();
    }
    let root = CgroupRoot::new("root").unwrap();
    Fake {
        cgroups: Cgroups::open(Hierarchy::v2(mount.path()), root).unwrap(),
        mount,
        uid: GroupUid::new("g1").unwrap(),
    }
}

#[test]
fn capabilities_follow_the_files() {
    let fake = fake();
    let able = fake.cgroups.capabilities();
    assert!(able.v2 && able.swap_limit && able.oom_group && able.io_counters && able.kill_file);
    assert!(!able.device_list);
    let warnings: Vec<String> = able.warnings().map(|w| w.to_string()).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("CAP_MKNOD"));
}

#[test]
fn a_root_without_controllers_is_an_error() {
    let mount = tempfile::tempdir().unwrap();
    let root = CgroupRoot::new("root").unwrap();
    let error = Cgroups::open(Hierarchy::v2(mount.path()), root).unwrap_err();
    assert!(
        matches!(
            error,
            CgroupError::Enable {
                controller: "cpu",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn limits_reach_the_files() {
    let fake = fake();
    let group = fake.cgroups.group(&fake.uid);
    let dir = fake.mount.path().join("root/g1");
    fs::create_dir(&dir).unwrap();
    fill(&dir);
    group.set_limits(&limits()).unwrap();
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    for (file, value) in [
        ("pids.max", "100"),
        ("memory.max", "67108864"),
        ("memory.swap.max", "0"),
        ("memory.oom.group", "1"),
        ("cpu.weight", "100"),
        ("cpu.max", "150000 100000"),
    ] {
        assert_eq!(read(file), value, "{file}");
    }
    let lifted = Limits {
        cpu_limit: None,
        memory_limit: None,
        oom_group: false,
        ..limits()
    };
    group.set_limits(&lifted).unwrap();
    for (file, value) in [
        ("memory.max", "max"),
        ("memory.swap.max", "max"),
        ("memory.oom.group", "0"),
        ("cpu.max", "max 100000"),
    ] {
        assert_eq!(read(file), value, "{file}");
    }
}

#[test]
fn only_what_is_higher_is_raised_and_only_amounts_are_resized() {
    let fake = fake();
    let group = fake.cgroups.group(&fake.uid);
    let dir = fake.mount.path().join("root/g1");
    fs::create_dir(&dir).unwrap();
    fill(&dir);
    group.set_limits(&limits()).unwrap();
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let to = Limits {
        cpu_limit: Some(MilliCpu(1000)),
        memory_limit: Some(Bytes(128 << 20)),
        pids_limit: 7,
        ..limits()
    };
    group.raise(&to).unwrap();
    assert_eq!(read("memory.max"), (128 << 20).to_string());
    assert_eq!(read("cpu.max"), "150000 100000");
    group.resize(&to).unwrap();
    assert_eq!(read("cpu.max"), "100000 100000");
    assert_eq!(read("pids.max"), "100");
    let beyond = |bytes| {
        let memory_limit = Some(Bytes(bytes));
        group.memory_beyond(&Limits {
            memory_limit,
            ..limits()
        })
    };
    assert_eq!(beyond(5000).unwrap(), Some(Bytes(6000)));
    assert_eq!(beyond(6000).unwrap(), None);
}

#[test]
fn a_failed_make_leaves_nothing_and_an_old_one_is_refused() {
    let fake = fake();
    // No `cpu.max` in a new plain directory: the limits cannot be written. What was written so
    // far are plain files here, so the directory stays; on a cgroup file system it goes.
    let error = fake.cgroups.create_group(&fake.uid, &limits()).unwrap_err();
    assert!(
        matches!(&error, CgroupError::Write { path, .. } if path.ends_with("cpu.max")),
        "{error}"
    );
    let error = fake.cgroups.create_group(&fake.uid, &limits()).unwrap_err();
    assert!(matches!(error, CgroupError::Exists(_)), "{error}");
    assert_eq!(error.kind(), burstlet_model::ErrorKind::AlreadyExists);
}

#[test]
fn gauges_read_what_their_files_say_now() {
    let fake = fake();
    let dir = fake.mount.path().join("root/g1");
    fs::create_dir(&dir).unwrap();
    fill(&dir);
    let mut gauges = Gauges::default();
    let mut read = |with_cpu| gauges.read(&fake.cgroups, &fake.uid, with_cpu);
    let reading = |memory, cpu_ns| Reading {
        memory: Bytes(memory),
        cpu_ns,
    };
    assert_eq!(read(true).unwrap(), reading(9000, Some(7000)));
    fs::write(dir.join("memory.current"), "10\n").unwrap();
    assert_eq!(read(false).unwrap(), reading(10, None));
    fs::write(dir.join("memory.current"), "nothing").unwrap();
    let error = read(true).unwrap_err();
    assert!(matches!(error, CgroupError::Content { .. }), "{error}");
    fs::write(dir.join("memory.current"), "11\n").unwrap();
    assert_eq!(read(true).unwrap(), reading(11, Some(7000)));
    gauges.keep(&HashSet::new());
    fs::remove_dir_all(&dir).unwrap();
    let error = gauges.read(&fake.cgroups, &fake.uid, true).unwrap_err();
    assert_eq!(error.kind(), burstlet_model::ErrorKind::NotFound);
}

#[test]
fn usage_is_read() {
    let fake = fake();
    let dir = fake.mount.path().join("root/g1");
    fs::create_dir(&dir).unwrap();
    fill(&dir);
    let group = fake.cgroups.group(&fake.uid);
    let usage = Usage {
        at: BootTime(5),
        cpu_ns: 7000,
        memory_working_set: Bytes(6000),
        memory: Bytes(9000),
        memory_peak: Some(Bytes(9500)),
        oom_kills: 2,
        pids: 3,
        io_read: Bytes(1),
        io_written: Bytes(2),
    };
    assert_eq!(group.usage(BootTime(5)).unwrap(), usage);
    let last = FinalUsage {
        cpu_ns: Some(7000),
        oom_kills: Some(2),
        memory_peak: Some(Bytes(9500)),
        io: Some(IoUsage {
            read: Bytes(1),
            written: Bytes(2),
        }),
    };
    assert_eq!(group.final_usage().unwrap(), last);
    fs::write(dir.join("memory.stat"), "anon 1\n").unwrap();
    let error = group.usage(BootTime(5)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} has no inactive_file", dir.join("memory.stat").display())
    );
    let absent = fake.cgroups.group(&GroupUid::new("other").unwrap());
    assert_eq!(
        absent.usage(BootTime(5)).unwrap_err().kind(),
        burstlet_model::ErrorKind::NotFound
    );
    assert_eq!(absent.final_usage().unwrap(), FinalUsage::default());
}

#[test]
fn paths_for_the_keeper() {
    let fake = fake();
    let name = ContainerName::new("web").unwrap();
    let directory = fake.mount.path().join("root/g1/web");
    let container = fake.cgroups.container(&fake.uid, &name);
    assert_eq!(container.join_paths(), JoinPaths::V2 { directory });
    let keeper = fake.cgroups.keeper(&fake.uid);
    assert_eq!(keeper.path(), Path::new("root/g1/_keeper"));
}

#[test]
fn list_shows_groups_only() {
    let fake = fake();
    let daemon = ContainerName::new("launcher").unwrap();
    fake.cgroups.daemon(&daemon).unwrap();
    assert!(fake.mount.path().join("root/_launcher").is_dir());
    for name in ["b", "a", "Not.A.Uid"] {
        fs::create_dir(fake.mount.path().join("root").join(name)).unwrap();
    }
    let found = fake.cgroups.list().unwrap();
    assert_eq!(found, ["a", "b"].map(|uid| GroupUid::new(uid).unwrap()));
    let error = fake.cgroups.remove_root(Duration::ZERO).unwrap_err();
    assert!(matches!(error, CgroupError::Busy { .. }), "{error}");
}

#[test]
fn killing_writes_the_kill_file_and_reports_survivors() {
    let fake = fake();
    let dir = fake.mount.path().join("root/g1");
    fs::create_dir(&dir).unwrap();
    fill(&dir);
    fs::write(dir.join("cgroup.kill"), "").unwrap();
    let group = fake.cgroups.group(&fake.uid);
    group.kill_all(Duration::from_secs(5)).unwrap();
    assert_eq!(fs::read_to_string(dir.join("cgroup.kill")).unwrap(), "1");

    fs::write(dir.join("cgroup.events"), "populated 1\n").unwrap();
    fs::write(dir.join("cgroup.procs"), "4194305\n0\n").unwrap();
    let error = group.kill_all(Duration::from_millis(1)).unwrap_err();
    assert!(
        matches!(error, CgroupError::Unkillable { left: 1, .. }),
        "{error}"
    );

    let absent = fake.cgroups.group(&GroupUid::new("other").unwrap());
    absent.kill_all(Duration::ZERO).unwrap();
    absent.remove(Duration::ZERO).unwrap();
}
