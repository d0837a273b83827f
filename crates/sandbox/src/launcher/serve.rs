//! The launcher's loop: connections in, keepers out.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::ExitCode;

use burstlet_model::GroupUid;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Options;
use super::detach::Sockets;
use crate::keeper::{self, Seed};
use crate::plan::{CgroupEntry, GroupPlan, Outside};
use crate::protocol::{Answer, Failure, FailureClass, Reply, Request, decode_call, encode};
use crate::sys::clock;
use crate::sys::listening;
use crate::sys::passing::{self, Packet};
use crate::sys::process::{self, Fork, ForkOptions, fork};

/// The most clients that are connected and have not asked for anything yet.
const CONNECTIONS_MAX: usize = 256;
const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;

struct Launcher {
    sockets: Sockets,
    keepers_dir: PathBuf,
    epoll: Epoll,
    signals: SignalFd,
    connections: HashMap<u64, OwnedFd>,
    next: u64,
    keepers: HashMap<Pid, GroupUid>,
}

/// What a message leads to.
enum Then {
    /// The connection stays.
    Listen,
    /// The connection is no longer ours.
    Close,
    /// The launcher ends.
    End,
}

/// Serves until it is told to end.
pub(super) fn serve(sockets: Sockets, options: &Options) -> ExitCode {
    let served = Launcher::new(sockets, options).and_then(|mut launcher| launcher.run());
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("burstlet-launcher: serve: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Launcher {
    fn new(sockets: Sockets, options: &Options) -> io::Result<Self> {
        prctl::set_child_subreaper(true)?;
        process::ignore_sigpipe()?;
        let mut wanted = SigSet::empty();
        wanted.add(Signal::SIGCHLD);
        wanted.add(Signal::SIGTERM);
        wanted.thread_set_mask()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&wanted, flags)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(
            &sockets.listener,
            EpollEvent::new(listening::INTEREST, LISTENER),
        )?;
        epoll.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS))?;
        Ok(Self {
            sockets,
            keepers_dir: options.run_dir.join("keepers"),
            epoll,
            signals,
            connections: HashMap::new(),
            next: SIGNALS + 1,
            keepers: HashMap::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let mut events = [EpollEvent::empty(); 32];
            let now = clock::now().boot;
            let again = self.sockets.listener.again().map(|again| again.since(now));
            let count = match self.epoll.wait(&mut events, clock::epoll_timeout(again)) {
                Err(nix::errno::Errno::EINTR) => 0,
                result => result?,
            };
            for event in events.iter().take(count) {
                let ends = match event.data() {
                    LISTENER => self.accept(),
                    SIGNALS => self.on_signals(),
                    number => self.on_message(number),
                };
                if ends {
                    let _ = fs::remove_file(&self.sockets.path);
                    return Ok(());
                }
            }
            if self.sockets.listener.is_due(clock::now().boot) {
                self.accept();
            }
        }
    }

    fn accept(&mut self) -> bool {
        loop {
            match self.sockets.listener.next(clock::now().boot) {
                Ok(Some(connection)) => self.admit(connection),
                Ok(None) => return false,
                Err(error) => {
                    eprintln!("burstlet-launcher: take a connection: {error}");
                    return false;
                }
            }
        }
    }

    fn admit(&mut self, connection: OwnedFd) {
        if self.connections.len() >= CONNECTIONS_MAX {
            return;
        }
        let number = self.next;
        self.next += 1;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
        if self.epoll.add(&connection, event).is_ok() {
            self.connections.insert(number, connection);
        }
    }

    /// Reaps keepers, and tidies up after those that could not do it themselves.
    fn on_signals(&mut self) -> bool {
        let mut ends = false;
        while let Ok(Some(signal)) = self.signals.read_signal() {
            ends |= signal.ssi_signo == Signal::SIGTERM as u32;
        }
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
            let gone = status.pid().and_then(|pid| self.keepers.remove(&pid));
            // A group that was stopped and started has a new keeper by now, at the same place.
            if let Some(uid) = gone
                && !self.keepers.values().any(|other| *other == uid)
            {
                let _ = fs::remove_file(self.keepers_dir.join(format!("{uid}.sock")));
            }
        }
        ends
    }

    fn on_message(&mut self, number: u64) -> bool {
        let Some(connection) = self.connections.remove(&number) else {
            return false;
        };
        let then = match passing::receive(connection.as_fd()) {
            Ok(Some(packet)) => self.handle(&connection, packet),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Then::Listen,
            Ok(None) | Err(_) => Then::Close,
        };
        match then {
            Then::Listen => drop(self.connections.insert(number, connection)),
            // A keeper may have the connection too, and then closing it here takes it out of
            // nothing: we would be woken for a stranger's connection for ever.
            Then::Close => drop(self.epoll.delete(&connection)),
            Then::End => return true,
        }
        false
    }

    fn handle(&mut self, connection: &OwnedFd, packet: Packet) -> Then {
        let call = match decode_call(&packet.bytes) {
            Ok(Ok(call)) => call,
            Ok(Err(answer)) => return reply(connection, &answer, Then::Listen),
            Err(_) => return Then::Close,
        };
        let (result, then) = match call.request {
            Request::Ping => (Ok(Reply::Done), Then::Listen),
            Request::Quit => (Ok(Reply::Done), Then::End),
            Request::CreateGroup { plan } => {
                match self.create(*plan, packet.fds, call.id, connection) {
                    Ok(()) => return Then::Close,
                    Err(failure) => (Err(failure), Then::Close),
                }
            }
            _ => {
                let message = "this is the launcher, not a keeper";
                (
                    Err(Failure::new(FailureClass::Unsupported, message)),
                    Then::Listen,
                )
            }
        };
        reply(
            connection,
            &Answer {
                id: call.id,
                result,
            },
            then,
        )
    }

    /// Forks a keeper, which goes on with the connection.
    fn create(
        &mut self,
        plan: GroupPlan,
        fds: Vec<OwnedFd>,
        call: u64,
        connection: &OwnedFd,
    ) -> Result<(), Failure> {
        let born_in = match &plan.cgroup {
            Some(CgroupEntry::BornIn(Outside::Passed(position))) => usize::try_from(*position)
                .ok()
                .and_then(|index| fds.get(index)),
            _ => None,
        };
        let options = ForkOptions {
            cgroup: born_in.map(AsFd::as_fd),
            ..ForkOptions::default()
        };
        let forked = fork(&options).map_err(|error| {
            Failure::new(FailureClass::Internal, format!("fork a keeper: {error}"))
        })?;
        match forked {
            Fork::Parent(pid) => {
                self.keepers.insert(pid, plan.uid);
                Ok(())
            }
            Fork::Child => {
                let keepers_dir = self.keepers_dir.clone();
                // The keeper has to own it, to be able to close it.
                let Ok(connection) = connection.try_clone() else {
                    std::process::exit(1)
                };
                let kept = fds.iter().chain([&connection]).map(AsRawFd::as_raw_fd);
                close_all_but(kept.collect());
                keeper::run(Seed {
                    plan,
                    fds,
                    call,
                    connection,
                    keepers_dir,
                })
            }
        }
    }
}

fn reply(connection: &OwnedFd, answer: &Answer, then: Then) -> Then {
    let sent = encode(answer)
        .map_err(io::Error::other)
        .and_then(|packed| passing::send(connection.as_fd(), &packed, &[]));
    if sent.is_ok() { then } else { Then::Close }
}

/// Closes the launcher's descriptors in a new keeper. Their owners never run in it: it leaves by
/// `exit`.
fn close_all_but(mut kept: Vec<RawFd>) {
    kept.sort_unstable();
    let mut first = 3_u32;
    for fd in kept
        .into_iter()
        .map(RawFd::cast_unsigned)
        .filter(|fd| *fd >= 3)
    {
        if fd > first {
            let _ = process::close_fds(first, fd - 1, false);
        }
        first = first.max(fd + 1);
    }
    let _ = process::close_fds(first, u32::MAX, false);
}
