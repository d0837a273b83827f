//! Making a container: from its plan to a starter that is under way.

use std::fs::File;
use std::os::fd::OwnedFd;

use burstlet_model::ContainerName;
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Pid, Uid, fchown, pipe2};
use oci_spec::runtime::{Process, Spec};

use super::bundle::{self, Bundle, Decided};
use super::cgroups::{self, Shown};
use super::direct;
use super::finish::Finish;
use super::journal::Journal;
use super::launch::{Begun, Subject, channel};
use super::passed::Passed;
use super::reactor::Reactor;
use super::stage::{Brought, Stage, failed};
use super::starter::{self, Entry, Job};
use super::state::{CONTAINERS_MAX, Container, Keeper};
use super::stdio::Streams;
use crate::logs::Stream;
use crate::plan::{
    ContainerPlan, FINAL_READS_MAX, LAST_WORDS, LOWERS_MAX, MOUNTS_MAX, MountSource, ShownCgroup,
    Stdin,
};
use crate::protocol::{ContainerPhase, Failure, FailureClass};
use crate::sys::process::Filter;
use crate::tree::make_dirs;

/// What came along with a plan.
struct Belongings {
    entry: Entry,
    procs: Option<File>,
    finals: Vec<(String, File)>,
    filter: Option<Filter>,
    /// The trees of its cgroup that it is shown.
    shown: Vec<(ShownCgroup, OwnedFd)>,
    /// For each further mount, in the plan's order.
    brought: Vec<Brought>,
    /// The process namespace of the container that this one is to look into.
    target: Option<OwnedFd>,
}

/// The container's ends of its streams, and ours.
struct Pipes {
    theirs: starter::Streams,
    outputs: Vec<(Stream, OwnedFd)>,
    input: Option<OwnedFd>,
}

impl Keeper {
    /// Makes the next container that waits, unless one is being made.
    pub(super) fn next_run(&mut self) {
        while !self.making() {
            let Some((call, plan, passed)) = self.waiting_runs.pop_front() else {
                return;
            };
            let (name, serial) = (plan.name.clone(), self.serial());
            let id = format!("{name}-{serial}");
            if let Err(failure) = self.run(call, *plan, passed, serial, &id) {
                Stage::strike(&id);
                if let Some((name, _)) = self.by_serial(serial) {
                    self.containers.remove(&name);
                }
                self.answer(call, Err(failure));
            }
        }
    }

    fn run(
        &mut self,
        call: u64,
        plan: ContainerPlan,
        mut passed: Passed,
        serial: u32,
        id: &str,
    ) -> Result<(), Failure> {
        self.check_room(&plan)?;
        let mut belongings = Belongings::take(&plan, &mut passed)?;
        belongings.target = self.processes_of(plan.target.as_ref())?;
        let bundle = self.prepare(&plan, id, &mut belongings)?;
        let seccomp = belongings.filter.is_some();
        let namespaces = (&self.namespaces, belongings.target.as_ref());
        let facts = &self.facts;
        let expected = facts.of_first(&bundle, namespaces, seccomp, &plan.mounts)?;
        let (streams, their_streams) = self.open_streams(&plan, &bundle.process, serial)?;
        let (ours, theirs) = channel()?;
        let finish = Finish {
            channel: theirs,
            filter: belongings.filter.clone(),
        };
        let shown = std::mem::take(&mut belongings.shown);
        let shown = cgroups::prepare(bundle.cgroups.as_ref(), shown)?;
        let maker = self.make(id, bundle, shown, (their_streams, finish), &belongings)?;
        let container = Container::new(&plan, belongings, streams, (serial, id));
        if let Some(mut earlier) = self.containers.insert(plan.name.clone(), container) {
            drop(earlier.streams.cut_off(&mut self.reactor));
        }
        let subject = Subject::Container(plan.name);
        self.follow(Begun {
            subject,
            channel: ours,
            maker,
            call,
            start: plan.start,
            expected,
        })
    }

    /// Forks the maker: our own if it knows all that is asked for, else libcontainer's.
    fn make(
        &self,
        id: &str,
        bundle: Bundle,
        shown: Vec<Shown>,
        (streams, finish): (starter::Streams, Finish),
        belongings: &Belongings,
    ) -> Result<Pid, Failure> {
        let entry = &belongings.entry;
        let common = self.namespaces.of_the_common_shape();
        let common = common.filter(|_| belongings.target.is_none());
        let forked = match (direct::plan(&bundle), common) {
            (Some(plan), Some(namespaces)) => {
                let job = direct::Job {
                    plan,
                    namespaces,
                    shown,
                    streams,
                    finish,
                };
                direct::start(&job, entry)
            }
            _ => {
                let job = Job {
                    id: id.to_owned(),
                    bundle,
                    shown,
                    streams,
                    finish,
                };
                starter::start(job, entry)
            }
        };
        forked.map_err(failed("fork the maker of the container".into()))
    }

