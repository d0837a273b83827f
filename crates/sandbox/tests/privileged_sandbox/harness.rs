//! A node of its own for each test: directories, a launcher, an image of busybox.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use burstlet_model::{ContainerName, GroupUid};
use burstlet_sandbox::client::{
    Connected, ExecExit, KeeperEvent, Launcher, LauncherConfig, StdioFds,
};
use burstlet_sandbox::plan::{
    ContainerPlan, ExecPlan, GroupPlan, IdRange, LogTarget, NetworkNamespace, Outside, RootfsPlan,
    Stdin,
};
use burstlet_sandbox::protocol::Exit;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::{
    Capabilities, Capability, LinuxBuilder, LinuxCapabilitiesBuilder, MountBuilder, Process,
    ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
};

/// The ids of the groups of these tests.
pub(crate) const IDS: IdRange = IdRange {
    host_base: 1_000_000,
    len: 65_536,
};
/// How long anything in these tests may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A seccomp program that allows everything: `ret ALLOW`.
pub(crate) fn allow_all() -> Outside {
    let mut program = vec![0x06, 0, 0, 0];
    program.extend(0x7fff_0000_u32.to_ne_bytes());
    Outside::Bytes(program)
}

/// One node.
pub(crate) struct Node {
    dir: tempfile::TempDir,
    pub(crate) launcher: Launcher,
    groups: Mutex<Vec<GroupUid>>,
}

/// A test that failed must not leave its processes behind either.
impl Drop for Node {
    fn drop(&mut self) {
        let groups = self.groups.lock().unwrap();
        let marker = self.dir.path().display().to_string();
        let ours = |command: &str| {
            command.contains(&marker)
                || groups
                    .iter()
                    .any(|uid| command.contains(&format!("burstlet-keeper {uid}")))
        };
        for (pid, _) in processes().into_iter().filter(|(_, command)| ours(command)) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// One group with its connection.
pub(crate) struct Group {
    pub(crate) uid: GroupUid,
    pub(crate) dir: PathBuf,
    pub(crate) link: Connected,
}

impl Node {
    pub(crate) fn new() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test needs root");
        let dir = tempfile::Builder::new()
            .prefix("burstlet-sandbox-")
            .tempdir()
            .unwrap();
        let node_dir = |name: &str| dir.path().join(name);
        let launcher = Launcher::new(LauncherConfig {
            binary: env!("CARGO_BIN_EXE_burstlet-launcher").into(),
            run_dir: node_dir("run"),
            state_dir: node_dir("state"),
            join: Vec::new(),
        });
        let node = Self {
            dir,
            launcher,
            groups: Mutex::default(),
        };
        make_top_layer(&node.state().join("layers/top"));
        make_busybox_layer(&node.state().join("layers/busybox"));
        node
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A group's plan; `name` makes the uid, which is unlike those of other runs of this test.
    pub(crate) fn group_plan(&self, name: &str) -> GroupPlan {
        let uid = GroupUid::new(format!("{name}-{}", std::process::id())).unwrap();
        self.groups.lock().unwrap().push(uid.clone());
        GroupPlan {
            dir: self.state().join("groups").join(uid.as_str()),
            uid,
            hostname: "web".into(),
            domainname: None,
            user: Some(IDS),
            network: NetworkNamespace::New,
            share_process_namespace: false,
            sysctls: BTreeMap::new(),
            cgroup: None,
        }
    }

    pub(crate) async fn create(&self, plan: GroupPlan) -> Group {
        let (uid, dir) = (plan.uid.clone(), plan.dir.clone());
        fs::create_dir_all(&dir).unwrap();
        let link = self.launcher.create_group(plan).await.unwrap();
        Group { uid, dir, link }
    }

    /// A container of busybox, ready to run `args`.
    pub(crate) fn container(&self, group: &Group, name: &str, args: &[&str]) -> ContainerPlan {
        let dir = group.dir.join("c").join(name);
        let make = |part: &str| {
            let path = dir.join(part);
            fs::create_dir_all(&path).unwrap();
            chown(&path, Some(IDS.host_base), Some(IDS.host_base)).unwrap();
            path
        };
        let layer = |name: &str| self.state().join("layers").join(name);
        ContainerPlan {
            name: ContainerName::new(name).unwrap(),
            attempt: 0,
            spec: Box::new(spec(args)),
            rootfs: RootfsPlan {
                lowers: vec![layer("top"), layer("busybox")],
                upper: make("upper"),
                work: make("work"),
            },
            mounts: Vec::new(),
            cgroup: None,
            final_reads: Vec::new(),
            seccomp: Some(allow_all()),
            log: Some(LogTarget {
                dir: dir.join("log"),
                bytes_max: 64 << 20,
                files_max: 3,
            }),
            stdin: Stdin::Null,
            target: None,
            start: true,
        }
    }

    /// Ends the node and looks for what it left behind.
    pub(crate) async fn finish(self, groups: Vec<Group>) {
        for group in &groups {
            within(group.link.keeper.shutdown()).await.unwrap();
        }
        within(self.launcher.quit()).await.unwrap();
        let marker = self.dir.path().display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&marker), "mounts are left: {mounts}");
        for group in &groups {
            let title = format!("burstlet-keeper {}", group.uid);
            wait_until(|| !runs(&title)).await;
        }
        assert!(
            self.launcher.groups().unwrap().is_empty(),
            "sockets are left"
        );
    }
}

