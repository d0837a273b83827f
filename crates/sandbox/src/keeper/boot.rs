//! From a fork of the launcher to a keeper that serves.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::epoll::EpollFlags;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::setsid;

use super::control::Control;
use super::expect::GroupFacts;
use super::namespaces::{NamespaceError, Namespaces};
use super::passed::Passed;
use super::reactor::{Reactor, Token};
use super::stage::Stage;
use super::state::Keeper;
use crate::plan::GroupPlan;
use crate::protocol::{Answer, Failure, FailureClass, Reply, encode};
use crate::sys::listening::{self, Listening};
use crate::sys::{clock, passing, process, title};
use crate::verify::read_namespaces;

/// How many connections may wait at a keeper's socket.
const BACKLOG: i32 = 8;

/// What the launcher's fork hands on.
pub(crate) struct Seed {
    /// The group.
    pub(crate) plan: GroupPlan,
    /// What came along with it.
    pub(crate) fds: Vec<OwnedFd>,
    /// The request to answer.
    pub(crate) call: u64,
    /// The connection that it came on.
    pub(crate) connection: OwnedFd,
    /// Where the keepers' sockets are.
    pub(crate) keepers_dir: PathBuf,
}

/// Why a keeper could not begin.
#[derive(Debug, thiserror::Error)]
enum BootError {
    #[error("{step}")]
    Step {
        step: &'static str,
        source: io::Error,
    },
    #[error(transparent)]
    Namespaces(#[from] NamespaceError),
    #[error("{}", .0.message)]
    Refused(Failure),
}

fn step<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> BootError {
    move |source| BootError::Step {
        step,
        source: source.into(),
    }
}

/// Becomes the keeper of a group, until the group ends.
pub(crate) fn run(seed: Seed) -> ! {
    let (call, uid) = (seed.call, seed.plan.uid.clone());
    let spare = seed.connection.try_clone();
    let code = match boot(seed) {
        Ok(keeper) => {
            // While it is held, a client that is let go does not notice.
            drop(spare);
            keeper.serve()
        }
        Err(error) => {
            let message = describe(&error);
            eprintln!("keep group {uid}: {message}");
            if let Ok(connection) = spare {
                refuse(&connection, call, message);
            }
            1
        }
    };
    std::process::exit(code)
}

fn describe(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn refuse(connection: &OwnedFd, call: u64, message: String) {
    let failure = Failure::new(FailureClass::Internal, message);
    if let Ok(packed) = encode(&Answer {
        id: call,
        result: Err(failure),
    }) {
        let _ = passing::send(connection.as_fd(), &packed, &[]);
    }
}

fn boot(seed: Seed) -> Result<Keeper, BootError> {
    let Seed {
        plan,
        fds,
        call,
        connection,
        keepers_dir,
    } = seed;
    let signals = settle_in(&plan, fds)?;
    let outside = read_namespaces(Path::new("/proc/self")).map_err(step("read own namespaces"))?;
    let namespaces = Namespaces::create(&plan)?;
    let stage = stage(&plan, &namespaces)?;
    let socket = keepers_dir.join(format!("{}.sock", plan.uid));
    let listener = listen(&socket).map_err(step("listen at the keeper's socket"))?;
    let mut reactor = reactor(&signals, &listener)?;
    let control = Control::new(&mut reactor, connection).map_err(step("listen to the client"))?;
    let mut keeper = Keeper {
        facts: GroupFacts {
            ids: plan.user,
            outside,
        },
        plan,
        since: clock::now(),
        socket,
        namespaces,
        stage,
        reactor,
        signals,
        listener,
        control: Some(control),
        containers: BTreeMap::new(),
        execs: BTreeMap::new(),
        launches: BTreeMap::new(),
        dials: BTreeMap::new(),
        waiting_runs: VecDeque::new(),
        next_serial: 0,
        shutdown: None,
    };
    let ready = Reply::Ready {
        pid: std::process::id().cast_signed(),
    };
    let fds = keeper
        .network()
        .map_err(step("hand out the network namespace"))?;
    keeper.answer(call, Ok((ready, fds)));
    Ok(keeper)
}

/// Leaves the launcher's session, cgroup and mounts. Gives what tells of children.
fn settle_in(plan: &GroupPlan, fds: Vec<OwnedFd>) -> Result<SignalFd, BootError> {
    title::set(&format!("burstlet-keeper {}", plan.uid));
    let _ = prctl::set_name(c"burstlet-keeper");
    setsid().map_err(step("begin a session"))?;
    prctl::set_child_subreaper(true).map_err(step("become the reaper of orphans"))?;
    let entry = Passed::new(fds)
        .entry(plan.cgroup.as_ref())
        .map_err(BootError::Refused)?;
    entry.enter().map_err(step("enter the group's cgroup"))?;
    let signals = take_signals().map_err(step("take over signals"))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(step("leave the launcher's mount namespace"))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(step("keep mounts to this process"))?;
    Ok(signals)
}

fn stage(plan: &GroupPlan, namespaces: &Namespaces) -> Result<Stage, BootError> {
    let user = namespaces.user.as_ref().map(OwnedFd::try_clone).transpose();
    let user = user.map_err(step("hold the user namespace"))?;
    Stage::set_up(user.zip(plan.user)).map_err(step("set the stage up"))
}

fn reactor(signals: &SignalFd, listener: &Listening) -> Result<Reactor, BootError> {
    let mut reactor = Reactor::new().map_err(step("make the reactor"))?;
    let read = EpollFlags::EPOLLIN;
    reactor
        .add(signals, Token::Signals, read)
        .map_err(step("wait for children"))?;
    reactor
        .add(listener, Token::Listener, listening::INTEREST)
        .map_err(step("wait for connections"))?;
    Ok(reactor)
}

impl Keeper {
    /// The group's network namespace, to be handed out.
    pub(super) fn network(&self) -> io::Result<Vec<OwnedFd>> {
        self.namespaces.net.iter().map(OwnedFd::try_clone).collect()
    }
}

fn take_signals() -> io::Result<SignalFd> {
    process::ignore_sigpipe()?;
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_set_mask()?;
    Ok(SignalFd::with_flags(
        &children,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}

/// A socket of that name is left over from a keeper that is gone: uids are never used again.
fn listen(path: &Path) -> io::Result<Listening> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => passing::listen(path, BACKLOG).map(Listening::new),
    }
}
