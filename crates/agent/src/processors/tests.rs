use std::fs;
use std::path::Path;

use burstlet_cgroup::{CgroupRoot, Hierarchy};
use burstlet_model::spec::{ResourceList, Resources};
use burstlet_model::{Bytes, MilliCpu, Topology};
use burstlet_testkit::spec::{container, group};

use super::*;

fn uid(name: &str) -> GroupUid {
    GroupUid::new(name).unwrap()
}

fn amounts(milli: u64, mib: u64) -> ResourceList {
    ResourceList {
        cpu: Some(MilliCpu(milli)),
        memory: Some(Bytes(mib << 20)),
        ..ResourceList::default()
    }
}

fn equal(amounts: ResourceList) -> Resources {
    Resources {
        requests: amounts,
        limits: amounts,
    }
}

/// One container that asks for all that it may use.
fn asking(milli: u64) -> GroupSpec {
    let mut web = container("web");
    web.resources = equal(amounts(milli, 64));
    group("web", vec![web])
}

/// A host of version 2 that stands for a kernel as far as files do, with four processors.
struct Fake {
    dir: tempfile::TempDir,
    cgroups: Cgroups,
}

impl Fake {
    fn new(groups: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("cgroup.subtree_control", "");
        put("root/cgroup.subtree_control", "");
        put("root/cpuset.cpus.effective", "0-3\n");
        for group in groups {
            put(&format!("root/{group}/cgroup.subtree_control"), "");
            put(&format!("root/{group}/cpuset.cpus"), "\n");
            put(&format!("root/{group}/_keeper/cpuset.cpus"), "\n");
        }
        let root = CgroupRoot::new("root").unwrap();
        let cgroups = Cgroups::open(Hierarchy::v2(dir.path()), root).unwrap();
        Self { dir, cgroups }
    }

    /// What an agent makes of it that keeps one processor for all.
    fn agent(&self, gives: bool) -> Processors {
        let all = "0-3".parse().unwrap();
        let pool = ProcessorPool::new(all, 1, Topology::default());
        let tree = self.cgroups.processors().unwrap();
        Processors(Some(
            Lender::open(&self.cgroups, tree, gives, pool, Duration::ZERO).unwrap(),
        ))
    }

    fn path(&self, group: &str) -> PathBuf {
        self.dir.path().join("root").join(group)
    }

    /// What the kernel was told of each of these.
    fn told(&self, groups: &[&str]) -> Vec<String> {
        let read = |group: &&str| told(&self.path(group).join("cpuset.cpus"));
        groups.iter().map(read).collect()
    }
}

fn told(path: &Path) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}

fn own(processors: &Processors, group: &str) -> Option<String> {
    processors.of(&uid(group)).map(|own| own.to_string())
}

