//! What a keeper knows.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use burstlet_model::{BootTime, ContainerName, Stamp};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use super::control::Control;
use super::dial::Dial;
use super::expect::GroupFacts;
use super::launch::Launch;
use super::namespaces::Namespaces;
use super::passed::Passed;
use super::reactor::Reactor;
use super::stage::Stage;
use super::starter::Entry;
use super::stdio::Streams;
use crate::plan::{ContainerPlan, GroupPlan, Stdin};
use crate::protocol::{
    ContainerPhase, ContainerView, Event, ExecView, Exit, Failure, FailureClass, Reply, Snapshot,
};
use crate::sys::listening::Listening;
use crate::sys::process::Filter;

/// The most containers that a keeper remembers.
pub(super) const CONTAINERS_MAX: usize = 256;
/// The most processes that run by `Exec` at once.
pub(super) const EXECS_MAX: usize = 256;
/// The most `Run` requests that wait for the one before them.
pub(super) const RUNS_WAITING_MAX: usize = 64;
/// How long an ending group may take.
pub(super) const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// The keeper.
pub(super) struct Keeper {
    pub(super) plan: GroupPlan,
    pub(super) since: Stamp,
    pub(super) socket: PathBuf,
    pub(super) namespaces: Namespaces,
    pub(super) facts: GroupFacts,
    pub(super) stage: Stage,
    pub(super) reactor: Reactor,
    pub(super) signals: SignalFd,
    pub(super) listener: Listening,
    pub(super) control: Option<Control>,
    pub(super) containers: BTreeMap<ContainerName, Container>,
    pub(super) execs: BTreeMap<String, Exec>,
    pub(super) launches: BTreeMap<u32, Launch>,
    pub(super) dials: BTreeMap<u32, Dial>,
    /// Containers are made one after the other: nobody may change a volume that is just being
    /// mounted over.
    pub(super) waiting_runs: VecDeque<(u64, Box<ContainerPlan>, Passed)>,
    pub(super) next_serial: u32,
    pub(super) shutdown: Option<Shutdown>,
}

/// The end of the group.
pub(super) struct Shutdown {
    /// The request to answer.
    pub(super) call: u64,
    /// When to answer that it takes too long.
    pub(super) deadline: BootTime,
}

/// One start of a container.
pub(super) struct Container {
    /// Its number in the reactor.
    pub(super) serial: u32,
    pub(super) attempt: u32,
    pub(super) phase: ContainerPhase,
    pub(super) pid: Option<Pid>,
    pub(super) created: Option<Stamp>,
    pub(super) started: Option<Stamp>,
    pub(super) exit: Option<Exit>,
    /// How its first process ended, until the end is complete.
    pub(super) ended: Option<Ended>,
    /// When the end is completed though somebody holds the streams open.
    pub(super) drain_deadline: Option<BootTime>,
    /// When attached clients that have not taken everything are cut off.
    pub(super) linger_deadline: Option<BootTime>,
    /// Names its directories on the stage.
    pub(super) id: String,
    pub(super) entry: Entry,
    pub(super) procs: Option<File>,
    pub(super) finals: Vec<(String, File)>,
    pub(super) filter: Option<Filter>,
    pub(super) terminal: bool,
    pub(super) stdin: Stdin,
    pub(super) streams: Streams,
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) at: Stamp,
}

/// A process started by `Exec`.
pub(super) struct Exec {
    pub(super) container: ContainerName,
    pub(super) pid: Option<Pid>,
}

impl Keeper {
    /// A number for something new in the reactor.
    pub(super) fn serial(&mut self) -> u32 {
        self.next_serial = self.next_serial.wrapping_add(1);
        self.next_serial
    }

    /// The container of this name.
    pub(super) fn container(&mut self, name: &ContainerName) -> Result<&mut Container, Failure> {
        self.containers.get_mut(name).ok_or_else(|| {
            Failure::new(
                FailureClass::NotFound,
                format!("there is no container {name}"),
            )
        })
    }

    /// The container with this number in the reactor.
    pub(super) fn by_serial(&mut self, serial: u32) -> Option<(ContainerName, &mut Container)> {
        self.containers
            .iter_mut()
            .find(|(_, container)| container.serial == serial)
            .map(|(name, container)| (name.clone(), container))
    }

    /// Answers a request, if its client is still there.
    pub(super) fn answer(&mut self, call: u64, result: Result<(Reply, Vec<OwnedFd>), Failure>) {
        let Some(control) = &mut self.control else {
            return;
        };
        if control.answer(&self.reactor, call, result).is_err() {
            self.drop_control();
        }
    }

    /// Tells the client, if there is one. Without one nothing is lost: it will ask for a snapshot.
    pub(super) fn tell(&mut self, event: &Event) {
        let Some(control) = &mut self.control else {
            return;
        };
        if control.tell(&self.reactor, event).is_err() {
            self.drop_control();
        }
    }

    /// Lets the client go.
    pub(super) fn drop_control(&mut self) {
        if let Some(control) = self.control.take() {
            control.close(&mut self.reactor);
        }
    }

    /// All that is known.
    pub(super) fn snapshot(&self) -> Snapshot {
        let containers = self
            .containers
            .iter()
            .map(|(name, container)| ContainerView {
                name: name.clone(),
                attempt: container.attempt,
                phase: container.phase,
                pid: container.pid.map(Pid::as_raw),
                created: container.created,
                started: container.started,
                exit: container.exit.clone(),
            });
        let execs = self.execs.iter().map(|(id, exec)| ExecView {
            id: id.clone(),
            container: exec.container.clone(),
            pid: exec.pid.map(Pid::as_raw),
        });
        Snapshot {
            uid: self.plan.uid.clone(),
            pid: std::process::id().cast_signed(),
            since: self.since,
            containers: containers.collect(),
            execs: execs.collect(),
        }
    }
}
