//! A machine that does what a test says: the second implementation of the supervisor's port.
//!
//! Time is tokio's, so that a paused test runs through hours at once. Every call is noted as one
//! line of text; faults are set on the lines they concern. Containers are timers. Several agents
//! may use one host one after the other, as real ones do.

mod port;
mod streams;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use burstlet_model::metering::Mark;
use burstlet_model::status::ExitStatus;
use burstlet_model::{BootTime, ContainerName, GroupUid, ProcessorSet, Stamp, WallTime};
use burstlet_supervisor::host::{Adoption, HostError, HostEvent, ProbeResult, Started};
use burstlet_supervisor::record::GroupRecord;
use burstlet_supervisor::stream::LogRecord;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Events that a host lets wait for one group.
const EVENTS_MAX: usize = 256;
/// Wall time when the host came to be: 2026-01-01T00:00:00Z.
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;
/// Boot time when the host came to be, so that zero is not mistaken for a moment.
const UPTIME_NS: u64 = 1_000_000_000_000;

/// A scripted machine. Clones are the same machine.
#[derive(Clone, Debug)]
pub struct ScriptedHost {
    born: Instant,
    /// By how much somebody has set the wall clock.
    clock_step_ns: Arc<AtomicI64>,
    inner: Arc<Mutex<Inner>>,
}

/// How one run of a container goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunScript {
    /// Ends by itself after this long; never if `None`.
    pub ends_after: Option<Duration>,
    /// With this code.
    pub code: i32,
    /// Because the kernel wanted its memory back.
    pub oom: bool,
    /// How it takes its stop signal.
    pub on_signal: OnSignal,
}

/// How a run takes its stop signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSignal {
    /// Ends after this long with code 143.
    EndsAfter(Duration),
    /// Does not care.
    Ignores,
}

impl RunScript {
    /// Runs until it is told to end.
    #[must_use]
    pub const fn forever() -> Self {
        Self {
            ends_after: None,
            code: 0,
            oom: false,
            on_signal: OnSignal::EndsAfter(Duration::ZERO),
        }
    }

    /// Ends by itself.
    #[must_use]
    pub const fn ends(after: Duration, code: i32) -> Self {
        Self {
            ends_after: Some(after),
            code,
            ..Self::forever()
        }
    }

    /// The same, taking signals as said.
    #[must_use]
    pub const fn on_signal(mut self, on_signal: OnSignal) -> Self {
        self.on_signal = on_signal;
        self
    }
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The call fails.
    Fails(HostError),
    /// The call takes this long, then goes well.
    Takes(Duration),
    /// The call does not come back.
    Hangs,
}

#[derive(Debug, Default)]
struct Inner {
    calls: Vec<(Duration, String)>,
    faults: Vec<Planned>,
    scripts: HashMap<String, VecDeque<RunScript>>,
    probes: HashMap<String, VecDeque<ProbeResult>>,
    logs: HashMap<String, Vec<LogRecord>>,
    sandboxes: HashMap<GroupUid, Sandboxed>,
    records: BTreeMap<GroupUid, GroupRecord>,
    marks: HashMap<GroupUid, Vec<Mark>>,
    events: HashMap<GroupUid, mpsc::Sender<Box<HostEvent>>>,
    refusing: Option<HostError>,
    next_pid: u32,
}

#[derive(Debug)]
struct Planned {
    /// What the call's line begins with.
    calls: String,
    left: u32,
    fault: Fault,
}

#[derive(Debug, Default)]
struct Sandboxed {
    /// Lost keepers leave what was written down.
    lost: bool,
    /// What it has alone: the machine gives whole processors to whoever may have them.
    processors: Option<ProcessorSet>,
    runs: HashMap<ContainerName, ScriptedRun>,
}

#[derive(Clone, Debug)]
struct ScriptedRun {
    attempt: u32,
    started: Started,
    script: RunScript,
    exit: Option<ExitStatus>,
}

