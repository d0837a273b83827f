//! What a container is, seen from inside and outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use burstlet_sandbox::client::{ClientError, KeeperEvent};
use burstlet_sandbox::plan::{MemoryFile, MountPlan, MountSource, Outside};
use burstlet_sandbox::protocol::{FailureClass, Started};
use oci_spec::runtime::{PosixRlimitBuilder, PosixRlimitType, UserBuilder};

use crate::harness::{IDS, Node, allow_all, exec_plan, process, wait_until, within};

fn namespaces(pid: i32) -> BTreeMap<String, u64> {
    ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
        .into_iter()
        .map(|name| {
            let inode = fs::metadata(format!("/proc/{pid}/ns/{name}"))
                .unwrap()
                .ino();
            (name.to_owned(), inode)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_its_own_world_and_ids() {
    let node = Node::new();
    let mut plan = node.group_plan("iso-1");
    plan.sysctls
        .insert("net.ipv4.ip_unprivileged_port_start".into(), "77".into());
    plan.sysctls
        .insert("kernel.shm_rmid_forced".into(), "1".into());
    let mut group = node.create(plan).await;
    let script = "id -u; hostname; cat /proc/self/uid_map; ls /proc/self/fd | wc -l; \
        cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced; echo $A $HOME; touch /tmp/x; \
        echo to-stdout > /dev/stdout; ls /sys/fs/cgroup | wc -l; readlink /proc/self/cwd";
    let (exit, log) = group
        .run_to_end(node.container(&group, "a", &["sh", "-c", script]))
        .await;
    assert_eq!(exit.code, Some(0), "{log}");
    let lines: Vec<String> = log
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let map = format!("0 {} {}", IDS.host_base, IDS.len);
    assert_eq!(
        lines,
        [
            "0",
            "web",
            &map,
            "4",
            "77",
            "1",
            "1 /",
            "to-stdout",
            "0",
            "/work"
        ]
    );
    let file = group.dir.join("c/a/upper/tmp/x");
    assert_eq!(fs::metadata(file).unwrap().uid(), IDS.host_base);
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_share_what_a_group_shares() {
    let node = Node::new();
    let group = node.create(node.group_plan("iso-2")).await;
    let sleep = ["sleep", "1000"];
    let a = within(group.link.keeper.run(node.container(&group, "a", &sleep)))
        .await
        .unwrap();
    let b = within(group.link.keeper.run(node.container(&group, "b", &sleep)))
        .await
        .unwrap();
    let (a, b, own) = (
        namespaces(a.pid),
        namespaces(b.pid),
        namespaces(std::process::id() as i32),
    );
    for name in ["ipc", "net", "user", "uts"] {
        assert_eq!(a[name], b[name], "{name}");
    }
    for name in ["cgroup", "mnt", "pid"] {
        assert_ne!(a[name], b[name], "{name}");
    }
    assert!(
        own.iter().all(|(name, inode)| a[name] != *inode),
        "nothing is the host's"
    );
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_joins_the_processes_of_its_target_and_ends_with_it() {
    let node = Node::new();
    let mut group = node.create(node.group_plan("iso-9")).await;
    let look = |name: &str, script: &str| {
        let mut plan = node.container(&group, name, &["sh", "-c", script]);
        plan.target = Some("a".parse().unwrap());
        plan
    };
    let early = within(group.link.keeper.run(look("early", "true"))).await;
    assert_eq!(class(early), FailureClass::NotFound);
    let a = node.container(&group, "a", &["sleep", "1000"]);
    let a = within(group.link.keeper.run(a)).await.unwrap();
    let script = "tr '\\0' ' ' </proc/1/cmdline; ps | grep -c 'sleep 1000$'; exit 3";
    let (once, forever) = (look("once", script), look("forever", "sleep 2000; true"));
    let late = look("late", "true");
    let (exit, log) = group.run_to_end(once).await;
    assert_eq!((exit.code, log.as_str()), (Some(3), "sleep 1000 1\n"));
    let forever = within(group.link.keeper.run(forever)).await.unwrap();
    let (a, forever) = (namespaces(a.pid), namespaces(forever.pid));
    for (name, shared) in [("pid", true), ("user", true), ("net", true), ("mnt", false)] {
        assert_eq!(a[name] == forever[name], shared, "{name}");
    }
    let (exit, log) = group.exec("forever", &["cat", "/proc/1/comm"]).await;
    assert_eq!((exit.code, log.as_str()), (Some(0), "sleep\n"));
    let target = "a".parse().unwrap();
    within(group.link.keeper.kill(&target)).await.unwrap();
    let mut ends = BTreeMap::new();
    while ends.len() < 2 {
        let event = within(group.link.events.recv()).await.unwrap();
        let KeeperEvent::Exited {
            container, exit, ..
        } = event
        else {
            panic!("{event:?}");
        };
        ends.insert(container.to_string(), exit.signal);
    }
    assert_eq!(ends["forever"], Some(9));
    let late = within(group.link.keeper.run(late)).await;
    assert_eq!(class(late), FailureClass::WrongState);
    node.finish(vec![group]).await;
}

/// Why a container was not started.
fn class(run: Result<Started, ClientError>) -> FailureClass {
    match run {
        Err(ClientError::Refused(failure)) => failure.class,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_process_namespace_has_a_first_process_that_sees_nothing() {
    let node = Node::new();
    let mut plan = node.group_plan("iso-3");
    plan.share_process_namespace = true;
    let mut group = node.create(plan).await;
    let a = node.container(&group, "a", &["sleep", "1000"]);
    let a = within(group.link.keeper.run(a)).await.unwrap();
    let script =
        "cat /proc/1/cmdline; echo; ls /proc/1/root/ 2>&1; ps | grep -c 'sleep 1000$'; exit 3";
    let (exit, log) = group
        .run_to_end(node.container(&group, "b", &["sh", "-c", script]))
        .await;
    assert_eq!(exit.code, Some(3));
    let lines: Vec<&str> = log.lines().collect();
    assert!(
        lines[0].trim_end_matches('\0').starts_with("burstlet-init"),
        "{log}"
    );
    assert!(lines[1].contains("Permission denied"), "{log}");
    assert_eq!(lines[2], "1", "the other container: {log}");
    let (exit, _) = group.exec("a", &["kill", "-9", "1"]).await;
    assert_eq!(
        exit.code,
        Some(0),
        "a signal to the first process is ignored"
    );
    assert!(fs::exists(format!("/proc/{}", a.pid)).unwrap());
    node.finish(vec![group]).await;
}

/// What must be the same for a process run later as for the first one.
const WITNESS: &str = "cat /proc/self/status | grep -E '^(Uid|Gid|Groups|Cap|NoNew|Seccomp|SigBlk|SigIgn|SigCgt)'; \
    cat /proc/self/limits; cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/cgroup; \
    for n in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$n; done; \
    cat /proc/self/mountinfo; ls /proc/self/fd; readlink /proc/self/cwd; echo $PATH $A $HOME; \
    cat /proc/keys 2>&1 | wc -l; cat /proc/self/oom_score_adj; umask";

#[tokio::test(flavor = "multi_thread")]
async fn a_process_run_later_is_isolated_as_the_first_one() {
    let node = Node::new();
    for (name, ids, gains) in [
        ("iso-4", true, false),
        ("iso-5", true, true),
        ("iso-6", false, false),
    ] {
        let mut plan = node.group_plan(name);
        plan.user = plan.user.filter(|_| ids);
        let mut group = node.create(plan).await;
        let mut plan = node.container(
            &group,
            "a",
            &["sh", "-c", &format!("{WITNESS}; sleep 1000")],
        );
        let mut process = process(&["sh", "-c", WITNESS]);
        let limit = PosixRlimitBuilder::default()
            .typ(PosixRlimitType::RlimitNofile)
            .soft(512_u64)
            .hard(1024_u64)
            .build()
            .unwrap();
        let user = UserBuilder::default()
            .uid(33_u32)
            .gid(33_u32)
            .additional_gids([5, 6]);
        process
            .set_rlimits(Some(vec![limit]))
            .set_user(user.build().unwrap());
        process
            .set_oom_score_adj(Some(500))
            .set_no_new_privileges((!gains).then_some(true));
        let mut first = process.clone();
        first.set_args(plan.spec.process().as_ref().unwrap().args().clone());
        plan.spec.set_process(Some(first));
        within(group.link.keeper.run(plan)).await.unwrap();
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let streams = burstlet_sandbox::client::StdioFds {
            stdout: Some(writer),
            ..Default::default()
        };
        let handle = within(
            group
                .link
                .keeper
                .exec(exec_plan("e", "a", process), streams),
        )
        .await;
        let handle = handle.unwrap();
        let later = crate::harness::read_all(reader).await;
        assert_eq!(within(handle.wait()).await.unwrap().code, Some(0));
        wait_until(|| group.log_of("a").ends_with("0022\n")).await;
        let first = group.log_of("a");
        assert_eq!(later, first, "{name}");
        assert!(
            first.contains("Seccomp:\t2") && first.contains("500\n"),
            "{first}"
        );
        assert!(first.contains("512"), "{first}");
        assert!(first.contains("SigIgn:\t0000000000000000"), "{first}");
        let container = burstlet_model::ContainerName::new("a").unwrap();
        within(group.link.keeper.kill(&container)).await.unwrap();
        assert_eq!(group.exit_of("a").await.signal, Some(9));
        within(group.link.keeper.shutdown()).await.unwrap();
    }
    node.finish(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_keep_the_containers_ids_and_bounds() {
    let node = Node::new();
    let mut group = node.create(node.group_plan("iso-7")).await;
    let volume = node.state().join("volume");
    fs::create_dir_all(volume.join("deep")).unwrap();
    fs::write(volume.join("deep/host-root"), "x").unwrap();
    let mut plan = node.container(
        &group,
        "a",
        &["sh", "-c", "stat -c %u /in/host-root; touch /in/made && echo made; touch /ro/x 2>&1; \
           cat /file; echo shared > /mem/f; stat -c %a:%g /mem; dd if=/dev/zero of=/mem/big bs=1k count=128 2>/dev/null; echo $?"],
    );
    let tree = |path, sub: Option<&str>, idmap| MountSource::Tree {
        root: Outside::Path(path),
        sub_path: sub.map(Into::into),
        idmap,
    };
    let mount = |at: &str, source, read_only| MountPlan {
        destination: at.into(),
        source,
        read_only,
        options: vec!["nosuid".into()],
    };
    let memory = || MountSource::Memory {
        volume: "m".into(),
        size_bytes: 65_536,
        mode: 0o2777,
        gid: Some(7),
        sub_path: None,
        files: Vec::new(),
    };
    plan.mounts = vec![
        mount("/in", tree(volume.clone(), Some("deep"), true), false),
        mount("/ro", tree(volume.clone(), Some("new/sub"), false), true),
        mount(
            "/file",
            tree(volume.join("deep/host-root"), None, true),
            true,
        ),
        mount("/mem", memory(), false),
    ];
    let (_, log) = group.run_to_end(plan).await;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0..2], ["0", "made"], "{log}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("Read-only file system")),
        "{log}"
    );
    assert!(log.ends_with("2777:7\n1\n"), "memory is bounded: {log}");
    assert!(log.lines().any(|line| line.starts_with('x')), "{log}");
    assert_eq!(
        fs::metadata(volume.join("deep/made")).unwrap().uid(),
        0,
        "ids are the image's"
    );
    let mut second = node.container(&group, "b", &["cat", "/mem/f"]);
    second.mounts = vec![mount("/mem", memory(), true)];
    assert_eq!(group.run_to_end(second).await.1, "shared\n");
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_memory_volume_are_renewed_for_who_runs() {
    let node = Node::new();
    let group = node.create(node.group_plan("iso-renew")).await;
    let volume = |files: &[(&str, &str)], sub_path: Option<&str>| {
        let file = |(path, text): &(&str, &str)| MemoryFile {
            path: path.into(),
            mode: 0o440,
            gid: Some(7),
            content: Outside::Bytes(text.as_bytes().to_vec()),
        };
        MountSource::Memory {
            volume: "hidden".into(),
            size_bytes: 1 << 20,
            mode: 0o755,
            gid: None,
            sub_path: sub_path.map(Into::into),
            files: files.iter().map(file).collect(),
        }
    };
    let keeper = &group.link.keeper;
    let renew = |files: &[(&str, &str)]| within(keeper.renew(volume(files, None)));
    renew(&[("one", "early")]).await.unwrap();
    let mut plan = node.container(&group, "a", &["sleep", "1000"]);
    let mount = |at: &str, source| MountPlan {
        destination: at.into(),
        source,
        read_only: true,
        options: vec!["nosuid".into()],
    };
    plan.mounts = vec![
        // What was given before counts, not what comes with a later container.
        mount("/all", volume(&[("one", "late")], None)),
        mount("/fixed", volume(&[], Some("one"))),
    ];
    within(keeper.run(plan)).await.unwrap();
    let script = [
        "sh",
        "-c",
        "cat /all/* /fixed; stat -Lc %a:%u:%g /all/*; echo x > /all/one",
    ];
    let (_, seen) = group.exec("a", &script).await;
    assert!(seen.starts_with("earlyearly440:0:7\n"), "{seen}");
    assert!(seen.contains("Read-only file system"), "{seen}");
    renew(&[("one", "1"), ("two", "2")]).await.unwrap();
    let (_, seen) = group.exec("a", &["sh", "-c", "cat /all/* /fixed"]).await;
    assert_eq!(seen, "12early");
    renew(&[("two", "3")]).await.unwrap();
    let (_, seen) = group
        .exec("a", &["sh", "-c", "ls /all; cat /all/two"])
        .await;
    assert_eq!(seen, "two\n3");
    let refused = renew(&[("../out", "x")]).await;
    assert!(
        matches!(refused, Err(ClientError::Refused(_))),
        "{refused:?}"
    );
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seccomp_program_is_in_force_and_broken_ones_are_refused() {
    let node = Node::new();
    let mut group = node.create(node.group_plan("iso-8")).await;
    // if (nr == uname) EPERM else allow
    let instruction = |code: u16, jt: u8, jf: u8, k: u32| {
        [&code.to_ne_bytes()[..], &[jt, jf], &k.to_ne_bytes()[..]].concat()
    };
    let program = [
        instruction(0x20, 0, 0, 0),
        instruction(0x15, 0, 1, u32::try_from(libc::SYS_uname).unwrap()),
        instruction(0x06, 0, 0, 0x0005_0001),
        instruction(0x06, 0, 0, 0x7fff_0000),
    ]
    .concat();
    let script = ["sh", "-c", "hostname 2>&1; grep Seccomp: /proc/self/status"];
    let mut plan = node.container(&group, "a", &script);
    plan.seccomp = Some(Outside::Bytes(program));
    let (_, log) = group.run_to_end(plan).await;
    assert!(log.contains("Seccomp:\t2"), "{log}");
    assert!(!log.contains("web"), "uname is refused: {log}");
    for bad in [vec![0; 7], vec![0xff; 8], Vec::new()] {
        let mut plan = node.container(&group, "b", &script);
        plan.seccomp = Some(Outside::Bytes(bad));
        let refused = within(group.link.keeper.run(plan)).await;
        assert!(matches!(refused, Err(ClientError::Refused(_))));
    }
    let mut plan = node.container(&group, "c", &script);
    plan.seccomp = Some(allow_all());
    let mut spec = plan.spec.clone();
    let mut root = spec.root().clone().unwrap();
    root.set_readonly(Some(true));
    spec.set_root(Some(root));
    plan.spec = spec;
    assert_eq!(
        group.run_to_end(plan).await.0.code,
        Some(0),
        "a read-only root"
    );
    // An image whose /proc is a link is refused if no layer above it mends it.
    let evil = node.state().join("layers/evil");
    fs::create_dir_all(evil.join("dev")).unwrap();
    fs::create_dir_all(evil.join("sys")).unwrap();
    std::os::unix::fs::symlink("/etc", evil.join("proc")).unwrap();
    let mut plan = node.container(&group, "d", &script);
    plan.rootfs.lowers = vec![evil];
    let Err(ClientError::Refused(failure)) = within(group.link.keeper.run(plan)).await else {
        panic!("a link in place of /proc is refused")
    };
    assert_eq!(failure.class, FailureClass::Verification, "{failure}");
    node.finish(vec![group]).await;
}
