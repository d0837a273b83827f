//! Running one more process in a container, isolated as its first process is.
//!
//! libcontainer's own way (`as_tenant`) is not used: it joins all of the container's namespaces but
//! the user namespace, so the process would be the host's root. Here one `setns` joins all of them
//! at once, and the last steps and the verification are those of the first process.
//!
//! ```text
//! keeper ── fork ──► joiner   in the container's cgroup; limits, all namespaces
//!                      └─ fork ──► process   (the keeper's child) session, streams, ids, last steps
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    Gid, Pid, Uid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, setgroups, setresgid, setresuid,
    setsid,
};
use oci_spec::runtime::{PosixRlimitType, Process};

use super::finish::{Finish, Word};
use super::starter::{Entry, Streams, settle};
use crate::protocol::{Failure, FailureClass};
use crate::sys::process::{self, Fork, ForkOptions, fork};
use crate::sys::{passing, terminal};

/// One process to run.
pub(super) struct Job {
    /// A descriptor of the container's first process.
    pub(super) target: OwnedFd,
    /// Which of its namespaces differ from the keeper's.
    pub(super) namespaces: CloneFlags,
    /// What to run.
    pub(super) process: Process,
    /// Its streams.
    pub(super) streams: Streams,
    /// The last steps.
    pub(super) finish: Finish,
}

/// Forks a process into a container.
///
/// # Errors
/// The fork failed. Anything later is said on the channel.
pub(super) fn start(job: &Job, entry: &Entry) -> io::Result<Pid> {
    match fork(&entry.fork_options())? {
        Fork::Parent(pid) => Ok(pid),
        Fork::Child => {
            if let Err(failure) = join(job, entry) {
                job.finish.channel.say(&Word::Failed(failure));
            }
            std::process::exit(0)
        }
    }
}

fn step<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| Failure::new(FailureClass::Internal, format!("{step}: {error}"))
}

fn join(job: &Job, entry: &Entry) -> Result<(), Failure> {
    // From here on the container could reach for this process, whose memory is the keeper's.
    prctl::set_dumpable(false).map_err(step("hide from the container"))?;
    settle(entry, &job.finish, job.process.oom_score_adj())?;
    set_limits(&job.process)?;
    setns(job.target.as_fd(), job.namespaces).map_err(step("join the container's namespaces"))?;
    let options = ForkOptions {
        sibling: true,
        ..ForkOptions::default()
    };
    match fork(&options).map_err(step("fork in the container"))? {
        Fork::Parent(_) => Ok(()),
        Fork::Child => {
            let failure = match become_user(job) {
                Ok(()) => job.finish.run(&job.process),
                Err(failure) => {
                    job.finish.channel.say(&Word::Failed(failure.clone()));
                    failure
                }
            };
            let missing = failure.class == FailureClass::CommandNotFound;
            std::process::exit(if missing { 127 } else { 126 })
        }
    }
}

fn become_user(job: &Job) -> Result<(), Failure> {
    setsid().map_err(step("begin a session"))?;
    if job.namespaces.contains(CloneFlags::CLONE_NEWUSER) {
        become_root_inside()?;
    }
    let identity = Identity {
        process: &job.process,
        streams: &job.streams,
        finish: &job.finish,
    };
    identity.take()
}

/// Joining a user namespace gives all capabilities in it, but leaves the host's ids.
pub(super) fn become_root_inside() -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(gid, gid, gid).map_err(step("become the root group inside"))?;
    setresuid(uid, uid, uid).map_err(step("become root inside"))
}

/// Who a process is, once it is where it belongs.
pub(super) struct Identity<'a> {
    /// What was asked for.
    pub(super) process: &'a Process,
    /// Its streams.
    pub(super) streams: &'a Streams,
    /// The way to the keeper.
    pub(super) finish: &'a Finish,
}