impl ScriptedHost {
    /// A machine on which everything goes well and containers run until they are told to end.
    #[must_use]
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            clock_step_ns: Arc::default(),
            inner: Arc::default(),
        }
    }

    /// The runs of every container of this name, in order; the last repeats.
    pub fn script(&self, container: &str, runs: impl IntoIterator<Item = RunScript>) {
        let runs = runs.into_iter().collect();
        self.lock().scripts.insert(container.to_owned(), runs);
    }

    /// What the probes of every container of this name say, in order; the last repeats.
    pub fn probes(&self, container: &str, results: impl IntoIterator<Item = ProbeResult>) {
        let results = results.into_iter().collect();
        self.lock().probes.insert(container.to_owned(), results);
    }

    /// What the logs of every container of this name hold.
    pub fn log(&self, container: &str, records: Vec<LogRecord>) {
        self.lock().logs.insert(container.to_owned(), records);
    }

    /// Plans a fault for the next `times` calls whose line begins with `calls`. The oldest plan
    /// that fits counts.
    pub fn plan(&self, calls: &str, times: u32, fault: Fault) {
        let calls = calls.to_owned();
        self.lock().faults.push(Planned {
            calls,
            left: times,
            fault,
        });
    }

    /// Forgets every fault that is planned; calls that hang go on hanging.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Every call so far, one line each: seconds since the host came to be, and the call. Saves,
    /// what the ledger is told and the clock are left out.
    #[must_use]
    pub fn calls(&self) -> String {
        let inner = self.lock();
        let line = |(at, call): &(Duration, String)| format!("{:8.3} {call}\n", at.as_secs_f64());
        let told = inner
            .calls
            .iter()
            .filter(|(_, call)| !call.starts_with("save") && !call.starts_with("meter"));
        told.map(line).collect()
    }

    /// How many calls' lines begin with `calls`.
    #[must_use]
    pub fn count(&self, calls: &str) -> usize {
        let inner = self.lock();
        inner
            .calls
            .iter()
            .filter(|(_, call)| call.starts_with(calls))
            .count()
    }

    /// What is on disk, in the order of uids.
    #[must_use]
    pub fn records(&self) -> Vec<GroupRecord> {
        self.lock().records.values().cloned().collect()
    }

    /// What the ledger was told of a group, in order.
    #[must_use]
    pub fn marks(&self, uid: &GroupUid) -> Vec<Mark> {
        self.lock().marks.get(uid).cloned().unwrap_or_default()
    }

    /// The containers that run, as `uid/name#attempt`, sorted.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        let inner = self.lock();
        let mut names: Vec<_> = inner
            .sandboxes
            .iter()
            .flat_map(|(uid, sandbox)| sandbox.runs.iter().map(move |(name, run)| (uid, name, run)))
            .filter(|(_, _, run)| run.exit.is_none())
            .map(|(uid, name, run)| format!("{uid}/{name}#{}", run.attempt))
            .collect();
        names.sort();
        names
    }

    /// Whether nothing is left of any group: no sandbox and no record.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let inner = self.lock();
        inner.sandboxes.is_empty() && inner.records.is_empty()
    }

    /// Ends a container's run now.
    pub fn exit(&self, uid: &GroupUid, container: &ContainerName, code: i32) {
        let attempt = {
            let inner = self.lock();
            let sandbox = inner.sandboxes.get(uid);
            sandbox
                .and_then(|s| s.runs.get(container))
                .map(|run| run.attempt)
        };
        if let Some(attempt) = attempt {
            let end = End { code, oom: false };
            self.finish(uid, (container, attempt), end);
        }
    }

    /// Kills a group's keeper, and with it every process of the group.
    pub fn lose_keeper(&self, uid: &GroupUid) {
        let mut inner = self.lock();
        if let Some(sandbox) = inner.sandboxes.get_mut(uid) {
            sandbox.lost = true;
            sandbox.runs.retain(|_, run| run.exit.is_some());
        }
        inner.tell(uid, HostEvent::KeeperLost);
    }

    /// Wants a group to go, as if it had used too much of the disk.
    pub fn evict(&self, uid: &GroupUid, message: &str) {
        let message = message.to_owned();
        let grace = Duration::from_secs(1);
        self.lock().tell(uid, HostEvent::Evicted { message, grace });
    }

    /// Warns a group's owner.
    pub fn warn(&self, uid: &GroupUid, reason: &'static str, message: &str) {
        let message = message.to_owned();
        self.lock().tell(uid, HostEvent::Warned { reason, message });
    }

    /// Lets no group begin from now on; every one without a reason.
    pub fn refuse(&self, why: Option<HostError>) {
        self.lock().refusing = why;
    }

    /// Sets the wall clock forward, or back.
    pub fn step_clock(&self, by_ns: i64) {
        self.clock_step_ns.fetch_add(by_ns, Ordering::Relaxed);
    }

    /// Starts the machine anew: only records remain.
    pub fn reboot(&self) {
        self.lock().sandboxes.clear();
    }

    fn stamp(&self) -> Stamp {
        let since = self.born.elapsed().as_nanos();
        let epoch_ns = EPOCH_NS.saturating_add(self.clock_step_ns.load(Ordering::Relaxed));
        Stamp {
            boot: BootTime(UPTIME_NS + u64::try_from(since).unwrap_or(u64::MAX)),
            wall: WallTime(epoch_ns.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))),
        }
    }

    /// Notes a call and lets the fault that is planned for it happen.
    async fn call(&self, line: String) -> Result<(), HostError> {
        let fault = {
            let mut inner = self.lock();
            let fits = |p: &&mut Planned| p.left > 0 && line.starts_with(&p.calls);
            let fault = inner.faults.iter_mut().find(fits).map(|planned| {
                planned.left -= 1;
                planned.fault.clone()
            });
            let at = self.born.elapsed();
            inner.calls.push((at, line));
            fault
        };
        match fault {
            None => Ok(()),
            Some(Fault::Fails(error)) => Err(error),
            Some(Fault::Takes(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }

    /// A run ends after a while.
    fn finish_later(
        &self,
        uid: &GroupUid,
        (container, attempt): (ContainerName, u32),
        (after, end): (Duration, End),
    ) {
        let (host, uid) = (self.clone(), uid.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            host.finish(&uid, (&container, attempt), end);
        });
    }

    /// The run of a container that runs, and how it takes signals.
    fn running_script(&self, uid: &GroupUid, container: &ContainerName) -> Option<(u32, OnSignal)> {
        let inner = self.lock();
        let run = inner.sandboxes.get(uid)?.runs.get(container)?;
        run.exit
            .is_none()
            .then_some((run.attempt, run.script.on_signal))
    }

    /// A run ends: the exit is written down and told, unless it ended before.
    fn finish(&self, uid: &GroupUid, (container, attempt): (&ContainerName, u32), end: End) {
        let finished_at = self.stamp();
        let mut inner = self.lock();
        let run = inner
            .sandboxes
            .get_mut(uid)
            .and_then(|sandbox| sandbox.runs.get_mut(container))
            .filter(|run| run.attempt == attempt && run.exit.is_none());
        let Some(run) = run else {
            return;
        };
        let exit = end.status(run.started.started, finished_at);
        run.exit = Some(exit.clone());
        let container = container.clone();
        inner.tell(
            uid,
            HostEvent::Exited {
                container,
                attempt,
                exit,
            },
        );
    }

    fn adoption(&self, uid: &GroupUid) -> Adoption {
        let inner = self.lock();
        let Some(sandbox) = inner.sandboxes.get(uid) else {
            return Adoption::Absent;
        };
        let containers = sandbox
            .runs
            .iter()
            .map(|(name, run)| run.adopted(name))
            .collect();
        match sandbox.lost {
            true => Adoption::Lost(containers),
            false => port::standing(containers, self.stamp(), sandbox.processors.clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ScriptedHost {
    fn default() -> Self {
        Self::new()
    }
}

/// How a run ends.
#[derive(Clone, Copy, Debug)]
struct End {
    code: i32,
    oom: bool,
}

impl End {
    fn status(self, started_at: Stamp, finished_at: Stamp) -> ExitStatus {
        let reason = match (self.oom, self.code) {
            (true, _) => "OOMKilled",
            (false, 0) => "Completed",
            (false, _) => "Error",
        };
        ExitStatus {
            code: self.code,
            signal: u8::try_from(self.code - 128)
                .ok()
                .filter(|signal| *signal > 0),
            reason: reason.to_owned(),
            message: String::new(),
            started_at: Some(started_at),
            finished_at,
        }
    }
}

impl Inner {
    /// Tells whoever listens; with nobody there the event is found by taking over.
    fn tell(&self, uid: &GroupUid, event: HostEvent) {
        if let Some(events) = self.events.get(uid) {
            let _ = events.try_send(Box::new(event));
        }
    }

    /// The next of a queue whose last item repeats.
    fn next_of<T: Clone>(queue: Option<&mut VecDeque<T>>) -> Option<T> {
        let queue = queue?;
        match queue.len() {
            0 | 1 => queue.front().cloned(),
            _ => queue.pop_front(),
        }
    }
}
