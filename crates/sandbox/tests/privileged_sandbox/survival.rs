//! Who survives whom.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use burstlet_model::ContainerName;
use burstlet_sandbox::client::{ClientError, KeeperEvent};
use burstlet_sandbox::exits::ExitRecord;
use burstlet_sandbox::plan::{
    CgroupEntry, ContainerCgroup, FINAL_READ_BYTES_MAX, FinalRead, LAST_WORDS, MountPlan,
    MountSource, Outside,
};
use burstlet_sandbox::protocol::ContainerPhase;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Node, wait_until, within};

fn alive(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_outlives_its_client_and_is_adopted() {
    let node = Node::new();
    let group = node.create(node.group_plan("live-1")).await;
    let (uid, dir) = (group.uid.clone(), group.dir.clone());
    let run = |name: &str, args: &[&str]| group.link.keeper.run(node.container(&group, name, args));
    let a = within(run("a", &["sh", "-c", "sleep 0.3; echo late; sleep 1000"]))
        .await
        .unwrap();
    within(run("b", &["sh", "-c", "sleep 0.2; exit 9"]))
        .await
        .unwrap();
    drop(group);
    let b = ContainerName::new("b").unwrap();
    wait_until(|| ExitRecord::read(&dir, &b, 0).unwrap().is_some()).await;
    let record = ExitRecord::read(&dir, &b, 0).unwrap().unwrap();
    assert_eq!(record.exit.code, Some(9));

    let adopted = within(node.launcher.adopt(&uid)).await.unwrap();
    let view = |name: &str| {
        adopted
            .snapshot
            .containers
            .iter()
            .find(|c| c.name.as_str() == name)
            .unwrap()
    };
    assert_eq!(
        (view("a").phase, view("a").pid),
        (ContainerPhase::Running, Some(a.pid))
    );
    assert_eq!(view("a").started, a.started);
    assert_eq!(view("b").exit.as_ref(), Some(&record.exit));
    assert!(adopted.connected.network.is_some());
    assert_eq!(node.launcher.groups().unwrap(), std::slice::from_ref(&uid));
    let mut group = crate::harness::Group {
        uid: uid.clone(),
        dir,
        link: adopted.connected,
    };
    let a = ContainerName::new("a").unwrap();
    wait_until(|| group.log_of("a") == "late\n").await;
    within(group.link.keeper.signal(&a, 9)).await.unwrap();
    assert_eq!(group.exit_of("a").await.signal, Some(9));

    // A second client takes over from the first.
    let second = within(node.launcher.adopt(&uid)).await.unwrap();
    assert_eq!(
        within(group.link.events.recv()).await,
        Some(KeeperEvent::Lost)
    );
    let lost = within(group.link.keeper.snapshot()).await;
    assert!(matches!(lost, Err(ClientError::Lost)));
    group.link = second.connected;
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_die_with_their_keeper_and_with_nobody_else() {
    let node = Node::new();
    let mut group = node.create(node.group_plan("die-1")).await;
    let plan = node.container(&group, "a", &["sh", "-c", "sleep 1000 & sleep 1000"]);
    let a = within(group.link.keeper.run(plan)).await.unwrap();
    within(node.launcher.quit()).await.unwrap();
    assert!(
        within(group.link.keeper.snapshot()).await.is_ok(),
        "it outlives the launcher"
    );
    let other = node.create(node.group_plan("die-2")).await;
    kill(Pid::from_raw(group.link.keeper.pid()), Signal::SIGKILL).unwrap();
    assert_eq!(
        within(group.link.events.recv()).await,
        Some(KeeperEvent::Lost)
    );
    wait_until(|| !alive(a.pid)).await;
    let gone = within(node.launcher.adopt(&group.uid)).await;
    assert!(matches!(gone, Err(ClientError::NoKeeper(_))));
    // Its launcher was gone too, so its socket is the agent's to remove.
    fs::remove_file(
        node.launcher
            .run_dir()
            .join(format!("keepers/{}.sock", group.uid)),
    )
    .unwrap();
    node.finish(vec![other]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_is_killed_leaves_no_socket() {
    let node = Node::new();
    let group = node.create(node.group_plan("die-3")).await;
    kill(Pid::from_raw(group.link.keeper.pid()), Signal::SIGKILL).unwrap();
    wait_until(|| node.launcher.groups().unwrap().is_empty()).await;
    node.finish(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_container_leaves_no_process_though_processes_are_shared() {
    let node = Node::new();
    let cgroups = TestCgroups::new("die-4");
    let mut plan = node.group_plan("die-4");
    plan.share_process_namespace = true;
    let mut group = node.create(plan).await;
    let mut plan = node.container(
        &group,
        "a",
        &["sh", "-c", "sleep 1111 & sleep 1111 & exit 2"],
    );
    plan.cgroup = Some(cgroups.container());
    plan.final_reads = cgroups.final_reads();
    let (exit, _) = group.run_to_end(plan).await;
    assert_eq!(exit.code, Some(2));
    let value = |key: &str| {
        exit.finals
            .iter()
            .find(|v| v.key == key)
            .unwrap()
            .content
            .clone()
    };
    let used = value("cpu").unwrap();
    let used = used
        .lines()
        .next()
        .unwrap()
        .trim_start_matches("usage_usec ");
    assert!(used.parse::<u64>().unwrap() > 0);
    assert_eq!(exit.finals.len(), 2);
    wait_until(|| cgroups.processes().is_empty()).await;
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn last_words_are_bounded_and_told_with_the_end() {
    let node = Node::new();
    let mut group = node.create(node.group_plan("die-5")).await;
    let script = "echo kept >/words; dd if=/dev/zero of=/words bs=1k count=1k seek=4 2>&1; \
                  stat -c %s /words; rm /words 2>&1; ls /words";
    let words = MountPlan {
        destination: "/words".into(),
        source: MountSource::LastWords,
        read_only: false,
        options: vec!["nosuid".into()],
    };
    for name in ["a", "b"] {
        let mut plan = node.container(&group, name, &["sh", "-c", script]);
        plan.mounts = vec![words.clone()];
        let (exit, log) = group.run_to_end(plan).await;
        assert!(log.contains("No space left on device"), "{log}");
        assert!(log.contains("65536\n"), "{log}");
        assert!(log.contains("busy") && log.ends_with("/words\n"), "{log}");
        let told = exit.finals.iter().find(|value| value.key == LAST_WORDS);
        let told = told.unwrap().content.as_deref().unwrap();
        assert_eq!(told.trim_end_matches('\0'), "kept\n");
        assert_eq!(told.len(), FINAL_READ_BYTES_MAX);
    }
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_made_from_inside() {
    let node = Node::new();
    let group = node.create(node.group_plan("dial-1")).await;
    // The namespace is empty: the test plays the network's part and brings the loopback up.
    let network = group.link.network.as_ref().unwrap().try_clone().unwrap();
    std::thread::spawn(move || {
        nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let up = std::process::Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status();
        assert!(up.unwrap().success());
    })
    .join()
    .unwrap();
    let plan = node.container(&group, "a", &["nc", "-l", "-p", "80", "-e", "cat"]);
    within(group.link.keeper.run(plan)).await.unwrap();
    let address = "127.0.0.1:80".parse().unwrap();
    let fd = within(async {
        loop {
            match group.link.keeper.dial(address).await {
                Ok(fd) => return fd,
                Err(ClientError::Refused(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    let mut stream = TcpStream::from(fd);
    stream.set_nonblocking(false).unwrap();
    stream.write_all(b"ping").unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"ping");
    node.finish(vec![group]).await;
}

/// A cgroup of this test's own: a directory on version 2, one in each of two trees on version 1.
struct TestCgroups {
    dirs: Vec<std::path::PathBuf>,
    v2: bool,
}

impl TestCgroups {
    fn new(name: &str) -> Self {
        let name = format!("burstlet-sandbox-{name}-{}", std::process::id());
        let v2 = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let trees: &[&str] = if v2 { &["."] } else { &["cpuacct", "pids"] };
        let dirs = trees
            .iter()
            .map(|tree| format!("/sys/fs/cgroup/{tree}/{name}").into());
        let cgroups = Self {
            dirs: dirs.collect(),
            v2,
        };
        for dir in &cgroups.dirs {
            fs::create_dir(dir).expect("cgroups are mounted");
        }
        cgroups
    }

    fn container(&self) -> ContainerCgroup {
        let entry = if self.v2 {
            CgroupEntry::BornIn(Outside::Path(self.dirs[0].clone()))
        } else {
            let tasks = self.dirs.iter().map(|dir| Outside::Path(dir.join("tasks")));
            CgroupEntry::Tasks(tasks.collect())
        };
        ContainerCgroup {
            shown: Vec::new(),
            entry,
            procs: Some(Outside::Path(self.dirs[0].join("cgroup.procs"))),
        }
    }

    /// Its processor time, which every cgroup has, and its state.
    fn final_reads(&self) -> Vec<FinalRead> {
        let files = if self.v2 {
            [("cpu", 0, "cpu.stat"), ("state", 0, "cgroup.events")]
        } else {
            [("cpu", 0, "cpuacct.usage"), ("state", 1, "pids.current")]
        };
        let read = |(key, dir, file): (&str, usize, &str)| FinalRead {
            key: key.into(),
            file: Outside::Path(self.dirs[dir].join(file)),
        };
        files.map(read).into()
    }

    fn processes(&self) -> String {
        fs::read_to_string(self.dirs[0].join("cgroup.procs")).unwrap()
    }
}

impl Drop for TestCgroups {
    fn drop(&mut self) {
        for dir in &self.dirs {
            let removed = fs::remove_dir(dir);
            assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
        }
    }
}