/// All processes with their command lines.
pub(crate) fn processes() -> Vec<(i32, String)> {
    let entry = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((
            pid,
            fs::read_to_string(entry.path().join("cmdline"))
                .ok()?
                .replace('\0', " "),
        ))
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(entry)
        .collect()
}

/// Whether a process has this in its command line.
pub(crate) fn runs(text: &str) -> bool {
    processes()
        .iter()
        .any(|(_, command)| command.contains(text))
}

/// Waits until something is so, and fails if it does not become so.
pub(crate) async fn wait_until(mut so: impl FnMut() -> bool) {
    within(async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Fails if something takes too long.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("it takes too long")
}

impl Group {
    /// Waits for the end of a container.
    pub(crate) async fn exit_of(&mut self, name: &str) -> Exit {
        loop {
            match within(self.link.events.recv())
                .await
                .expect("the connection stays")
            {
                KeeperEvent::Exited {
                    container, exit, ..
                } if container.as_str() == name => {
                    return exit;
                }
                KeeperEvent::Exited { .. } => {}
                KeeperEvent::Lost => panic!("the keeper is gone"),
            }
        }
    }

    /// Runs a container to its end and gives its exit and what it wrote.
    pub(crate) async fn run_to_end(&mut self, plan: ContainerPlan) -> (Exit, String) {
        let name = plan.name.to_string();
        within(self.link.keeper.run(plan)).await.unwrap();
        let exit = self.exit_of(&name).await;
        (exit, self.log_of(&name))
    }

    /// Runs a process in a container and gives how it ended and what it wrote.
    pub(crate) async fn exec(&self, container: &str, args: &[&str]) -> (ExecExit, String) {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let streams = StdioFds {
            stdout: Some(writer.try_clone().unwrap()),
            stderr: Some(writer),
            ..StdioFds::default()
        };
        let plan = exec_plan("exec", container, process(args));
        let handle = within(self.link.keeper.exec(plan, streams)).await.unwrap();
        let output = read_all(reader).await;
        (within(handle.wait()).await.unwrap(), output)
    }

    /// What a container wrote, without stamps.
    pub(crate) fn log_of(&self, name: &str) -> String {
        let dir = self.dir.join("c").join(name).join("log");
        let text = fs::read_to_string(dir.join("output.log")).unwrap_or_default();
        let content = |line: &str| line.splitn(4, ' ').nth(3).map(str::to_owned);
        text.lines()
            .map(|line| content(line).unwrap() + "\n")
            .collect()
    }
}

/// Reads all that comes out of a pipe.
pub(crate) async fn read_all(fd: OwnedFd) -> String {
    let read = move || {
        let mut text = String::new();
        fs::File::from(fd).read_to_string(&mut text).unwrap();
        text
    };
    within(tokio::task::spawn_blocking(read)).await.unwrap()
}

/// The layer that belongs on top of every image's: real directories and files where the runtime
/// mounts, so that no link of an image can be there instead.
fn make_top_layer(dir: &Path) {
    for name in ["dev", "proc", "sys", "etc"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    for name in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
        fs::write(dir.join(name), "").unwrap();
    }
}

fn make_busybox_layer(layer: &Path) {
    let bin = layer.join("bin");
    for dir in ["bin", "etc", "tmp", "root", "work"] {
        fs::create_dir_all(layer.join(dir)).unwrap();
    }
    fs::copy("/bin/busybox", bin.join("busybox")).expect("package busybox-static is installed");
    for applet in [
        "sh", "cat", "echo", "sleep", "id", "kill", "ls", "head", "stat", "tty", "stty", "nc",
        "wc", "sed", "seq", "true", "dd", "yes", "ps", "hostname", "readlink", "touch", "grep",
    ] {
        symlink("busybox", bin.join(applet)).unwrap();
    }
    fs::write(bin.join("not-executable"), "x").unwrap();
    fs::write(layer.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    fs::set_permissions(layer.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
}

/// A process to run in a container, with a pipe for its output.
pub(crate) fn exec_plan(id: &str, container: &str, process: Process) -> ExecPlan {
    ExecPlan {
        id: id.into(),
        container: ContainerName::new(container).unwrap(),
        process,
    }
}

/// The capabilities of a container by default.
pub(crate) fn default_capabilities() -> Capabilities {
    [
        Capability::Chown,
        Capability::DacOverride,
        Capability::Fowner,
        Capability::Setgid,
        Capability::Setuid,
        Capability::Setpcap,
        Capability::NetBindService,
        Capability::Kill,
    ]
    .into()
}

pub(crate) fn process(args: &[&str]) -> Process {
    let caps = default_capabilities();
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(caps.clone())
        .effective(caps.clone())
        .permitted(caps)
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build()
        .unwrap();
    ProcessBuilder::default()
        .args(args.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
        .env(vec!["PATH=/bin".to_owned(), "A=1".to_owned()])
        .cwd("/work")
        .user(
            UserBuilder::default()
                .uid(0_u32)
                .gid(0_u32)
                .build()
                .unwrap(),
        )
        .capabilities(capabilities)
        .rlimits(Vec::new())
        .no_new_privileges(true)
        .build()
        .unwrap()
}

fn spec(args: &[&str]) -> Spec {
    let mount = |destination: &str, typ: &str, options: &[&str]| {
        MountBuilder::default()
            .destination(destination)
            .typ(typ)
            .source(typ)
            .options(options.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
            .build()
            .unwrap()
    };
    let mut linux = LinuxBuilder::default()
        .masked_paths(["/proc/kcore", "/proc/keys", "/sys/firmware"].map(str::to_owned))
        .readonly_paths(["/proc/sys", "/proc/bus"].map(str::to_owned))
        .build()
        .unwrap();
    linux.set_resources(None);
    let hardened = ["nosuid", "noexec", "nodev"];
    SpecBuilder::default()
        .process(process(args))
        .root(
            RootBuilder::default()
                .path("rootfs")
                .readonly(false)
                .build()
                .unwrap(),
        )
        .linux(linux)
        .mounts(vec![
            mount("/proc", "proc", &hardened),
            mount(
                "/dev",
                "tmpfs",
                &["nosuid", "strictatime", "mode=755", "size=65536k"],
            ),
            mount(
                "/dev/pts",
                "devpts",
                &[
                    "nosuid",
                    "noexec",
                    "newinstance",
                    "ptmxmode=0666",
                    "mode=0620",
                    "gid=5",
                ],
            ),
            mount(
                "/dev/shm",
                "tmpfs",
                &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
            ),
            mount("/dev/mqueue", "mqueue", &hardened),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ])
        .build()
        .unwrap()
}
