//! Following what ends: processes, containers, the group.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use burstlet_model::{BootTime, ContainerName};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::stage::Stage;
use super::starter::Entry;
use super::state::{Container, Ended, Keeper, SHUTDOWN_LIMIT, Shutdown};
use crate::exits::ExitRecord;
use crate::plan::FINAL_READ_BYTES_MAX;
use crate::protocol::{ContainerPhase, Event, Exit, Failure, FailureClass, FinalValue, Reply};
use crate::sys::clock;

/// How long a container's end waits for its streams to be closed, when its first process has
/// ended and somebody else may hold them.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// How long an attached client may take to read the rest after the end.
const LINGER_LIMIT: Duration = Duration::from_secs(10);

impl Keeper {
    /// Reaps all children that have ended.
    pub(super) fn on_children(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let at = clock::now();
            match status {
                WaitStatus::Exited(pid, code) => {
                    self.on_end(
                        pid,
                        Ended {
                            code: Some(code),
                            signal: None,
                            at,
                        },
                    );
                }
                WaitStatus::Signaled(pid, signal, _) => {
                    self.on_end(
                        pid,
                        Ended {
                            code: None,
                            signal: Some(signal as i32),
                            at,
                        },
                    );
                }
                WaitStatus::StillAlive => break,
                _ => {}
            }
        }
    }

    /// Whatever is not known here was a maker, or an orphan.
    fn on_end(&mut self, pid: Pid, ended: Ended) {
        if self.launch_ended(pid, ended) {
            return;
        }
        let container = self.containers.iter().find(|(_, c)| c.pid == Some(pid));
        if let Some(name) = container.map(|(name, _)| name.clone()) {
            return self.container_ended(&name, ended);
        }
        let exec = self.execs.iter().find(|(_, exec)| exec.pid == Some(pid));
        if let Some(id) = exec.map(|(id, _)| id.clone()) {
            self.exec_ended(id, ended);
        }
    }

    /// A process started by `Exec` has ended.
    pub(super) fn exec_ended(&mut self, id: String, ended: Ended) {
        self.execs.remove(&id);
        self.tell(&Event::ExecExited {
            exec: id,
            code: ended.code,
            signal: ended.signal,
        });
    }

    /// A container's first process has ended: what is left of it is killed, and its last output
    /// waited for.
    pub(super) fn container_ended(&mut self, name: &ContainerName, ended: Ended) {
        let Some(container) = self.containers.get_mut(name) else {
            return;
        };
        container.pid = None;
        container.phase = ContainerPhase::Ending;
        container.ended = Some(ended);
        container.drain_deadline = Some(ended.at.boot + DRAIN_LIMIT);
        container.kill_rest();
        self.complete_end(name, false);
    }

    /// A container has written something, or closed a stream.
    pub(super) fn on_output(&mut self, serial: u32, index: u8) {
        self.on_streams(serial, |streams, reactor| streams.on_output(reactor, index));
        let ending = self
            .by_serial(serial)
            .filter(|(_, c)| c.phase == ContainerPhase::Ending);
        if let Some(name) = ending.map(|(name, _)| name) {
            self.complete_end(&name, false);
        }
    }

    /// Completes a container's end, if nothing more can come from it or `late` says to wait no
    /// longer: the log first, then the record on disk, then the event.
    fn complete_end(&mut self, name: &ContainerName, late: bool) {
        let Some(container) = self.containers.get_mut(name) else {
            return;
        };
        let Some(ended) = container
            .ended
            .filter(|_| late || container.streams.drained())
        else {
            return;
        };
        let detached = container.streams.finish(&mut self.reactor);
        container.linger_deadline =
            (container.streams.attached() > 0).then(|| clock::now().boot + LINGER_LIMIT);
        container.ended = None;
        container.drain_deadline = None;
        let started = container.started.or(container.created).unwrap_or(ended.at);
        let exit = Exit {
            code: ended.code,
            signal: ended.signal,
            started,
            finished: ended.at,
            finals: container.read_finals(),
        };
        let record = ExitRecord::new(name.clone(), container.attempt, exit.clone());
        if let Err(error) = record.write(&self.plan.dir) {
            // The end is told all the same: the keeper keeps it for as long as it lives.
            let source = std::error::Error::source(&error).map(ToString::to_string);
            eprintln!(
                "keep group {}: {error}: {}",
                self.plan.uid,
                source.unwrap_or_default()
            );
        }
        container.exit = Some(exit.clone());
        container.phase = ContainerPhase::Exited;
        container.entry = Entry::None;
        container.procs = None;
        container.filter = None;
        Stage::strike(&container.id);
        let attempt = container.attempt;
        for (attachment, end) in detached {
            self.tell(&Event::Detached { attachment, end });
        }
        self.tell(&Event::Exited {
            container: name.clone(),
            attempt,
            exit,
        });
    }

    /// Ends the waits that are over.
    pub(super) fn give_up_ends(&mut self, now: BootTime) {
        let due = |deadline: Option<BootTime>| deadline.is_some_and(|deadline| deadline <= now);
        let late: Vec<(ContainerName, u32, bool)> = self
            .containers
            .iter()
            .filter(|(_, c)| due(c.drain_deadline) || due(c.linger_deadline))
            .map(|(name, c)| (name.clone(), c.serial, due(c.drain_deadline)))
            .collect();
        for (name, serial, draining) in late {
            if draining {
                self.complete_end(&name, true);
                continue;
            }
            self.on_streams(serial, super::stdio::Streams::cut_off);
            if let Some(container) = self.containers.get_mut(&name) {
                container.linger_deadline = None;
            }
        }
    }

    /// Kills all processes of a container.
    pub(super) fn kill_container(&mut self, name: &ContainerName) {
        self.kill_launch_of(name);
        let Some(container) = self.containers.get_mut(name) else {
            return;
        };
        if let Some(pid) = container.pid {
            let _ = kill(pid, Signal::SIGKILL);
        }
        container.kill_rest();
    }

    /// Kills everything; the request is answered when it is gone.
    pub(super) fn begin_shutdown(&mut self, call: u64) {
        let deadline = clock::now().boot + SHUTDOWN_LIMIT;
        self.shutdown = Some(Shutdown { call, deadline });
        for (call, ..) in std::mem::take(&mut self.waiting_runs) {
            self.answer(
                call,
                Err(Failure::new(FailureClass::Ending, "the group is ending")),
            );
        }
        let names: Vec<ContainerName> = self.containers.keys().cloned().collect();
        names.iter().for_each(|name| self.kill_container(name));
        for pid in self.execs.values().filter_map(|exec| exec.pid) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    /// Whether the group has ended. What does not die within the limit is never said to be gone.
    pub(super) fn shutdown_complete(&mut self, now: BootTime) -> bool {
        let Some(Shutdown { call, deadline }) = self.shutdown else {
            return false;
        };
        let exited = |container: &Container| container.phase == ContainerPhase::Exited;
        let gone = self.launches.is_empty()
            && self.execs.is_empty()
            && self.containers.values().all(exited);
        if gone {
            self.end_shared_processes();
            let _ = fs::remove_file(&self.socket);
            self.answer(call, Ok((Reply::Done, Vec::<OwnedFd>::new())));
            return true;
        }
        if deadline <= now {
            let message =
                format!("processes of the group are still there after {SHUTDOWN_LIMIT:?}");
            self.answer(call, Err(Failure::new(FailureClass::Deadline, message)));
            self.shutdown = Some(Shutdown {
                call: u64::MAX,
                deadline: now + SHUTDOWN_LIMIT,
            });
        }
        false
    }

    fn end_shared_processes(&self) {
        if let Some(shared) = &self.namespaces.pid {
            let _ = kill(shared.first, Signal::SIGKILL);
            let _ = waitpid(shared.first, None);
        }
    }
}

impl Container {
    fn read_finals(&mut self) -> Vec<FinalValue> {
        let read = |(key, file): (String, fs::File)| {
            let mut bytes = vec![0_u8; FINAL_READ_BYTES_MAX];
            let content = file.read_at(&mut bytes, 0).ok().map(|len| {
                String::from_utf8_lossy(bytes.get(..len).unwrap_or_default()).into_owned()
            });
            FinalValue { key, content }
        };
        std::mem::take(&mut self.finals)
            .into_iter()
            .map(read)
            .collect()
    }
}
