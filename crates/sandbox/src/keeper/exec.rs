//! Running a process in a container: from its plan to a joiner that is under way.

use std::os::fd::OwnedFd;

use burstlet_model::ContainerName;
use nix::sched::CloneFlags;
use nix::unistd::Pid;

use super::finish::Finish;
use super::launch::{Begun, Subject, channel};
use super::stage::failed;
use super::state::{Container, EXECS_MAX, Exec, Keeper};
use super::{bundle, join, starter};
use crate::plan::ExecPlan;
use crate::protocol::{ContainerPhase, Failure, FailureClass};
use crate::sys::process;

impl Keeper {
    /// Forks a process into a container.
    pub(super) fn exec(
        &mut self,
        call: u64,
        mut plan: ExecPlan,
        streams: [Option<OwnedFd>; 3],
    ) -> Result<(), Failure> {
        self.has_room(&plan)?;
        bundle::complete(&mut plan.process);
        let streams = exec_streams(&plan, streams)?;
        let namespaces = self.namespace_flags();
        let (container, target) = self.running(&plan.container)?;
        let seccomp = container.filter.is_some();
        let expected = self
            .facts
            .of_joined(&plan.process, target.as_raw(), seccomp)?;
        let (ours, theirs) = channel()?;
        let job = join::Job {
            target: process::open_pid(target).map_err(failed("find the container".into()))?,
            namespaces,
            process: plan.process,
            streams,
            finish: Finish {
                channel: theirs,
                filter: container.filter.clone(),
            },
        };
        let maker = join::start(&job, &container.entry)
            .map_err(failed("fork into the container".into()))?;
        drop(job);
        let subject = Subject::Exec(plan.id.clone());
        self.follow(Begun {
            subject,
            channel: ours,
            maker,
            call,
            start: true,
            expected,
        })?;
        self.execs.insert(
            plan.id,
            Exec {
                container: plan.container,
                pid: None,
            },
        );
        Ok(())
    }

    fn has_room(&self, plan: &ExecPlan) -> Result<(), Failure> {
        if self.execs.contains_key(&plan.id) {
            let message = format!("a process {:?} runs already", plan.id);
            return Err(Failure::new(FailureClass::Exists, message));
        }
        if self.execs.len() >= EXECS_MAX {
            return Err(Failure::new(
                FailureClass::Limit,
                "too many processes run by exec",
            ));
        }
        Ok(())
    }

    /// A container that runs, and its first process.
    fn running(&self, name: &ContainerName) -> Result<(&Container, Pid), Failure> {
        let found = self.containers.get(name);
        let running = found.filter(|container| container.phase == ContainerPhase::Running);
        let with_pid = running.and_then(|container| Some((container, container.pid?)));
        with_pid.ok_or_else(|| {
            let message = format!("container {name} does not run");
            Failure::new(FailureClass::WrongState, message)
        })
    }

    /// The namespaces in which the group's processes differ from the launcher.
    fn namespace_flags(&self) -> CloneFlags {
        let mut flags = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP;
        flags.set(CloneFlags::CLONE_NEWUSER, self.namespaces.user.is_some());
        flags.set(CloneFlags::CLONE_NEWNET, self.namespaces.net.is_some());
        flags
    }
}

fn exec_streams(
    plan: &ExecPlan,
    streams: [Option<OwnedFd>; 3],
) -> Result<starter::Streams, Failure> {
    if plan.process.terminal() == Some(true) {
        return Ok(starter::Streams::Terminal);
    }
    let or_null = |fd: Option<OwnedFd>| match fd {
        Some(fd) => Ok(fd),
        None => starter::null().map_err(failed("open /dev/null".into())),
    };
    let [stdin, stdout, stderr] = streams;
    Ok(starter::Streams::Pipes([
        or_null(stdin)?,
        or_null(stdout)?,
        or_null(stderr)?,
    ]))
}
