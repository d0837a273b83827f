//! Following a starting process from its fork to its program.
//!
//! ```text
//!            Ready, verified            go
//! Making ───────────────────► Waiting ─────► Released ── channel closed ──► running
//!    └── Failed, mismatch, death, too late ──┴── Failed, death ──► killed, answered
//! ```

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use burstlet_model::{BootTime, ContainerName};
use nix::sys::epoll::EpollFlags;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Pid, write};

use super::finish::{Channel, Word};
use super::first_line;
use super::reactor::{Key, Token};
use super::stage::{Stage, failed};
use super::state::{Ended, Keeper};
use crate::protocol::{ContainerPhase, Failure, FailureClass, Reply, Started};
use crate::sys::{clock, passing};
use crate::verify::{self, Expected, Seen};

/// How long a process may take until everything is in place, and then until its program runs.
const LAUNCH_LIMIT: Duration = Duration::from_secs(30);

/// What is being started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The first process of a container.
    Container(ContainerName),
    /// A process of this name in a container.
    Exec(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Making,
    Waiting,
    Released,
}

/// A starting process.
pub(super) struct Launch {
    subject: Subject,
    channel: OwnedFd,
    key: Key,
    /// The child that makes the process and ends, until it is reaped.
    maker: Option<Pid>,
    /// The process itself, once it has spoken.
    pid: Option<Pid>,
    /// The request to answer.
    call: Option<u64>,
    start: bool,
    step: Step,
    expected: Expected,
    failure: Option<Failure>,
    warnings: Vec<String>,
    terminal: Option<OwnedFd>,
    /// How the process ended, if it did before its launch was over.
    ended: Option<Ended>,
    /// When it is given up.
    pub(super) deadline: Option<BootTime>,
}

/// What a launch needs to be followed.
pub(super) struct Begun {
    pub(super) subject: Subject,
    pub(super) channel: OwnedFd,
    pub(super) maker: Pid,
    pub(super) call: u64,
    pub(super) start: bool,
    pub(super) expected: Expected,
}

/// Our end of a channel to a starting process, which tells us who speaks, and its end.
pub(super) fn channel() -> Result<(OwnedFd, Channel), Failure> {
    let (ours, theirs) = passing::pair().map_err(failed("make a channel".into()))?;
    passing::set_nonblocking(&ours).map_err(failed("make a channel".into()))?;
    setsockopt(&ours, sockopt::PassCred, &true).map_err(failed("make a channel".into()))?;
    Ok((ours, Channel::new(theirs)))
}

impl Keeper {
    /// Follows a launch.
    pub(super) fn follow(&mut self, begun: Begun) -> Result<(), Failure> {
        let serial = self.serial();
        let key = self
            .reactor
            .add(&begun.channel, Token::Launch(serial), EpollFlags::EPOLLIN)
            .map_err(failed("wait for a starting process".into()))?;
        let launch = Launch {
            subject: begun.subject,
            channel: begun.channel,
            key,
            maker: Some(begun.maker),
            pid: None,
            call: Some(begun.call),
            start: begun.start,
            step: Step::Making,
            expected: begun.expected,
            failure: None,
            warnings: Vec::new(),
            terminal: None,
            ended: None,
            deadline: Some(clock::now().boot + LAUNCH_LIMIT),
        };
        self.launches.insert(serial, launch);
        Ok(())
    }

    /// Whether a container is being made.
    pub(super) fn making(&self) -> bool {
        let container = |launch: &Launch| matches!(launch.subject, Subject::Container(_));
        self.launches
            .values()
            .any(|launch| launch.step == Step::Making && container(launch))
    }

    /// A starting process says something, or its channel is closed.
    pub(super) fn on_launch(&mut self, serial: u32) {
        loop {
            let Some(launch) = self.launches.get_mut(&serial) else {
                return;
            };
            match passing::receive(launch.channel.as_fd()) {
                Ok(Some(packet)) => self.on_word(serial, packet),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Ok(None) | Err(_) => return self.conclude(serial),
            }
        }
    }