    /// The process namespace of a container that runs.
    fn processes_of(&self, target: Option<&ContainerName>) -> Result<Option<OwnedFd>, Failure> {
        let Some(name) = target else {
            return Ok(None);
        };
        let found = self.containers.get(name).ok_or_else(|| {
            let message = format!("unable to find target container {name}");
            Failure::new(FailureClass::NotFound, message)
        })?;
        let running = found.pid.filter(|_| found.phase == ContainerPhase::Running);
        let pid = running.ok_or_else(|| {
            let message = format!("target container {name} does not run");
            Failure::new(FailureClass::WrongState, message)
        })?;
        let namespace = File::open(format!("/proc/{pid}/ns/pid"))
            .map_err(failed(format!("open the process namespace of {name}")))?;
        Ok(Some(namespace.into()))
    }

    fn check_room(&self, plan: &ContainerPlan) -> Result<(), Failure> {
        let limit = |what: &str, len: usize, max: usize| {
            let message = format!("{len} {what} are more than {max}");
            if len > max {
                Err(Failure::new(FailureClass::Limit, message))
            } else {
                Ok(())
            }
        };
        limit("containers", self.containers.len() + 1, CONTAINERS_MAX)?;
        limit("layers", plan.rootfs.lowers.len(), LOWERS_MAX)?;
        limit("mounts", plan.mounts.len(), MOUNTS_MAX)?;
        for mount in &plan.mounts {
            if let MountSource::Layers { lowers, .. } = &mount.source {
                limit("layers of a volume", lowers.len(), LOWERS_MAX)?;
            }
        }
        limit("final reads", plan.final_reads.len(), FINAL_READS_MAX)?;
        match self.containers.get(&plan.name) {
            Some(container) if container.phase != ContainerPhase::Exited => {
                let message = format!("container {} is {:?}", plan.name, container.phase);
                Err(Failure::new(FailureClass::Exists, message.to_lowercase()))
            }
            _ => Ok(()),
        }
    }

    /// Mounts what the container will see and fills in its spec.
    fn prepare(
        &mut self,
        plan: &ContainerPlan,
        id: &str,
        belongings: &mut Belongings,
    ) -> Result<Bundle, Failure> {
        let root = self.stage.mount_root(id, &plan.rootfs)?;
        if let Some(process) = plan.spec.process() {
            let cwd = process.cwd();
            let step = format!("make the working directory {}", cwd.display());
            make_dirs(&root, cwd).map_err(failed(step))?;
        }
        let mut mounts = Vec::with_capacity(plan.mounts.len());
        for (index, (mount, brought)) in plan.mounts.iter().zip(&belongings.brought).enumerate() {
            let staged = self.stage.stage(id, index, mount, brought)?;
            if mount.source == MountSource::LastWords {
                let words = File::open(&staged).map_err(failed("open its last words".into()))?;
                belongings.finals.push((LAST_WORDS.to_owned(), words));
            }
            mounts.push((mount, staged));
        }
        let decided = Decided {
            root: &root,
            joined: self.namespaces.joined(belongings.target.as_ref()),
            own_network: self.namespaces.net.is_some(),
            mounts,
            seccomp: belongings.filter.is_some(),
        };
        bundle::prepare(Spec::clone(&plan.spec), &decided)
    }

    /// Makes the container's streams. Its ends belong to its user, so that it can open them again
    /// as `/dev/stdout`.
    fn pipes(&self, plan: &ContainerPlan, process: &Process) -> Result<Pipes, Failure> {
        if process.terminal() == Some(true) {
            let theirs = starter::Streams::Terminal;
            return Ok(Pipes {
                theirs,
                outputs: Vec::new(),
                input: None,
            });
        }
        let user = process.user();
        let host = |id: u32| self.plan.user.map_or(Some(id), |range| range.to_host(id));
        let (uid, gid) = (
            host(user.uid()).map(Uid::from_raw),
            host(user.gid()).map(Gid::from_raw),
        );
        let pipe = || -> nix::Result<(OwnedFd, OwnedFd)> {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
            fchown(&reader, uid, gid)?;
            Ok((reader, writer))
        };
        let step = || failed::<nix::Error>("make the container's pipes".into());
        let (stdin, input) = match plan.stdin {
            Stdin::Null => (
                starter::null().map_err(failed("open /dev/null".into()))?,
                None,
            ),
            Stdin::Open | Stdin::Once => {
                let (reader, writer) = pipe().map_err(step())?;
                (reader, Some(writer))
            }
        };
        let (out_reader, stdout) = pipe().map_err(step())?;
        let (err_reader, stderr) = pipe().map_err(step())?;
        let outputs = vec![(Stream::Stdout, out_reader), (Stream::Stderr, err_reader)];
        Ok(Pipes {
            theirs: starter::Streams::Pipes([stdin, stdout, stderr]),
            outputs,
            input,
        })
    }

