//! A container is the same whichever way it was made: libcontainer's is the measure of ours.

use std::fs;
use std::path::Path;

use burstlet_sandbox::plan::{
    CgroupEntry, ContainerCgroup, ContainerPlan, MountPlan, MountSource, Outside, ShownCgroup,
};
use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use oci_spec::runtime::{MountBuilder, PosixRlimitBuilder, PosixRlimitType, UserBuilder};

use crate::harness::{Group, Node, within};

/// Says all that a program can see of where it is. Sizes and times of the kernel's files are left
/// out, since they change by themselves.
const WITNESS: &str = r#"
echo "== mounts"; cat /proc/self/mountinfo
echo "== status"; grep -E '^(Umask|Uid|Gid|Groups|NStgid|NSpid|NSsid|Cap|NoNewPrivs|Seccomp)' /proc/self/status
echo "== limits"; cat /proc/self/limits
echo "== files"; for fd in 0 1 2 3 4 5 6 7 8 9; do readlink /proc/self/fd/$fd | sed 's/[0-9]*]//'; done
echo "== dev"; for f in /dev/* /dev/pts/* /dev/deep/*; do stat -c '%n %F %a %u:%g %t:%T %N' "$f"; done
echo "== places"; for f in / /proc /sys /dev /dev/shm /dev/mqueue /in /in/deep /in/deep/er /file /ro /work /sys/fs/cgroup /sys/fs/cgroup/* /proc/kcore /proc/keys /sys/firmware; do stat -c '%n %F %a %u:%g' "$f"; done
echo "== writes"; for f in /x /ro/x /in/deep/er/x /proc/sys/kernel/hostname /dev/x /dev/shm/x /sys/x /sys/fs/cgroup/x /sys/fs/cgroup/a/text; do (echo x > $f) 2>/dev/null && echo "$f can be written" || echo "$f cannot"; done
echo "== cgroups"; ls -l /sys/fs/cgroup | sed 's/.*:[0-9]* //'; cat /sys/fs/cgroup/*/text
echo "== masked"; cat /proc/kcore /proc/keys | wc -c; ls /sys/firmware | wc -l
for f in null zero full random urandom tty; do head -c 1 /dev/$f 2>&1 | wc -c; echo x > /dev/$f; done 2>&1
echo "== rest"; hostname; readlink /proc/self/cwd; cat /proc/self/cgroup; cat /proc/self/oom_score_adj; ls /proc | grep -c '^[0-9]'; echo $$
cat /proc/self/uid_map; echo "$HOME $A $PATH"
"#;

fn with_everything(node: &Node, group: &Group, name: &str) -> ContainerPlan {
    let mut plan = node.container(group, name, &["sh", "-c", WITNESS]);
    let volume = node.state().join("volume");
    fs::create_dir_all(volume.join("deep")).unwrap();
    fs::write(volume.join("text"), "text").unwrap();
    let tree = |destination: &str, root: &Path, read_only| MountPlan {
        destination: destination.into(),
        source: MountSource::Tree {
            root: Outside::Path(root.to_owned()),
            sub_path: None,
            idmap: true,
        },
        read_only,
        options: vec!["nosuid".into(), "nodev".into()],
    };
    show_cgroups(&mut plan, &volume);
    plan.mounts = vec![
        lent(node, LOG),
        tree("/in", &volume, false),
        tree("/in/deep/er", &volume, false),
        tree("/file", &volume.join("text"), true),
        tree("/ro", &volume, true),
    ];
    let process = plan.spec.process_mut().as_mut().unwrap();
    let limit = PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitNofile)
        .soft(512_u64)
        .hard(512_u64)
        .build();
    process.set_rlimits(Some(vec![limit.unwrap()]));
    process.set_oom_score_adj(Some(500));
    plan
}

/// The kernel's log: every kernel has it.
const LOG: &str = "c 1:11";

/// The mount of a node of the kernel's log that is said to be one of `number`.
fn lent(node: &Node, number: &str) -> MountPlan {
    let path = node.state().join("node");
    let (kind, mode) = (SFlag::S_IFCHR, Mode::from_bits_truncate(0o644));
    match mknod(&path, kind, mode, makedev(1, 11)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => panic!("make a node: {errno}"),
    }
    MountPlan {
        destination: "/dev/deep/lent".into(),
        source: MountSource::Device {
            node: Outside::Path(path),
            number: number.parse().unwrap(),
        },
        read_only: false,
        options: Vec::new(),
    }
}

