//! The cgroups of this host. Needs root and a mounted cgroup interface; leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use burstlet_cgroup::{
    Cgroup, CgroupError, CgroupRoot, Cgroups, Devices, Gauges, Hierarchy, JoinPaths, Limits, Shared,
};
use burstlet_model::{
    BootTime, Bytes, ContainerName, DeviceNumber, ErrorKind, GroupUid, MilliCpu, ProcessorSet,
    Usage,
};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(10);

/// A root of its own for one test, removed with all that is in it.
struct Host {
    cgroups: Cgroups,
    uid: GroupUid,
}

impl Host {
    fn new(test: &str) -> Self {
        let root = CgroupRoot::new(format!("burstlet-test-{test}-{}", std::process::id())).unwrap();
        Self {
            cgroups: Cgroups::open(Hierarchy::detect().unwrap(), root).unwrap(),
            uid: GroupUid::new("group-1").unwrap(),
        }
    }

    fn container(&self, name: &str, limits: &Limits) -> Cgroup {
        let name = ContainerName::new(name).unwrap();
        self.cgroups
            .create_container(&self.uid, &name, limits)
            .unwrap()
    }

    /// A control file, wherever it is.
    fn file(&self, cgroup: &Cgroup, name: &str) -> Option<String> {
        let mounts = self.cgroups.hierarchy().mount_points();
        let mut files = mounts.map(|mount| mount.join(cgroup.path()).join(name));
        let found = files.find_map(|file| fs::read_to_string(file).ok());
        found.map(|text| text.trim().to_owned())
    }

    /// A control file of the root.
    fn root_file(&self, name: &str) -> Option<String> {
        let directories = self.directories();
        let found = directories
            .iter()
            .find_map(|dir| fs::read_to_string(dir.join(name)).ok());
        found.map(|text| text.trim().to_owned())
    }

    fn directories(&self) -> Vec<PathBuf> {
        let root = self.cgroups.group(&self.uid);
        let points = self.cgroups.hierarchy().mount_points();
        points
            .map(|mount| mount.join(root.path().parent().unwrap()))
            .collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let group = self.cgroups.group(&self.uid);
        let removed = group
            .kill_all(PATIENCE)
            .and_then(|()| group.remove(PATIENCE))
            .and_then(|()| self.cgroups.remove_root(PATIENCE));
        if !std::thread::panicking() {
            removed.unwrap();
            for dir in self.directories() {
                assert!(!dir.exists(), "{} is left", dir.display());
            }
        }
    }
}

fn limits() -> Limits {
    Limits {
        cpu_request: MilliCpu(500),
        cpu_limit: Some(MilliCpu(2000)),
        memory_limit: Some(Bytes(256 << 20)),
        pids_limit: 200,
        oom_group: true,
        devices: Devices::Inherit,
    }
}