    fn on_word(&mut self, serial: u32, packet: passing::Packet) {
        let Some(launch) = self.launches.get_mut(&serial) else {
            return;
        };
        match Word::decode(&packet.bytes) {
            Word::Failed(failure) => launch.failure = launch.failure.take().or(Some(failure)),
            Word::Warning(warning) => launch.warnings.push(first_line(&warning)),
            Word::Console => launch.terminal = packet.fds.into_iter().next(),
            Word::Ready => {
                launch.pid = packet.sender.map(Pid::from_raw);
                if let Err(failure) = launch.verify() {
                    launch.fail(failure);
                    return;
                }
                launch.step = Step::Waiting;
                self.on_ready(serial);
            }
        }
    }

    fn on_ready(&mut self, serial: u32) {
        let now = clock::now();
        let Some(launch) = self.launches.get_mut(&serial) else {
            return;
        };
        let pid = launch.pid;
        if launch.start {
            launch.release();
        } else {
            launch.deadline = None;
        }
        let (start, call, warnings) = (launch.start, launch.call, launch.warnings.clone());
        match launch.subject.clone() {
            Subject::Exec(id) => {
                if let Some(exec) = self.execs.get_mut(&id) {
                    exec.pid = pid;
                }
            }
            Subject::Container(name) => {
                self.on_created(&name, serial);
                if let Some(container) = self.containers.get_mut(&name) {
                    container.pid = pid;
                    container.created = Some(now);
                    container.phase = ContainerPhase::Created;
                }
                if let (false, Some(call), Some(pid)) = (start, call, pid) {
                    let started = Started {
                        pid: pid.as_raw(),
                        created: now,
                        started: None,
                        warnings,
                    };
                    self.answer(call, Ok((Reply::Started(started), Vec::new())));
                    if let Some(launch) = self.launches.get_mut(&serial) {
                        launch.call = None;
                    }
                }
                self.next_run();
            }
        }
    }

    /// The container's terminal came before its process was ready.
    fn on_created(&mut self, name: &ContainerName, serial: u32) {
        let terminal = self
            .launches
            .get_mut(&serial)
            .and_then(|launch| launch.terminal.take());
        let (Some(master), Some(container)) = (terminal, self.containers.get_mut(name)) else {
            return;
        };
        if let Err(failure) = container.take_terminal(&mut self.reactor, master)
            && let Some(launch) = self.launches.get_mut(&serial)
        {
            launch.fail(failure);
        }
    }

    /// Starts a created container.
    pub(super) fn release(&mut self, call: u64, name: &ContainerName) -> Result<(), Failure> {
        self.container(name)?;
        let subject = Subject::Container(name.clone());
        let launch = self
            .launches
            .values_mut()
            .find(|launch| launch.subject == subject);
        let waiting = launch.filter(|launch| launch.step == Step::Waiting);
        let launch = waiting.ok_or_else(|| {
            Failure::new(
                FailureClass::WrongState,
                format!("container {name} does not wait for its start"),
            )
        })?;
        launch.call = Some(call);
        launch.deadline = Some(clock::now().boot + LAUNCH_LIMIT);
        launch.release();
        Ok(())
    }

    /// The channel is closed: the program runs, or the process is gone.
    fn conclude(&mut self, serial: u32) {
        let Some(mut launch) = self.launches.remove(&serial) else {
            return;
        };
        self.reactor.remove(&launch.channel, launch.key);
        let failure = launch.failure.take().or_else(|| launch.silent_death());
        match (launch.subject.clone(), failure) {
            (Subject::Container(name), None) => self.container_runs(&name, launch),
            (Subject::Container(name), Some(failure)) => {
                self.container_failed(&name, &launch, failure);
            }
            (Subject::Exec(id), None) => self.exec_runs(id, launch),
            (Subject::Exec(id), Some(failure)) => {
                launch.kill();
                self.execs.remove(&id);
                launch
                    .call
                    .into_iter()
                    .for_each(|call| self.answer(call, Err(failure.clone())));
            }
        }
        self.next_run();
    }