    /// The container's streams, with its log, and its ends of them.
    fn open_streams(
        &mut self,
        plan: &ContainerPlan,
        process: &Process,
        serial: u32,
    ) -> Result<(Streams, starter::Streams), Failure> {
        let pipes = self.pipes(plan, process)?;
        let journal = plan.log.as_ref().map(Journal::open).transpose();
        let journal = journal.map_err(failed(format!("open the log of {}", plan.name)))?;
        let mut streams = Streams::new(serial, journal);
        let connect = || {
            for (stream, fd) in pipes.outputs {
                streams.add_output(&mut self.reactor, stream, fd)?;
            }
            pipes.input.map_or(Ok(()), |fd| {
                streams.set_input(&mut self.reactor, fd, plan.stdin)
            })
        };
        connect().map_err(failed::<std::io::Error>(
            "connect the container's streams".into(),
        ))?;
        Ok((streams, pipes.theirs))
    }
}

impl Container {
    /// A container that is being made.
    fn new(
        plan: &ContainerPlan,
        belongings: Belongings,
        streams: Streams,
        (serial, id): (u32, &str),
    ) -> Self {
        let process = plan.spec.process().as_ref();
        Self {
            serial,
            attempt: plan.attempt,
            phase: ContainerPhase::Creating,
            pid: None,
            created: None,
            started: None,
            exit: None,
            ended: None,
            drain_deadline: None,
            linger_deadline: None,
            id: id.to_owned(),
            entry: belongings.entry,
            procs: belongings.procs,
            finals: belongings.finals,
            filter: belongings.filter,
            terminal: process.is_some_and(|process| process.terminal() == Some(true)),
            stdin: plan.stdin,
            streams,
        }
    }

    /// Takes the master of the container's terminal: its output, and the way to its input.
    pub(super) fn take_terminal(
        &mut self,
        reactor: &mut Reactor,
        master: OwnedFd,
    ) -> Result<(), Failure> {
        let step = || failed("take the container's terminal".into());
        if self.stdin != Stdin::Null {
            let input = master.try_clone().map_err(step())?;
            // Its two directions are one: who leaves does not end the input for who comes next.
            self.streams
                .set_input(reactor, input, Stdin::Open)
                .map_err(step())?;
        }
        self.streams.hold();
        self.streams
            .add_output(reactor, Stream::Stdout, master)
            .map_err(step())
    }
}

impl Belongings {
    fn take(plan: &ContainerPlan, passed: &mut Passed) -> Result<Self, Failure> {
        let cgroup = plan.cgroup.as_ref();
        let entry = passed.entry(cgroup.map(|cgroup| &cgroup.entry))?;
        let procs = cgroup.and_then(|cgroup| cgroup.procs.as_ref());
        let procs = procs
            .map(|procs| passed.outside(procs))
            .transpose()?
            .map(File::from);
        let final_reads = plan.final_reads.iter();
        let finals = final_reads
            .map(|read| Ok((read.key.clone(), File::from(passed.outside(&read.file)?))))
            .collect::<Result<_, Failure>>()?;
        let filter = plan
            .seccomp
            .as_ref()
            .map(|program| passed.filter(program))
            .transpose()?;
        let shown = cgroup.into_iter().flat_map(|cgroup| &cgroup.shown);
        let shown = shown
            .map(|shown| Ok((shown.clone(), passed.outside(&shown.directory)?)))
            .collect::<Result<_, Failure>>()?;
        let brought = plan.mounts.iter().map(|mount| match &mount.source {
            MountSource::Tree { root: tree, .. } | MountSource::Device { node: tree, .. } => {
                passed.outside(tree).map(Brought::Tree)
            }
            MountSource::Layers { .. } | MountSource::LastWords => Ok(Brought::Nothing),
            MountSource::Memory { files, .. } => passed.files(files).map(Brought::Files),
        });
        let brought = brought.collect::<Result<_, _>>()?;
        Ok(Self {
            entry,
            procs,
            finals,
            filter,
            shown,
            brought,
            target: None,
        })
    }
}