#[test]
fn who_asks_for_whole_ones_has_them_until_its_end() {
    let fake = Fake::new(&["a", "b", "c"]);
    let agent = fake.agent(true);
    let all = ["a", "b", "c"];
    agent.begin(&uid("b"), &asking(1500)).unwrap();
    assert_eq!(fake.told(&all), ["", "", ""], "everybody shares all");
    agent.begin(&uid("a"), &asking(2000)).unwrap();
    assert_eq!(fake.told(&all), ["1-2", "0,3", "0,3"]);
    assert_eq!(own(&agent, "a").as_deref(), Some("1-2"));
    let refused = agent.begin(&uid("c"), &asking(2000)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    assert_eq!(own(&agent, "c"), None);
    agent.begin(&uid("c"), &asking(500)).unwrap();
    assert_eq!(fake.told(&all), ["1-2", "0,3", "0,3"]);
    let counts = ProcessorUse {
        shared: 2,
        exclusive: 2,
    };
    assert_eq!(agent.in_use(), counts);
    for _ in 0..2 {
        agent.end(&uid("a"), Duration::ZERO).unwrap();
        assert_eq!(fake.told(&["b", "c"]), ["0-3", "0-3"]);
    }
    assert_eq!(own(&agent, "a"), None);
}

#[test]
fn other_amounts_move_what_one_has_and_whole_ones_stay_whole() {
    let fake = Fake::new(&["a", "b"]);
    let agent = fake.agent(true);
    agent.begin(&uid("a"), &asking(1000)).unwrap();
    for (milli, own, shared) in [(3000, "1-3", "0"), (2000, "1-2", "0,3")] {
        agent.resize(&uid("a"), &asking(milli)).unwrap();
        assert_eq!(fake.told(&["a", "b"]), [own, shared]);
    }
    for (milli, kind) in [
        (1500, ErrorKind::FailedPrecondition),
        (4000, ErrorKind::Unavailable),
    ] {
        let refused = agent.resize(&uid("a"), &asking(milli)).unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
        assert_eq!(fake.told(&["a", "b"]), ["1-2", "0,3"]);
    }
    // Who shares goes on sharing.
    agent.resize(&uid("b"), &asking(1000)).unwrap();
    assert_eq!(own(&agent, "b"), None);
}

#[test]
fn the_next_agent_finds_who_has_what_wherever_the_last_one_went() {
    let fake = Fake::new(&["a", "b"]);
    fake.agent(true).begin(&uid("a"), &asking(1000)).unwrap();
    let next = fake.agent(true);
    assert_eq!(own(&next, "a").as_deref(), Some("1"));
    assert_eq!(fake.told(&["a", "b"]), ["1", "0,2-3"]);
    // The keeper's leaf was told, and the group was not.
    fs::write(fake.path("a").join("cpuset.cpus"), "0,2-3\n").unwrap();
    let next = fake.agent(true);
    assert_eq!(own(&next, "a").as_deref(), Some("1"));
    // Others had left, and nobody was told; that is also what the end of a group leaves.
    let keeper = fake.path("a").join("_keeper/cpuset.cpus");
    fs::write(keeper, "\n").unwrap();
    let next = fake.agent(true);
    assert_eq!(next.in_use().exclusive, 0);
    assert_eq!(fake.told(&["a", "b"]), ["0-3", "0-3"]);
}

#[test]
fn who_has_some_keeps_them_though_nobody_is_to_have_any_more() {
    let fake = Fake::new(&["a", "b"]);
    fake.agent(true).begin(&uid("a"), &asking(1000)).unwrap();
    let next = fake.agent(false);
    assert_eq!(own(&next, "a").as_deref(), Some("1"));
    next.begin(&uid("b"), &asking(1000)).unwrap();
    assert_eq!(own(&next, "b"), None);
    assert_eq!(fake.told(&["a", "b"]), ["1", "0,2-3"]);
    next.end(&uid("a"), Duration::ZERO).unwrap();
    assert_eq!(fake.told(&["b"]), ["0-3"]);
}

#[test]
fn what_is_taken_for_whole() {
    type Change = fn(&mut GroupSpec);
    let with = |change: Change| {
        let mut spec = asking(2000);
        change(&mut spec);
        spec.whole_processors()
    };
    assert_eq!(with(|_| ()), Some(2));
    let others: [(&str, Change, Option<usize>); 8] = [
        (
            "a sidecar",
            |g| add(g, equal(amounts(1000, 1)), true),
            Some(3),
        ),
        (
            "an init container",
            |g| add(g, equal(amounts(3000, 1)), false),
            Some(3),
        ),
        (
            "a part of one",
            |g| add(g, equal(amounts(100, 1)), true),
            None,
        ),
        ("nothing", |g| add(g, Resources::default(), false), None),
        (
            "more if it is there",
            |g| main(g).limits = amounts(3000, 64),
            None,
        ),
        ("more memory", |g| main(g).limits = amounts(2000, 65), None),
        (
            "all that there is",
            |g| main(g).limits = ResourceList::default(),
            None,
        ),
        (
            "as a whole",
            |g| g.resources = Some(equal(amounts(2000, 64))),
            None,
        ),
    ];
    for (what, change, whole) in others {
        assert_eq!(with(change), whole, "{what}");
    }
    assert_eq!(asking(0).whole_processors(), None);
}

fn main(group: &mut GroupSpec) -> &mut Resources {
    &mut group.containers[0].resources
}

/// Adds a container that begins before the others.
fn add(group: &mut GroupSpec, resources: Resources, stays: bool) {
    let mut other = container("other");
    other.resources = resources;
    other.restart_always = stays;
    group.init_containers.push(other);
}

#[test]
fn where_a_process_may_run() {
    let status = "Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n";
    assert_eq!(allowed(status), "0-1".parse().unwrap());
    assert!(allowed("").is_empty());
}

#[test]
fn who_comes_before_another_is_quite_gone_waits_for_what_that_had() {
    let fake = Fake::new(&["a", "b"]);
    let mut agent = fake.agent(true);
    agent.begin(&uid("a"), &asking(3000)).unwrap();
    agent.0.as_mut().unwrap().patience = Duration::from_secs(30);
    std::thread::scope(|scope| {
        let next = scope.spawn(|| agent.begin(&uid("b"), &asking(2000)));
        agent.end(&uid("a"), Duration::ZERO).unwrap();
        next.join().unwrap().unwrap();
    });
    assert_eq!(own(&agent, "b").as_deref(), Some("1-2"));
}