    fn container_runs(&mut self, name: &ContainerName, launch: Launch) {
        let Some(container) = self.containers.get_mut(name) else {
            return;
        };
        let now = clock::now();
        container.started = Some(now);
        container.phase = ContainerPhase::Running;
        let created = container.created.unwrap_or(now);
        let pid = launch.pid.map_or(0, Pid::as_raw);
        let started = Started {
            pid,
            created,
            started: Some(now),
            warnings: launch.warnings,
        };
        if let Some(call) = launch.call {
            self.answer(call, Ok((Reply::Started(started), Vec::new())));
        }
        if let Some(ended) = launch.ended {
            self.container_ended(name, ended);
        }
    }

    /// A container that was never said to exist is forgotten; one that was has ended.
    fn container_failed(&mut self, name: &ContainerName, launch: &Launch, failure: Failure) {
        launch.kill();
        let known = self
            .containers
            .get(name)
            .is_some_and(|c| c.created.is_some());
        if let Some(call) = launch.call {
            self.answer(call, Err(failure));
            if !known || launch.start {
                if let Some(mut container) = self.containers.remove(name) {
                    drop(container.streams.finish(&mut self.reactor));
                    Stage::strike(&container.id);
                }
                return;
            }
        }
        let ended = launch.ended.unwrap_or_else(killed_now);
        self.container_ended(name, ended);
    }

    fn exec_runs(&mut self, id: String, launch: Launch) {
        let pid = launch.pid.map_or(0, Pid::as_raw);
        if let Some(call) = launch.call {
            let fds = launch.terminal.into_iter().collect();
            self.answer(call, Ok((Reply::Executing { pid }, fds)));
        }
        if let Some(ended) = launch.ended {
            self.exec_ended(id, ended);
        }
    }

    /// A process ended that may be a starting one, or its maker. Gives whether it is. From here on
    /// its number may be somebody else's.
    pub(super) fn launch_ended(&mut self, pid: Pid, ended: Ended) -> bool {
        for launch in self.launches.values_mut() {
            if launch.pid == Some(pid) {
                launch.ended = Some(ended);
                return true;
            }
            if launch.maker == Some(pid) {
                launch.maker = None;
                return true;
            }
        }
        false
    }

    /// Kills what a container's launch has made so far.
    pub(super) fn kill_launch_of(&mut self, name: &ContainerName) {
        let subject = Subject::Container(name.clone());
        for launch in self
            .launches
            .values()
            .filter(|launch| launch.subject == subject)
        {
            launch.kill();
        }
    }

    /// Gives up launches that take too long.
    pub(super) fn give_up_launches(&mut self, now: BootTime) {
        for launch in self.launches.values_mut() {
            if launch.deadline.is_some_and(|deadline| deadline <= now) {
                launch.deadline = None;
                let message = format!("the process was not in place within {LAUNCH_LIMIT:?}");
                launch.fail(Failure::new(FailureClass::Deadline, message));
            }
        }
    }
}

fn killed_now() -> Ended {
    Ended {
        code: None,
        signal: Some(Signal::SIGKILL as i32),
        at: clock::now(),
    }
}

impl Launch {
    fn verify(&self) -> Result<(), Failure> {
        let unknown = || {
            Failure::new(
                FailureClass::Verification,
                "a starting process hides itself",
            )
        };
        let pid = self.pid.ok_or_else(unknown)?;
        let seen = Seen::read(pid.as_raw(), &self.expected)
            .map_err(failed("read what the process is".into()))?;
        let found = verify::check(&self.expected, &seen);
        if found.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = found.iter().map(ToString::to_string).collect();
        let message = format!("the process did not come out as asked: {}", list.join("; "));
        Err(Failure::new(FailureClass::Verification, message))
    }

    fn release(&mut self) {
        self.step = Step::Released;
        // A failure to write means that the process is gone, which the channel's end tells.
        let _ = write(&self.channel, b"g");
    }

    fn fail(&mut self, failure: Failure) {
        self.failure = self.failure.take().or(Some(failure));
        self.kill();
    }

    fn kill(&self) {
        let process = self.pid.filter(|_| self.ended.is_none());
        for pid in process.into_iter().chain(self.maker) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    /// A channel that is closed before the process was let go means that it died.
    fn silent_death(&self) -> Option<Failure> {
        (self.step != Step::Released).then(|| {
            let when = match self.step {
                Step::Making => "while it was being set up",
                _ => "before it was started",
            };
            Failure::new(FailureClass::Internal, format!("the process died {when}"))
        })
    }
}