impl Identity<'_> {
    /// Takes it: streams, promise, ids, working directory. Capabilities are left to the last steps.
    pub(super) fn take(&self) -> Result<(), Failure> {
        self.connect_streams()?;
        if self.process.no_new_privileges() == Some(true) {
            prctl::set_no_new_privs().map_err(step("promise never to gain privileges"))?;
        }
        if let Some(mask) = self.process.user().umask() {
            umask(Mode::from_bits_truncate(mask));
        }
        let early = chdir(self.process.cwd());
        self.set_ids()?;
        // A directory that only the user may enter, or only root.
        early
            .or_else(|_| chdir(self.process.cwd()))
            .map_err(|errno| {
                let message = format!("enter {}: {errno}", self.process.cwd().display());
                Failure::new(FailureClass::Invalid, message)
            })?;
        process::close_fds(3, u32::MAX, true).map_err(step("mark descriptors for closing"))
    }

    fn set_ids(&self) -> Result<(), Failure> {
        let user = self.process.user();
        let (uid, gid) = (Uid::from_raw(user.uid()), Gid::from_raw(user.gid()));
        let groups: Vec<Gid> = user
            .additional_gids()
            .iter()
            .flatten()
            .map(|gid| Gid::from_raw(*gid))
            .collect();
        prctl::set_keepcaps(true).map_err(step("keep capabilities"))?;
        setgroups(&groups).map_err(step("set supplementary groups"))?;
        setresgid(gid, gid, gid).map_err(step("set the group"))?;
        setresuid(uid, uid, uid).map_err(step("set the user"))?;
        prctl::set_keepcaps(false).map_err(step("stop keeping capabilities"))?;
        let permitted = caps::read(None, caps::CapSet::Permitted)
            .and_then(|all| caps::set(None, caps::CapSet::Effective, &all));
        permitted.map_err(step("regain capabilities until the last drop"))
    }

    fn connect_streams(&self) -> Result<(), Failure> {
        match self.streams {
            Streams::Pipes([stdin, stdout, stderr]) => {
                connect(stdin.as_fd(), stdout.as_fd(), stderr.as_fd())
                    .map_err(step("connect the streams"))
            }
            Streams::Terminal => {
                let failed = || step::<io::Error>("open a terminal in the container");
                let (master, slave) = terminal::open_pair().map_err(failed())?;
                own_terminal(&slave, self.process).map_err(failed())?;
                terminal::take_control(slave.as_fd()).map_err(failed())?;
                let word = Word::Console.encode();
                passing::send_datagram(self.finish.channel.fd(), &word, &[master.as_fd()])
                    .map_err(failed())?;
                connect(slave.as_fd(), slave.as_fd(), slave.as_fd()).map_err(failed())
            }
        }
    }
}

/// The user must be able to open its own terminal again by name.
fn own_terminal(slave: &OwnedFd, process: &Process) -> io::Result<()> {
    let uid = Uid::from_raw(process.user().uid());
    Ok(nix::unistd::fchown(slave, Some(uid), None)?)
}

fn connect(
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> io::Result<()> {
    dup2_stdin(stdin)?;
    dup2_stdout(stdout)?;
    dup2_stderr(stderr)?;
    Ok(())
}

/// Sets the limits of the calling process, which its children inherit.
pub(super) fn set_limits(process: &Process) -> Result<(), Failure> {
    for limit in process.rlimits().iter().flatten() {
        setrlimit(resource(limit.typ()), limit.soft(), limit.hard()).map_err(|errno| {
            let message = format!(
                "set {:?} to {}/{}: {errno}",
                limit.typ(),
                limit.soft(),
                limit.hard()
            );
            Failure::new(FailureClass::Internal, message)
        })?;
    }
    Ok(())
}

fn resource(limit: PosixRlimitType) -> Resource {
    match limit {
        PosixRlimitType::RlimitCpu => Resource::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => Resource::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => Resource::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => Resource::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => Resource::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => Resource::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => Resource::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => Resource::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => Resource::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => Resource::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => Resource::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => Resource::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => Resource::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => Resource::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => Resource::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => Resource::RLIMIT_RTTIME,
    }
}
