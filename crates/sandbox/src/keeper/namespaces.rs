//! The namespaces that a group's containers share.
//!
//! A short-lived holder makes them and the keeper opens them; then the holder dies, so that no
//! process with rights in the group's user namespace and a view of the host is left. Whoever is to
//! join them gets them as `/proc/self/fd/N`, since descriptors are inherited over forks.
//!
//! ```text
//! keeper ── fork(NEWUSER) ──► holder        in the name of the group's root
//!   writes its id maps          waits
//!   ── go ──────────────────►   becomes root inside, unshares ipc, uts, net; names the host;
//!                               forks the group's first process, if its processes are shared
//!   opens its namespaces ◄──    waits to be killed
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use caps::CapSet;
use nix::fcntl::{OFlag, openat};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Pid, Uid, seteuid, setresgid, setresuid};

use super::first;
use crate::plan::{GroupPlan, IdRange, NetworkNamespace};
use crate::sys::process::{Fork, ForkOptions, fork};

/// A group's namespaces.
pub(super) struct Namespaces {
    /// The user namespace, if the group has its own.
    pub(super) user: Option<OwnedFd>,
    /// The network namespace, if the group has its own.
    pub(super) net: Option<OwnedFd>,
    /// The IPC namespace.
    pub(super) ipc: OwnedFd,
    /// The UTS namespace.
    pub(super) uts: OwnedFd,
    /// The process namespace, if the containers share one.
    pub(super) pid: Option<SharedProcesses>,
}

/// A process namespace that the containers share.
pub(super) struct SharedProcesses {
    /// The namespace.
    pub(super) namespace: OwnedFd,
    /// Its first process, a child of the keeper. Its end is the end of all of them.
    pub(super) first: Pid,
}

/// Why a group's namespaces could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{step}")]
pub(super) struct NamespaceError {
    step: &'static str,
    source: io::Error,
}

fn step(step: &'static str) -> impl Fn(io::Error) -> NamespaceError {
    move |source| NamespaceError { step, source }
}

impl Namespaces {
    /// Makes them as `plan` says, and joins the network and IPC ones, so that sysctls can be set
    /// and connections made as from inside.
    pub(super) fn create(plan: &GroupPlan) -> Result<Self, NamespaceError> {
        let (ours, theirs) = UnixStream::pair().map_err(step("make a channel to the holder"))?;
        let forked = fork_holder(plan.user).map_err(step("fork the holder of the namespaces"))?;
        let holder = match forked {
            Fork::Child => {
                drop(ours);
                hold(plan, theirs);
            }
            Fork::Parent(pid) => pid,
        };
        drop(theirs);
        let made = Self::open_from(plan, holder, ours);
        let _ = kill(holder, Signal::SIGKILL);
        let _ = waitpid(holder, None);
        let made = made?;
        made.join_and_tune(plan)?;
        Ok(made)
    }

    fn open_from(
        plan: &GroupPlan,
        holder: Pid,
        mut channel: UnixStream,
    ) -> Result<Self, NamespaceError> {
        if let Some(range) = plan.user {
            write_maps(holder, range).map_err(step("write the id maps"))?;
        }
        channel
            .write_all(b"g")
            .map_err(step("let the holder go on"))?;
        let mut first = [0_u8; 4];
        channel
            .read_exact(&mut first)
            .map_err(step("make namespaces in the holder"))?;
        let first = i32::from_ne_bytes(first);
        let open =
            |pid: Pid, name: &str| File::open(format!("/proc/{pid}/ns/{name}")).map(OwnedFd::from);
        let opened = step("open a namespace of the holder");
        let pid = match first {
            0 => None,
            pid => {
                let first = Pid::from_raw(pid);
                Some(SharedProcesses {
                    namespace: open(first, "pid").map_err(&opened)?,
                    first,
                })
            }
        };
        let user = plan
            .user
            .map(|_| open(holder, "user"))
            .transpose()
            .map_err(&opened)?;
        let own_net = plan.network == NetworkNamespace::New;
        let net = own_net
            .then(|| open(holder, "net"))
            .transpose()
            .map_err(&opened)?;
        let ipc = open(holder, "ipc").map_err(&opened)?;
        let uts = open(holder, "uts").map_err(&opened)?;
        Ok(Self {
            user,
            net,
            ipc,
            uts,
            pid,
        })
    }

    fn join_and_tune(&self, plan: &GroupPlan) -> Result<(), NamespaceError> {
        let join = |fd: BorrowedFd<'_>, flag| setns(fd, flag).map_err(io::Error::from);
        join(self.ipc.as_fd(), CloneFlags::CLONE_NEWIPC).map_err(step("join the IPC namespace"))?;
        if let Some(net) = &self.net {
            join(net.as_fd(), CloneFlags::CLONE_NEWNET)
                .map_err(step("join the network namespace"))?;
        }
        let root = plan.user.map(|range| Uid::from_raw(range.host_base));
        for (name, value) in &plan.sysctls {
            set_sysctl(name, value, root).map_err(step("set a sysctl"))?;
        }
        Ok(())
    }

    /// What a container of the common shape joins, in this order: it has a user namespace, which
    /// comes first since it gives the right to join the others, and processes of its own.
    pub(super) fn of_the_common_shape(&self) -> Option<Vec<(BorrowedFd<'_>, CloneFlags)>> {
        let user = self.user.as_ref().filter(|_| self.pid.is_none())?;
        let net = self.net.as_ref()?;
        Some(vec![
            (user.as_fd(), CloneFlags::CLONE_NEWUSER),
            (self.ipc.as_fd(), CloneFlags::CLONE_NEWIPC),
            (self.uts.as_fd(), CloneFlags::CLONE_NEWUTS),
            (net.as_fd(), CloneFlags::CLONE_NEWNET),
        ])
    }

