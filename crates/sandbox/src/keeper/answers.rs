//! The keeper's answers: what each request leads to.

use std::os::fd::OwnedFd;

use burstlet_model::ContainerName;
use nix::unistd::Pid;

use super::passed::Passed;
use super::state::{Keeper, RUNS_WAITING_MAX};
use super::stdio::{ATTACHMENTS_MAX, Attachment};
use crate::plan::{ContainerPlan, MountSource};
use crate::protocol::{ContainerPhase, Failure, FailureClass, Reply, Request};
use crate::sys::{process, terminal};

/// How a request is answered: now, later by whoever was given its number, or with a failure.
pub(super) type Outcome = Result<Option<(Reply, Vec<OwnedFd>)>, Failure>;

fn done() -> Outcome {
    Ok(Some((Reply::Done, Vec::new())))
}

impl Keeper {
    pub(super) fn handle(&mut self, id: u64, request: Request, mut passed: Passed) -> Outcome {
        match request {
            Request::Ping => done(),
            Request::Snapshot => self.tell_all(),
            Request::Run { plan } => self.accept_run(id, plan, passed),
            Request::Start { container } => self.release(id, &container).map(|()| None),
            Request::Exec {
                plan,
                stdin,
                stdout,
                stderr,
            } => {
                let streams = passed.streams([stdin, stdout, stderr])?;
                self.exec(id, *plan, streams).map(|()| None)
            }
            Request::Attach {
                container,
                stdin,
                stdout,
                stderr,
            } => self.attach(&container, passed.streams([stdin, stdout, stderr])?),
            Request::Resize {
                container,
                columns,
                rows,
            } => self.resize(&container, columns, rows),
            Request::Signal { container, signo } => self.signal_container(&container, signo),
            Request::SignalExec { exec, signo } => self.signal_exec(&exec, signo),
            Request::Renew { volume } => self.renew(&volume, passed),
            Request::Kill { container } => self.kill_one(&container),
            Request::Dial { address } => self.dial(id, address).map(|()| None),
            Request::Shutdown => self.shut_down(id),
            Request::CreateGroup { .. } | Request::Quit => Err(not_the_launcher()),
        }
    }

    fn tell_all(&mut self) -> Outcome {
        let fds = self.network();
        let fds = fds.map_err(|e| internal("hand out the network", &e))?;
        Ok(Some((Reply::Snapshot(self.snapshot()), fds)))
    }

    fn accept_run(&mut self, id: u64, plan: Box<ContainerPlan>, passed: Passed) -> Outcome {
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

    fn attach(&mut self, name: &ContainerName, streams: [Option<OwnedFd>; 3]) -> Outcome {
        let number = self.serial();
        let [stdin, stdout, stderr] = streams;
        let attachment = Attachment {
            number,
            stdin,
            stdout,
            stderr,
        };
        let found = self.containers.get_mut(name);
        let container = found.filter(|c| c.phase != ContainerPhase::Exited);
        let container = container.ok_or_else(|| does_not_run(&format!("container {name}")))?;
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

    fn signal_container(&mut self, name: &ContainerName, signo: i32) -> Outcome {
        let pid = self.container(name)?.pid;
        signal(pid, signo, &format!("container {name}"))
    }

    fn signal_exec(&mut self, exec: &str, signo: i32) -> Outcome {
        let pid = self.execs.get(exec).and_then(|exec| exec.pid);
        signal(pid, signo, &format!("process {exec:?}"))
    }

    fn renew(&mut self, volume: &MountSource, mut passed: Passed) -> Outcome {
        let contents = match volume {
            MountSource::Memory { files, .. } => passed.files(files)?,
            _ => Vec::new(),
        };
        self.stage.renew(volume, &contents)?;
        done()
    }

    fn kill_one(&mut self, name: &ContainerName) -> Outcome {
        self.container(name)?;
        self.kill_container(name);
        done()
    }

    /// Answered when all has ended.
    fn shut_down(&mut self, id: u64) -> Outcome {
        self.begin_shutdown(id);
        Ok(None)
    }
}

/// A process that has not been reaped yet keeps its number, so nobody else is hit.
fn signal(pid: Option<Pid>, signo: i32, whom: &str) -> Outcome {
    let pid = pid.ok_or_else(|| does_not_run(whom))?;
    process::send_signal(pid, signo).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => Failure::new(FailureClass::Invalid, format!("{signo} is no signal")),
        _ => internal("signal", &error),
    })?;
    done()
}

fn does_not_run(whom: &str) -> Failure {
    Failure::new(FailureClass::WrongState, format!("{whom} does not run"))
}

fn not_the_launcher() -> Failure {
    Failure::new(
        FailureClass::Unsupported,
        "this is a keeper, not the launcher",
    )
}

fn internal(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureClass::Internal, format!("{what}: {error}"))
}