/// Two trees as on v1, of which one has two controllers. Any directory serves.
fn show_cgroups(plan: &mut ContainerPlan, directory: &Path) {
    let tree = |name: &str, links: &[&str]| ShownCgroup {
        name: Some(name.to_owned()),
        links: links.iter().map(|link| (*link).to_owned()).collect(),
        read_only: false,
        directory: Outside::Path(directory.to_owned()),
    };
    plan.cgroup = Some(ContainerCgroup {
        entry: CgroupEntry::Tasks(Vec::new()),
        procs: None,
        shown: vec![tree("a", &[]), tree("b,c", &["b", "c"])],
    });
    let mount = MountBuilder::default()
        .destination("/sys/fs/cgroup")
        .typ("cgroup")
        .source("cgroup")
        .options(["nosuid", "nodev", "noexec", "ro"].map(str::to_owned))
        .build();
    let mounts = plan.spec.mounts_mut().as_mut().unwrap();
    mounts.push(mount.unwrap());
}

/// The same, but with something that only libcontainer knows and that changes nothing.
fn by_libcontainer(mut plan: ContainerPlan) -> ContainerPlan {
    let linux = plan.spec.linux_mut().as_mut().unwrap();
    linux.set_rootfs_propagation(Some("slave".into()));
    plan
}

/// What does not depend on the order in which the kernel counts, or on the container's name.
fn comparable(name: &str, log: &str) -> String {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let fields: Vec<&str> = before.split(' ').collect();
        let [_, _, _, root, point, options, ..] = fields.as_slice() else {
            return None;
        };
        Some(format!("{point} {root} {options} {after}"))
    };
    let line = |line: &str| mount(line).unwrap_or_else(|| line.to_owned());
    log.lines()
        .map(line)
        .map(|line| line.replace(&format!("/c/{name}"), "/c/NAME") + "\n")
        // Where the kernel has it, the link to what is masked is `core` for runc and for us.
        .map(|line| line.replace("/dev/kcore", "/dev/core"))
        .collect()
}

async fn witness(node: &Node, group: &mut Group, plan: ContainerPlan) -> (String, bool) {
    let name = plan.name.to_string();
    let keeper = group.link.keeper.pid();
    let states = format!("/proc/{keeper}/root/stage/s");
    let before = fs::read_dir(&states).unwrap().count();
    let mut waiting = plan;
    waiting.start = false;
    within(group.link.keeper.run(waiting)).await.unwrap();
    let by_libcontainer = fs::read_dir(&states).unwrap().count() > before;
    let container = burstlet_model::ContainerName::new(&name).unwrap();
    within(group.link.keeper.start(&container)).await.unwrap();
    let exit = group.exit_of(&name).await;
    let log = group.log_of(&name);
    assert_eq!(exit.code, Some(0), "{log}");
    let state = node.state().display().to_string();
    (
        comparable(&name, &log).replace(&state, "STATE"),
        by_libcontainer,
    )
}

async fn compare(uid: &str, change: impl Fn(&mut ContainerPlan)) {
    let node = Node::new();
    let mut group = node.create(node.group_plan(uid)).await;
    let mut ours = with_everything(&node, &group, "ours");
    let mut theirs = with_everything(&node, &group, "theirs");
    change(&mut ours);
    change(&mut theirs);
    let (ours, was_theirs) = witness(&node, &mut group, ours).await;
    assert!(!was_theirs, "it is of the common shape");
    let (theirs, was_theirs) = witness(&node, &mut group, by_libcontainer(theirs)).await;
    assert!(was_theirs, "it is not of the common shape");
    let differences: Vec<_> = (ours.lines().filter(|line| !theirs.contains(*line)))
        .map(|line| format!("ours   {line}"))
        .chain(
            (theirs.lines().filter(|line| !ours.contains(*line)))
                .map(|line| format!("theirs {line}")),
        )
        .collect();
    assert!(
        differences.is_empty(),
        "{}\n\n{ours}",
        differences.join("\n")
    );
    node.finish(vec![group]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_user_sees_the_same_either_way() {
    compare("way-1", |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_with_a_read_only_root_sees_the_same_either_way() {
    let change = |plan: &mut ContainerPlan| {
        let user = UserBuilder::default()
            .uid(1000_u32)
            .gid(1001_u32)
            .additional_gids(vec![7, 44])
            .umask(0o027_u32)
            .build();
        let root = plan.spec.root_mut().as_mut().unwrap();
        root.set_readonly(Some(true));
        let process = plan.spec.process_mut().as_mut().unwrap();
        process.set_user(user.unwrap());
        process.set_no_new_privileges(Some(false));
    };
    compare("way-2", change).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_another_device_by_now_is_not_given() {
    let node = Node::new();
    let group = node.create(node.group_plan("lent")).await;
    let mut plan = node.container(&group, "lent", &["true"]);
    plan.mounts = vec![lent(&node, "c 1:3")];
    let refused = within(group.link.keeper.run(plan)).await.unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("it is c 1:11 by now, and was c 1:3"),
        "{text}"
    );
    node.finish(vec![group]).await;
}
