//! The keeper's loop and its answers.

use std::io;
use std::os::fd::OwnedFd;

use burstlet_model::{BootTime, ContainerName};
use nix::sys::epoll::EpollFlags;
use nix::unistd::Pid;

use super::control::Control;
use super::passed::Passed;
use super::reactor::Token;
use super::state::{Keeper, RUNS_WAITING_MAX};
use super::stdio::{ATTACHMENTS_MAX, Attachment};
use crate::plan::MountSource;
use crate::protocol::{ContainerPhase, Event, Failure, FailureClass, Reply, Request, decode_call};
use crate::sys::passing::Packet;
use crate::sys::{clock, process, terminal};

/// How a request is answered: now, later by whoever was given its number, or with a failure.
type Outcome = Result<Option<(Reply, Vec<OwnedFd>)>, Failure>;

fn done() -> Outcome {
    Ok(Some((Reply::Done, Vec::new())))
}

impl Keeper {
    /// Serves until the group has ended. Gives the exit code.
    pub(super) fn serve(mut self) -> i32 {
        loop {
            match self.turn() {
                Ok(false) => {}
                Ok(true) => return 0,
                Err(error) => {
                    // Containers die with their keeper; better than to be left without one.
                    eprintln!("keep group {}: wait for events: {error}", self.plan.uid);
                    return 1;
                }
            }
        }
    }

    /// One turn of the loop. Gives whether the group has ended.
    fn turn(&mut self) -> io::Result<bool> {
        let now = clock::now().boot;
        let timeout = self.next_deadline().map(|deadline| deadline.since(now));
        for (key, events) in self.reactor.wait(timeout)? {
            if let Some(token) = self.reactor.token(key) {
                self.on_event(token, events);
            }
        }
        let now = clock::now().boot;
        if self.listener.is_due(now) {
            self.on_connection();
        }
        self.give_up_dials(now);
        self.give_up_launches(now);
        self.give_up_ends(now);
        Ok(self.shutdown_complete(now))
    }

    fn next_deadline(&self) -> Option<BootTime> {
        let containers = self.containers.values().flat_map(|container| {
            container
                .drain_deadline
                .into_iter()
                .chain(container.linger_deadline)
        });
        containers
            .chain(self.launches.values().filter_map(|launch| launch.deadline))
            .chain(self.dials.values().map(|dial| dial.deadline))
            .chain(self.listener.again())
            .chain(self.shutdown.as_ref().map(|shutdown| shutdown.deadline))
            .min()
    }

    fn on_event(&mut self, token: Token, events: EpollFlags) {
        match token {
            Token::Signals => self.on_children(),
            Token::Listener => self.on_connection(),
            Token::Control => self.on_control(events),
            Token::Launch(serial) => self.on_launch(serial),
            Token::Output(serial, index) => self.on_output(serial, index),
            Token::Dial(serial) => self.on_dial(serial),
            Token::Input(serial) => self.on_streams(serial, |streams, reactor| {
                streams.on_input(reactor, events);
                Vec::new()
            }),
            Token::Source(serial) => self.on_streams(serial, |streams, reactor| {
                streams.on_source(reactor);
                Vec::new()
            }),
            Token::Sink(serial, number) => self.on_streams(serial, |streams, reactor| {
                streams.on_sink(reactor, number, events)
            }),
        }
    }

    /// Lets a container's streams do something, and tells which attachments ended by it.
    pub(super) fn on_streams(
        &mut self,
        serial: u32,
        act: impl FnOnce(
            &mut super::stdio::Streams,
            &mut super::reactor::Reactor,
        ) -> Vec<super::stdio::Detached>,
    ) {
        let found = self
            .containers
            .values_mut()
            .find(|container| container.serial == serial);
        let Some(container) = found else { return };
        for (attachment, end) in act(&mut container.streams, &mut self.reactor) {
            self.tell(&Event::Detached { attachment, end });
        }
    }

    fn on_connection(&mut self) {
        loop {
            match self.listener.next(clock::now().boot) {
                Ok(Some(connection)) => {
                    self.drop_control();
                    self.control = Control::new(&mut self.reactor, connection).ok();
                }
                Ok(None) => return,
                Err(error) => {
                    eprintln!("keep group {}: take a connection: {error}", self.plan.uid);
                    return;
                }
            }
        }
    }