    /// The namespaces that a container joins with the descriptors that hold them, by their OCI
    /// names: those that are shared, and the process namespace of its target if it has one.
    pub(super) fn joined(&self, target: Option<&OwnedFd>) -> Vec<(&'static str, RawFd)> {
        let mut joined = vec![("ipc", self.ipc.as_raw_fd()), ("uts", self.uts.as_raw_fd())];
        joined.extend(self.user.as_ref().map(|fd| ("user", fd.as_raw_fd())));
        joined.extend(self.net.as_ref().map(|fd| ("net", fd.as_raw_fd())));
        let processes = target.or(self.pid.as_ref().map(|pid| &pid.namespace));
        joined.extend(processes.map(|fd| ("pid", fd.as_raw_fd())));
        joined
    }
}

/// The inode that tells one namespace from another.
pub(super) fn inode(fd: RawFd) -> io::Result<u64> {
    Ok(fs::metadata(format!("/proc/self/fd/{fd}"))?.ino())
}

fn write_maps(holder: Pid, range: IdRange) -> io::Result<()> {
    let line = format!("0 {} {}", range.host_base, range.len);
    fs::write(format!("/proc/{holder}/uid_map"), &line)?;
    fs::write(format!("/proc/{holder}/gid_map"), &line)
}

/// Sets a sysctl of the namespaces that this process is in. The name's form is checked again here,
/// since it becomes a path. `root` is the group's, if it is not the host's.
fn set_sysctl(name: &str, value: &str, root: Option<Uid>) -> io::Result<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    if !name.bytes().all(plain) || name.split('.').any(str::is_empty) || value.contains('\n') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is no sysctl"),
        ));
    }
    // Opened first: the group's root may not look at the directories above.
    let all = File::open("/proc/sys")?;
    let write = || {
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let opened = openat(&all, name.replace('.', "/").as_str(), flags, Mode::empty())?;
        File::from(opened).write_all(value.as_bytes())
    };
    let set = match (write(), root) {
        // Those of IPC are their namespace's root's alone since Linux 6.9, and the host's before.
        (Err(error), Some(root)) if error.kind() == io::ErrorKind::PermissionDenied => {
            in_the_name_of(root, write)
        }
        (set, _) => set,
    };
    set.map_err(|error| io::Error::new(error.kind(), format!("{name} = {value:?}: {error}")))
}

/// Does something as another user, without the capabilities of the host's root.
fn in_the_name_of(user: Uid, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let visible = prctl::get_dumpable()?;
    seteuid(user)?;
    let done = act();
    seteuid(Uid::from_raw(0))?;
    prctl::set_dumpable(visible)?;
    done
}

/// Forks the holder, into a user namespace of its own if the group has one. That is made in the
/// name of the group's root: what the kernel counts for the user who made a user namespace (watchers
/// of files, message queues, pending signals) would else be the host's root's, and one group could
/// use it up for all. The capabilities stay, since a host may ask for them to make one.
fn fork_holder(user: Option<IdRange>) -> io::Result<Fork> {
    let Some(range) = user else {
        return fork(&ForkOptions::default());
    };
    let options = ForkOptions {
        namespaces: libc::CLONE_NEWUSER,
        ..ForkOptions::default()
    };
    // Changing the user hides a process from its own user; this one changes back.
    let visible = prctl::get_dumpable()?;
    seteuid(Uid::from_raw(range.host_base))?;
    let forked = caps::read(None, CapSet::Permitted)
        .and_then(|all| caps::set(None, CapSet::Effective, &all))
        .map_err(io::Error::other)
        .and_then(|()| fork(&options));
    if !matches!(forked, Ok(Fork::Child)) {
        seteuid(Uid::from_raw(0))?;
        prctl::set_dumpable(visible)?;
    }
    forked
}

/// The holder: makes the namespaces, tells the first process's number, and waits for its end.
fn hold(plan: &GroupPlan, mut channel: UnixStream) -> ! {
    let made = channel.read_exact(&mut [0_u8; 1]).and_then(|()| make(plan));
    let code = match made {
        Ok(first) => {
            let told = channel.write_all(&first.to_ne_bytes());
            let _ = told.and_then(|()| channel.read(&mut [0_u8; 1]));
            0
        }
        Err(error) => {
            eprintln!("make the namespaces of {}: {error}", plan.uid);
            1
        }
    };
    std::process::exit(code)
}

fn make(plan: &GroupPlan) -> io::Result<i32> {
    if plan.user.is_some() {
        let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
    }
    let mut flags = CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if plan.network == NetworkNamespace::New {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags)?;
    nix::unistd::sethostname(&plan.hostname)?;
    if let Some(domain) = &plan.domainname {
        fs::write("/proc/sys/kernel/domainname", domain)?;
    }
    if !plan.share_process_namespace {
        return Ok(0);
    }
    let options = ForkOptions {
        namespaces: libc::CLONE_NEWPID,
        sibling: true,
        cgroup: None,
    };
    match fork(&options)? {
        Fork::Child => first::run(),
        Fork::Parent(pid) => Ok(pid.as_raw()),
    }
}