/// Runs `script` in `cgroup`. The shell itself joins, by one write per hierarchy: it has one
/// thread, and `tasks` does not make it wait. (v2 lists need `cgroup.procs` outside of clone3.)
fn shell(cgroup: &Cgroup, script: &str) -> Child {
    let files: Vec<PathBuf> = match cgroup.join_paths() {
        JoinPaths::V1 { tasks } => tasks,
        JoinPaths::V2 { directory } => vec![directory.join("cgroup.procs")],
    };
    let joins: String = files
        .iter()
        .map(|file| format!("echo 0 > {} || exit 99; ", file.display()))
        .collect();
    Command::new("/bin/sh")
        .args(["-c", &format!("{joins}{script}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

fn usage(cgroup: &Cgroup) -> Usage {
    cgroup.usage(BootTime(0)).unwrap()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn privileged_limits_are_in_force_and_can_be_changed() {
    let host = Host::new("limits");
    let group = host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let leaf = host.container("a", &limits());
    assert_eq!(
        host.cgroups.list().unwrap(),
        std::slice::from_ref(&host.uid)
    );
    let again = host.cgroups.create_group(&host.uid, &limits()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);

    let file = |name: &str| host.file(&leaf, name);
    let (share, most) = match host.cgroups.capabilities().v2 {
        true => (("cpu.weight", "59"), ("cpu.max", "200000 100000")),
        false => (("cpu.shares", "512"), ("cpu.cfs_quota_us", "200000")),
    };
    for (name, value) in [share, most, ("pids.max", "200")] {
        assert_eq!(file(name).as_deref(), Some(value), "{name}");
    }
    for bytes in [64 << 20, 32 << 20, 128 << 20] {
        let memory_limit = Some(Bytes(bytes));
        leaf.set_limits(&Limits {
            memory_limit,
            ..limits()
        })
        .unwrap();
        let limit = file("memory.limit_in_bytes").or_else(|| file("memory.max"));
        assert_eq!(limit, Some(bytes.to_string()));
        if let Some(both) = file("memory.memsw.limit_in_bytes") {
            assert_eq!(both, bytes.to_string());
        }
    }
    let unlimited = Limits {
        cpu_limit: None,
        memory_limit: None,
        ..limits()
    };
    group.set_limits(&unlimited).unwrap();
    leaf.set_limits(&unlimited).unwrap();
}

#[test]
fn privileged_all_groups_together_weigh_what_they_may_ask_for() {
    let host = Host::new("share");
    host.cgroups.share(MilliCpu(16_000)).unwrap();
    let group = host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let v2 = host.cgroups.capabilities().v2;
    let (file, together, one) = match v2 {
        true => ("cpu.weight", "942", "59"),
        false => ("cpu.shares", "16384", "512"),
    };
    assert_eq!(host.file(&group, file).as_deref(), Some(one));
    assert_eq!(host.root_file(file).as_deref(), Some(together));
}

/// Where a process may run.
fn allowed(child: &Child) -> Option<ProcessorSet> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    list.parse().ok()
}

/// A process that sleeps in `cgroup` and, on v1, where the directory `processors` is.
fn sleeper(cgroup: &Cgroup, processors: Option<PathBuf>) -> Child {
    let join = processors.map(|tasks| format!("echo 0 > {} || exit 99; ", tasks.display()));
    shell(
        cgroup,
        &format!("{}exec sleep 1000", join.unwrap_or_default()),
    )
}

#[test]
fn privileged_a_group_has_processors_that_nobody_else_runs_on() {
    let host = Host::new("processors");
    let processors = host.cgroups.processors().unwrap();
    let all = processors.all().unwrap();
    assert!(all.len() > 1, "it needs two processors, and has {all}");
    let daemon = host.cgroups.daemon(&"launcher".parse().unwrap()).unwrap();
    let place = host.cgroups.processors_root().map(|dir| dir.join("tasks"));
    let mut other = sleeper(&daemon, place);
    host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let mut numbers = all.iter();
    let (first, second): (ProcessorSet, ProcessorSet) = (
        numbers.by_ref().take(1).collect(),
        numbers.take(1).collect(),
    );
    let mut child: Option<Child> = None;
    for own in [&second, &first] {
        let rest = all.without(own);
        let shared = Shared::new(rest.clone(), &all);
        processors.share(&shared, [&host.uid].into_iter()).unwrap();
        processors.give(&host.uid, own).unwrap();
        let keeper = host.cgroups.keeper(&host.uid);
        let child = child.get_or_insert_with(|| sleeper(&keeper, processors.tasks(&host.uid)));
        wait_for("it runs on its own", || {
            allowed(child).as_ref() == Some(own)
        });
        wait_for("others run on the rest", || {
            allowed(&other) == Some(rest.clone())
        });
        let owners = processors.owners().unwrap();
        assert_eq!(owners, [(host.uid.clone(), own.clone())].into());
    }
    let left = host.cgroups.processors_left().unwrap();
    assert_eq!(left.owners().unwrap().len(), 1, "the next agent knows");
    let group = host.cgroups.group(&host.uid);
    group.kill_all(PATIENCE).unwrap();
    child.unwrap().wait().unwrap();
    group.remove(PATIENCE).unwrap();
    processors.take_back(&host.uid, PATIENCE).unwrap();
    assert!(processors.owners().unwrap().is_empty());
    let shared = Shared::new(all.clone(), &all);
    processors.share(&shared, [].into_iter()).unwrap();
    wait_for("others run everywhere", || {
        allowed(&other) == Some(all.clone())
    });
    other.kill().unwrap();
    other.wait().unwrap();
}

/// On v1 neither may a child have more than its parent, nor a parent less than its child.
#[test]
fn privileged_what_runs_has_more_and_less() {
    let host = Host::new("resize");
    let group = host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let leaf = host.container("a", &limits());
    let mut child = shell(
        &leaf,
        "x=$(head -c 16777216 /dev/zero | tr '\\0' x); sleep 1000",
    );
    let sized = |milli: u64, mebi: u64| Limits {
        cpu_limit: Some(MilliCpu(milli)),
        memory_limit: Some(Bytes(mebi << 20)),
        pids_limit: 7,
        ..limits()
    };
    for (milli, mebi) in [(4000, 512), (1000, 128), (2000, 64)] {
        let to = sized(milli, mebi);
        group.raise(&to).unwrap();
        leaf.resize(&to).unwrap();
        group.resize(&to).unwrap();
        for cgroup in [&group, &leaf] {
            assert_eq!(bounds(&host, cgroup), [milli * 100, mebi << 20]);
        }
    }
    let pids = host.file(&leaf, "pids.max");
    assert_eq!(pids.as_deref(), Some("200"), "not asked for");
    wait_for("the memory is in use", || {
        leaf.memory_beyond(&sized(1, 8)).unwrap().is_some()
    });
    assert_eq!(leaf.memory_beyond(&sized(1, 64)).unwrap(), None);
    let unbounded = Limits {
        memory_limit: None,
        ..limits()
    };
    assert_eq!(leaf.memory_beyond(&unbounded).unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Microseconds of processor time in each period, and bytes of memory.
fn bounds(host: &Host, cgroup: &Cgroup) -> [u64; 2] {
    let names = match host.cgroups.capabilities().v2 {
        true => ["cpu.max", "memory.max"],
        false => ["cpu.cfs_quota_us", "memory.limit_in_bytes"],
    };
    names.map(|name| {
        let text = host.file(cgroup, name).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    })
}

#[test]
fn privileged_usage_counts_the_group_with_its_containers() {
    let host = Host::new("usage");
    let group = host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let leaf = host.container("a", &limits());
    // What it becomes at the end is charged to the cgroup as a whole; the shell was when it joined.
    let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exec sleep 0";
    let mut busy = shell(&leaf, script);
    assert!(busy.wait().unwrap().success());
    let of_leaf = leaf.last_usage(BootTime(0), PATIENCE).unwrap();
    let of_group = usage(&group);
    assert!(of_leaf.cpu_ns > 1_000_000, "{of_leaf:?}");
    assert!(
        of_group.cpu_ns >= of_leaf.cpu_ns,
        "{of_group:?} {of_leaf:?}"
    );
    assert!(of_leaf.memory_peak.is_none_or(|peak| peak.0 > 0));
    assert_eq!(of_leaf.pids, 0);
    assert_eq!(leaf.final_usage().unwrap().cpu_ns, Some(of_leaf.cpu_ns));
    assert_eq!(leaf.final_usage().unwrap().oom_kills, Some(0));
    leaf.remove(PATIENCE).unwrap();
    assert!(usage(&group).cpu_ns >= of_leaf.cpu_ns, "kept by the parent");
}

/// A group that is started anew has a new cgroup by the old name: what its files say is told, and
/// nothing by those of the old one.
#[test]
fn privileged_gauges_find_a_cgroup_that_was_made_anew() {
    let host = Host::new("gauges");
    let mut gauges = Gauges::default();
    let mut read = || gauges.read(&host.cgroups, &host.uid, true);
    for _ in 0..3 {
        assert_eq!(read().unwrap_err().kind(), ErrorKind::NotFound);
        let group = host.cgroups.create_group(&host.uid, &limits()).unwrap();
        assert_eq!(read().unwrap().cpu_ns, Some(0));
        let leaf = host.container("a", &limits());
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
        assert!(shell(&leaf, script).wait().unwrap().success());
        let counted = leaf.last_usage(BootTime(0), PATIENCE).unwrap().cpu_ns;
        assert!(read().unwrap().cpu_ns >= Some(counted).filter(|ns| *ns > 0));
        group.remove(PATIENCE).unwrap();
    }
}

/// What the group counts of a container stays when the container's cgroup is gone, and has all that was
/// ever used in it: nothing may be added to what was read last.
#[test]
fn privileged_the_last_reading_has_all_that_was_used() {
    let host = Host::new("last");
    let group = host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let mut read = 0;
    for round in 0..20_u64 {
        let leaf = host.container("a", &limits());
        let mut busy = shell(
            &leaf,
            "kill -STOP $$; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done",
        );
        let pid = Pid::from_child(&busy);
        wait_for("it has stopped", || {
            fs::read_to_string(format!("/proc/{}/stat", busy.id()))
                .unwrap()
                .contains(") T ")
        });
        let error = leaf.last_usage(BootTime(0), Duration::ZERO).unwrap_err();
        assert!(
            matches!(error, CgroupError::Busy { processes: 1, .. }),
            "{error}"
        );
        kill_process(pid, Signal::CONT).unwrap();
        read += leaf.last_usage(BootTime(0), PATIENCE).unwrap().cpu_ns;
        assert!(busy.wait().unwrap().success());
        leaf.remove(PATIENCE).unwrap();
        let counted = usage(&group).cpu_ns;
        // The second version tells whole microseconds, of each cgroup by itself.
        let is_whole = counted.is_multiple_of(1000) && read.is_multiple_of(1000);
        let rounding_ns = if is_whole { (round + 1) * 1000 } else { 0 };
        assert!(
            (read..=read + rounding_ns).contains(&counted),
            "round {round}: {counted} ns of the group, {read} ns of its containers"
        );
    }
}

#[test]
fn privileged_a_fork_bomb_ends() {
    let host = Host::new("bomb");
    host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let leaf = host.container("a", &limits());
    let other = host.container("b", &limits());
    let mut bystander = shell(&other, "exec sleep 1000");
    let mut bomb = shell(
        &leaf,
        "trap '' TERM; b() { b & b & wait; b; }; b 2>/dev/null",
    );
    wait_for("the bomb is at its limit", || usage(&leaf).pids >= 150);
    assert!(usage(&leaf).pids <= 200);

    let before = Instant::now();
    leaf.kill_all(PATIENCE).unwrap();
    assert!(
        before.elapsed() < Duration::from_secs(5),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(leaf.processes().unwrap(), []);
    assert_eq!(bomb.wait().unwrap().signal(), Some(9));
    assert_eq!(bystander.try_wait().unwrap(), None, "the neighbour was hit");
    leaf.remove(PATIENCE).unwrap();
    assert!(!leaf.exists() && other.exists());

    host.cgroups.group(&host.uid).kill_all(PATIENCE).unwrap();
    assert_eq!(bystander.wait().unwrap().signal(), Some(9));
}

#[test]
fn privileged_frozen_and_stopped_processes_are_killed() {
    let host = Host::new("frozen");
    let group = host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let leaf = host.container("a", &limits());
    let mut stopped = shell(&leaf, "kill -STOP $$; exec sleep 1000");
    wait_for("the process is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", stopped.id())).unwrap();
        stat.contains(") T ")
    });
    freeze(&host, &leaf);
    group.kill_all(PATIENCE).unwrap();
    assert_eq!(stopped.wait().unwrap().signal(), Some(9));
}

/// Freezes a cgroup as anybody on the host may.
fn freeze(host: &Host, cgroup: &Cgroup) {
    let frozen = host
        .cgroups
        .hierarchy()
        .mount_points()
        .map(|mount| mount.join(cgroup.path()))
        .find_map(|dir| {
            [("freezer.state", "FROZEN"), ("cgroup.freeze", "1")]
                .into_iter()
                .find_map(|(file, value)| fs::write(dir.join(file), value).ok())
        });
    assert!(frozen.is_some(), "no freezer was found");
}

#[test]
fn privileged_what_was_killed_while_frozen_dies_when_it_is_thawed() {
    let host = Host::new("thawed");
    let group = host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let leaf = host.container("a", &limits());
    let mut sleeper = shell(&leaf, "exec sleep 1000");
    freeze(&host, &leaf);
    sleeper.kill().unwrap();
    group.thaw().unwrap();
    assert_eq!(sleeper.wait().unwrap().signal(), Some(9));
}

#[test]
fn privileged_oom_kills_are_counted() {
    let host = Host::new("oom");
    let group = host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let leaf = host.container("a", &small(false));
    let mut hog = shell(&leaf, HOG);
    assert_eq!(hog.wait().unwrap().signal(), Some(9));
    assert_eq!(usage(&leaf).oom_kills, 1);
    assert_eq!(leaf.final_usage().unwrap().oom_kills, Some(1));
    assert_eq!(usage(&group).oom_kills, 1);
}

#[test]
fn privileged_memory_that_runs_out_ends_the_whole_container() {
    let host = Host::new("oom-group");
    host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let leaf = host.container("a", &small(true));
    let mut bystander = shell(&leaf, "exec sleep 1000");
    wait_for("it has joined", || usage(&leaf).pids == 1);
    let mut hog = shell(&leaf, HOG);
    assert_eq!(hog.wait().unwrap().signal(), Some(9));
    if host.cgroups.capabilities().oom_group {
        assert_eq!(bystander.wait().unwrap().signal(), Some(9));
        // The kernel counts the process that it chose again with the rest.
        assert!((2..=3).contains(&usage(&leaf).oom_kills));
    } else {
        assert_eq!(bystander.try_wait().unwrap(), None);
        leaf.kill_all(PATIENCE).unwrap();
        assert_eq!(bystander.wait().unwrap().signal(), Some(9));
    }
}

/// `tail` keeps what it has read while it looks for the last line.
const HOG: &str = "exec tail /dev/zero";

/// A limit that is soon reached.
fn small(oom_group: bool) -> Limits {
    Limits {
        memory_limit: Some(Bytes(16 << 20)),
        oom_group,
        ..limits()
    }
}

#[test]
fn privileged_a_busy_cgroup_is_not_removed() {
    let host = Host::new("busy");
    let group = host.cgroups.create_group(&host.uid, &limits()).unwrap();
    let leaf = host.container("a", &limits());
    let mut sleeper = shell(&leaf, "exec sleep 1000");
    wait_for("it has joined", || {
        fs::read_to_string(format!("/proc/{}/comm", sleeper.id())).unwrap() == "sleep\n"
    });
    let before = Instant::now();
    let error = group.remove(Duration::from_millis(20)).unwrap_err();
    assert!(
        matches!(error, CgroupError::Busy { processes: 1, .. }),
        "{error}"
    );
    assert!(
        before.elapsed() < Duration::from_secs(2),
        "{:?}",
        before.elapsed()
    );

    let pid = sleeper.id().to_string();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        assert!(
            Command::new("kill")
                .args(["-9", &pid])
                .status()
                .unwrap()
                .success()
        );
    });
    let before = Instant::now();
    group.remove(PATIENCE).unwrap();
    assert!(
        before.elapsed() < Duration::from_secs(2),
        "{:?}",
        before.elapsed()
    );
    killer.join().unwrap();
    sleeper.wait().unwrap();
    assert!(!group.exists());
}

#[test]
fn privileged_only_default_devices_open() {
    let host = Host::new("devices");
    let listed = Limits {
        devices: Devices::Listed(Vec::new()),
        ..limits()
    };
    host.cgroups.create_group(&host.uid, &listed).unwrap();
    let leaf = host.container("a", &limits());
    let mut allowed = shell(&leaf, "echo x > /dev/null && head -c 1 /dev/urandom");
    assert!(allowed.wait().unwrap().success());
    if host.cgroups.capabilities().device_list {
        let mut denied = shell(&leaf, "! head -c 0 /dev/kmsg 2>/dev/null");
        assert!(
            denied.wait().unwrap().success(),
            "/dev/kmsg could be opened"
        );
    }
}

#[test]
fn privileged_devices_open_where_they_are_listed_and_nowhere_else() {
    let host = Host::new("lent");
    let listed = |own: &[DeviceNumber]| Limits {
        devices: Devices::Listed(own.to_vec()),
        ..limits()
    };
    let group = host.cgroups.create_group(&host.uid, &listed(&[])).unwrap();
    let kmsg: DeviceNumber = "c 1:11".parse().unwrap();
    if !host.cgroups.capabilities().device_list {
        let error = group.allow_devices(&[kmsg]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        return;
    }
    let name = ContainerName::new("own").unwrap();
    let early = host
        .cgroups
        .create_container(&host.uid, &name, &listed(&[kmsg]));
    assert_eq!(early.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(!host.cgroups.container(&host.uid, &name).exists());

    let opens = |cgroup: &Cgroup| {
        shell(cgroup, ": 2>/dev/null >>/dev/kmsg")
            .wait()
            .unwrap()
            .success()
    };
    let before = host.container("before", &limits());
    group.allow_devices(&[kmsg]).unwrap();
    group.allow_devices(&[kmsg]).unwrap();
    let own = host.container("own", &listed(&[kmsg]));
    let neighbour = host.container("neighbour", &listed(&[]));
    assert!(opens(&own), "its own device");
    assert!(!opens(&before), "who was there before is given nothing");
    assert!(!opens(&neighbour), "a neighbour is given nothing");
    own.resize(&limits()).unwrap();
    assert!(opens(&own), "it keeps what is its own over a resize");
}