    fn on_control(&mut self, events: EpollFlags) {
        let Some(control) = &mut self.control else {
            return;
        };
        if events.contains(EpollFlags::EPOLLOUT) && control.flush(&self.reactor).is_err() {
            return self.drop_control();
        }
        if !events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            return;
        }
        match control.receive() {
            Ok(Some(packet)) => self.on_packet(packet),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(None) | Err(_) => self.drop_control(),
        }
    }

    fn on_packet(&mut self, packet: Packet) {
        let Ok(call) = decode_call(&packet.bytes) else {
            return self.drop_control();
        };
        let passed = Passed::new(packet.fds);
        let (id, outcome) = match call {
            Ok(call) => (call.id, self.handle(call.id, call.request, passed)),
            Err(answer) => (
                answer.id,
                answer.result.map(|reply| Some((reply, Vec::new()))),
            ),
        };
        match outcome {
            Ok(Some(reply)) => self.answer(id, Ok(reply)),
            Ok(None) => {}
            Err(failure) => self.answer(id, Err(failure)),
        }
    }

    fn handle(&mut self, id: u64, request: Request, mut passed: Passed) -> Outcome {
        match request {
            Request::Ping => done(),
            Request::Snapshot => {
                let fds = self
                    .network()
                    .map_err(|e| internal("hand out the network", &e))?;
                Ok(Some((Reply::Snapshot(self.snapshot()), fds)))
            }
            Request::Run { plan } => self.accept_run(id, plan, passed),
            Request::Start { container } => self.release(id, &container).map(|()| None),
            Request::Exec {
                plan,
                stdin,
                stdout,
                stderr,
            } => {
                let streams = [
                    passed.maybe(stdin)?,
                    passed.maybe(stdout)?,
                    passed.maybe(stderr)?,
                ];
                self.exec(id, *plan, streams).map(|()| None)
            }
            Request::Attach {
                container,
                stdin,
                stdout,
                stderr,
            } => {
                let stdin = passed.maybe(stdin)?;
                let (stdout, stderr) = (passed.maybe(stdout)?, passed.maybe(stderr)?);
                self.attach(
                    &container,
                    Attachment {
                        number: 0,
                        stdin,
                        stdout,
                        stderr,
                    },
                )
            }
            Request::Resize {
                container,
                columns,
                rows,
            } => self.resize(&container, columns, rows),
            Request::Signal { container, signo } => {
                let pid = self.container(&container)?.pid;
                self.signal(pid, signo, &format!("container {container}"))
            }
            Request::SignalExec { exec, signo } => {
                let pid = self.execs.get(&exec).and_then(|exec| exec.pid);
                self.signal(pid, signo, &format!("process {exec:?}"))
            }
            Request::Renew { volume } => {
                let contents = match &*volume {
                    MountSource::Memory { files, .. } => passed.files(files)?,
                    _ => Vec::new(),
                };
                self.stage.renew(&volume, &contents)?;
                done()
            }
            Request::Kill { container } => {
                self.container(&container)?;
                self.kill_container(&container);
                done()
            }
            Request::Dial { address } => self.dial(id, address).map(|()| None),
            Request::Shutdown => {
                self.begin_shutdown(id);
                Ok(None)
            }
            Request::CreateGroup { .. } | Request::Quit => Err(Failure::new(
                FailureClass::Unsupported,
                "this is a keeper, not the launcher",
            )),
        }
    }

    fn accept_run(
        &mut self,
        id: u64,
        plan: Box<crate::plan::ContainerPlan>,
        passed: Passed,
    ) -> Outcome {
        if self.shutdown.is_some() {
            return Err(Failure::new(FailureClass::Ending, "the group is ending"));
        }
        if self.waiting_runs.len() >= RUNS_WAITING_MAX {
            return Err(Failure::new(
                FailureClass::Limit,
                "too many containers wait to be made",
            ));
        }
        self.waiting_runs.push_back((id, plan, passed));
        self.next_run();
        Ok(None)
    }

    fn attach(&mut self, name: &ContainerName, mut attachment: Attachment) -> Outcome {
        attachment.number = self.serial();
        let number = attachment.number;
        let found = self.containers.get_mut(name);
        let container = found
            .filter(|c| c.phase != ContainerPhase::Exited)
            .ok_or_else(|| {
                Failure::new(
                    FailureClass::WrongState,
                    format!("container {name} does not run"),
                )
            })?;
        if container.streams.attached() >= ATTACHMENTS_MAX {
            let message = format!("container {name} has {ATTACHMENTS_MAX} clients attached");
            return Err(Failure::new(FailureClass::Limit, message));
        }
        let attached = container.streams.attach(&mut self.reactor, attachment);
        attached.map_err(|error| internal("attach", &error))?;
        Ok(Some((Reply::Attached { attachment: number }, Vec::new())))
    }

    fn resize(&mut self, name: &ContainerName, columns: u16, rows: u16) -> Outcome {
        let container = self.container(name)?;
        let master = container.streams.terminal().filter(|_| container.terminal);
        let master = master.ok_or_else(|| {
            Failure::new(
                FailureClass::WrongState,
                format!("container {name} has no terminal"),
            )
        })?;
        terminal::resize(master, columns, rows).map_err(|e| internal("resize", &e))?;
        done()
    }

    /// A process that has not been reaped yet keeps its number, so nobody else is hit.
    fn signal(&mut self, pid: Option<Pid>, signo: i32, whom: &str) -> Outcome {
        let gone = || Failure::new(FailureClass::WrongState, format!("{whom} does not run"));
        let pid = pid.ok_or_else(gone)?;
        process::send_signal(pid, signo).map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => {
                Failure::new(FailureClass::Invalid, format!("{signo} is no signal"))
            }
            _ => internal("signal", &error),
        })?;
        done()
    }
}

fn internal(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureClass::Internal, format!("{what}: {error}"))
}
