//! Going on after the agent was started anew: first from the record, then from what the host says
//! of the sandbox. Where the two differ the host is right: it was there.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use burstlet_model::metering::GapReason;
use burstlet_model::spec::{GroupSpec, Signal};
use burstlet_model::status::{ContainerState, ContainerStatus, Desired, GroupStatus, Phase};
use burstlet_model::{BootTime, Stamp};

use super::round::Begun;
use super::{
    Cause, ContainerSeen, ImageState, ProbeKind, Run, Running, SPOT_EVICTED, SandboxState, Seen,
    Stage, Step, Why, container_spec,
};
use crate::backoff::{Retry, Trouble};
use crate::decide::{is_done, outbid_grace};
use crate::event_log::EventLog;
use crate::host::{Adopted, AdoptedContainer, AdoptedState, Adoption, HostError, Started};
use crate::record::GroupRecord;

/// Restarts remembered for the back-off, at most; enough for the longest wait.
const FAILURES_MAX: u32 = 16;

impl Seen {
    /// What a record says. Unless the group is at rest or queued, whether its sandbox stands has
    /// to be found out.
    pub(crate) fn restore(record: &GroupRecord, now: Stamp) -> Self {
        let spec = &record.definition.spec;
        let status = &record.status;
        let mut seen = Self::new(spec, record.created);
        seen.desired = status.desired;
        seen.ip = status.ip;
        seen.lease = status.lease.clone();
        seen.finished_at = status.finished_at.map(|at| not_after(at, now));
        seen.timeline = status.timeline.clone();
        seen.sessions = status.sessions.clone();
        seen.events = EventLog::restore(record.events.clone());
        let begun = Begun {
            launch: status.sessions.last().map(|session| session.opened),
            round: status.timeline.begun_again,
        };
        for (index, status) in status.all_containers().enumerate() {
            seen.restore_container(spec, index, status, begun);
        }
        let sizes_known = status.all_containers().any(|c| c.resources.is_some());
        let group = if sizes_known {
            status.resources
        } else {
            spec.resources
        };
        seen.restore_resources(spec, group);
        seen.restore_stage(spec, status, now);
        // Nobody has more time because an agent has died. After a restart of the machine there is
        // nobody who could have any, whatever its clock said.
        if let (Some(ending), Some(ends_by)) = (&mut seen.ending, record.ends_by) {
            ending.deadline = ending.deadline.min(ends_by);
        }
        seen
    }

    fn restore_stage(&mut self, spec: &GroupSpec, status: &GroupStatus, now: Stamp) {
        let launched = status.sessions.last().is_some_and(|s| s.closed.is_none());
        if status.phase.is_at_rest() {
            self.stage = Stage::Resting(status.phase);
            self.why = why(status);
            return;
        }
        if status.phase == Phase::Queued && !launched {
            self.stage = Stage::Queued;
            return;
        }
        self.stage = Stage::Live;
        self.sandbox.state = SandboxState::Unknown;
        let cause = match (status.desired, status.reason.as_str()) {
            (Desired::Deleted, _) => Some(Cause::Delete),
            (Desired::Stopped, _) => Some(Cause::Stop),
            (Desired::Running, "Restarting") => Some(Cause::Restart),
            (Desired::Running, "DeadlineExceeded") => Some(Cause::DeadlineExceeded),
            (Desired::Running, "KeeperLost") => Some(Cause::KeeperLost),
            (Desired::Running, SPOT_EVICTED) => Some(Cause::SpotEvicted),
            (Desired::Running, "Evicted") => Some(Cause::Evicted(status.message.clone())),
            // What was being tidied up after an end that the containers tell of.
            (Desired::Running, "FailedKillPod" | "AdoptFailed") => None,
            (Desired::Running, reason) if !launched && !reason.is_empty() => {
                Some(Cause::Unrunnable(Trouble {
                    reason: reason.to_owned(),
                    message: status.message.clone(),
                }))
            }
            (Desired::Running, _) => None,
        };
        if let Some(cause) = cause {
            let grace = match cause {
                Cause::SpotEvicted => outbid_grace(spec),
                _ => Duration::from_secs(spec.termination_grace_period_s.into()),
            };
            self.end(cause, grace, now);
        }
    }

    fn restore_container(
        &mut self,
        spec: &GroupSpec,
        index: usize,
        status: &ContainerStatus,
        begun: Begun,
    ) {
        let Some(container) = self.containers.get_mut(index) else {
            return;
        };
        container.last_exit = status.last_exit.clone();
        container.user = status.user.clone();
        container.digest = status.image_digest.clone();
        if let Some(resources) = status.resources {
            container.resources = resources;
        }
        container.failures = status.restart_count.min(FAILURES_MAX);
        container.restore_run(spec, index, status, begun);
        let never = matches!(container.run, Run::Waiting)
            && container.last_exit.is_none()
            && status.restart_count == 0;
        container.attempt = (!never).then_some(status.restart_count);
        container.ran_image = status.image.parse().ok();
        let own = container_spec(spec, index);
        if let (Some(own), true) = (own, container.ran && matches!(container.run, Run::Waiting)) {
            container.hold_back(spec, own);
        }
        let wanted = own.map(|c| &c.image);
        container.changed = wanted.is_some_and(|wanted| container.runs_other_than(wanted));
        // What has run goes on with the manifest it ran with.
        if let (true, Some(digest)) = (container.ran, &status.image_digest)
            && container.ran_image.as_ref() == wanted
            && let Some(image) = self.images.get_mut(container.image)
        {
            image.state = ImageState::Here(digest.clone());
        }
    }

    /// What the host says of the sandbox.
    pub(super) fn adopted(
        &mut self,
        spec: &GroupSpec,
        result: Result<Adoption, HostError>,
        now: Stamp,
    ) {
        match result {
            Ok(Adoption::Standing(adopted)) => self.adopted_standing(spec, adopted, now),
            Ok(Adoption::Lost(ends)) => self.adopted_lost(spec, ends),
            Ok(Adoption::Absent) => self.adopted_absent(spec, now),
            Err(error) => {
                self.sandbox.state = SandboxState::Unknown;
                return self.retry_housekeeping("take over the sandbox", &error, now);
            }
        }
        self.sandbox.retry = Retry::default();
    }

    fn adopted_standing(&mut self, spec: &GroupSpec, adopted: Adopted, now: Stamp) {
        self.sandbox.state = SandboxState::Up;
        self.ip = adopted.sandbox.ip;
        self.processors = adopted.sandbox.processors;
        self.timeline
            .sandbox_created
            .get_or_insert(adopted.sandbox.created);
        self.timeline
            .network_ready
            .get_or_insert(adopted.sandbox.network_ready);
        let known: Vec<_> = adopted.containers.iter().map(|c| c.name.clone()).collect();
        for evidence in adopted.containers {
            self.adopt_container(spec, evidence, now);
        }
        let unknown = |c: &ContainerSeen| c.running().is_some() && !known.contains(&c.name);
        if self.containers.iter().any(unknown) {
            // The keeper does not know of a run that we recorded: it cannot run.
            let at = self.last_proof();
            for container in self.containers.iter_mut().filter(|c| unknown(c)) {
                container.lose(at);
            }
        }
    }

    /// The keeper went while nobody looked. What its exit records do not tell ended unseen.
    fn adopted_lost(&mut self, spec: &GroupSpec, ends: Vec<AdoptedContainer>) {
        let at = self.last_proof();
        for evidence in ends {
            self.adopt_container(spec, evidence, at);
        }
        self.lose_processes(self.last_alive());
        self.sandbox.state = match self.containers.iter().any(|c| c.ran) {
            // It came to its end before the keeper went.
            true if self.mains().all(|c| is_done(spec, c) && !was_lost(c)) => SandboxState::Broken,
            true => SandboxState::Lost,
            // Nothing had run: nothing is lost.
            false => SandboxState::Broken,
        };
    }

    /// The machine was started anew, or the agent went before there was a sandbox.
    fn adopted_absent(&mut self, spec: &GroupSpec, now: Stamp) {
        let ran = self.containers.iter().any(|c| c.ran);
        self.lose_processes(self.last_alive());
        let done = self.mains().all(|c| is_done(spec, c) && !was_lost(c));
        self.sandbox.state = match ran && !done {
            true => SandboxState::Vanished,
            false => SandboxState::Absent,
        };
        // Nothing was alive while no agent was: that time is not the customer's.
        match done {
            true => self.close_session(self.last_proof(), None),
            false => self.close_session(self.last_alive(), Some(GapReason::HostRestarted)),
        }
        if self.sandbox.state == SandboxState::Absent && self.ending.is_none() && !done {
            self.open_session(now);
        }
    }

    fn adopt_container(&mut self, spec: &GroupSpec, evidence: AdoptedContainer, now: Stamp) {
        let Some(index) = self.container_index(&evidence.name) else {
            return;
        };
        let round = self.timeline.begun_again;
        let Some(container) = self.containers.get_mut(index) else {
            return;
        };
        if container.has_begun_again(round, &evidence.state) {
            return;
        }
        let same_run = container.attempt == Some(evidence.attempt);
        if container.attempt > Some(evidence.attempt) {
            return;
        }
        container.attempt = Some(evidence.attempt);
        (container.ran, container.in_round) = (true, true);
        match (evidence.state, &mut container.run) {
            (AdoptedState::Running(started), Run::Running(running)) if same_run => {
                container.user = Some(started.user.clone());
                running.started = started;
                running.spread_probes(spec, index, now);
            }
            (AdoptedState::Running(started), _) => {
                container.user = Some(started.user.clone());
                let mut running = Running::new(spec, index, started);
                running.spread_probes(spec, index, now);
                container.run = Run::Running(Box::new(running));
            }
            (AdoptedState::Exited(_), Run::Ended(_)) if same_run => {}
            (AdoptedState::Exited(exit), _) => {
                let length = exit.started_at.map(|s| exit.finished_at.since(s));
                if length.is_some_and(|length| length > spec.backoff.reset_after) {
                    container.failures = 0;
                }
                container.run = Run::Ended(exit);
            }
        }
    }

    /// The latest moment at which the group was seen alive: what cannot be known after it counts
    /// in the customer's favour.
    fn last_proof(&self) -> Stamp {
        let opened = self.sessions.last().map(|session| session.opened);
        let runs = self.containers.iter().filter_map(|c| match &c.run {
            Run::Running(running) => Some(running.started.started),
            Run::Ended(exit) => Some(exit.finished_at),
            Run::Waiting | Run::Starting { .. } => None,
        });
        runs.chain(opened).max().unwrap_or_default()
    }

    /// The same for a group that did not come to its end: if it lasted when the earlier agent was
    /// last up, it was alive then.
    fn last_alive(&self) -> Stamp {
        self.last_proof().max(self.proof.unwrap_or_default())
    }
}

impl ContainerSeen {
    /// What its run was when the record was written; a run of an earlier launch is history.
    fn restore_run(
        &mut self,
        spec: &GroupSpec,
        index: usize,
        status: &ContainerStatus,
        begun: Begun,
    ) {
        self.run = match &status.state {
            ContainerState::Running { started_at, pid } => {
                (self.ran, self.in_round) = (true, true);
                let started = Started {
                    pid: *pid,
                    created: *started_at,
                    started: *started_at,
                    user: status.user.clone().unwrap_or_default(),
                    stop_signal: stop_signal(spec, index),
                };
                let running = Running::restored(spec, index, started, status);
                Run::Running(Box::new(running))
            }
            ContainerState::Terminated(exit) => {
                self.ran = begun.in_launch(exit.finished_at);
                self.in_round = begun.in_round(exit.finished_at);
                Run::Ended(exit.clone())
            }
            ContainerState::Waiting { .. } => match self.last_exit.take() {
                Some(exit) if begun.in_round(exit.finished_at) => {
                    (self.ran, self.in_round) = (true, true);
                    Run::Ended(exit)
                }
                other => {
                    self.ran = other
                        .as_ref()
                        .is_some_and(|e| begun.in_launch(e.finished_at));
                    self.last_exit = other;
                    Run::Waiting
                }
            },
        };
    }
}

impl Running {
    /// A process that an earlier agent started: what is known to be done is not done again (a
    /// postStart hook runs at least once), and it stays as ready as it was until a probe says
    /// otherwise.
    fn restored(
        spec: &GroupSpec,
        index: usize,
        started: Started,
        status: &ContainerStatus,
    ) -> Self {
        let mut running = Self::new(spec, index, started);
        if status.started {
            running.post_start = Step::Done;
            for kind in [ProbeKind::Startup, ProbeKind::Liveness] {
                if let Some(probe) = running.probe_mut(kind) {
                    probe.verdict = Some(true);
                }
            }
        }
        if let (true, Some(probe)) = (status.ready, &mut running.readiness) {
            probe.verdict = Some(true);
        }
        running
    }

    /// Spreads the first tries over one period, so that an agent that takes over many groups does
    /// not ask all of them at once.
    fn spread_probes(&mut self, spec: &GroupSpec, index: usize, now: Stamp) {
        for kind in ProbeKind::ALL {
            let probe = container_spec(spec, index).and_then(|c| kind.of(c));
            if let (Some(probe), Some(state)) = (probe, self.probe_mut(kind)) {
                let mut hasher = DefaultHasher::new();
                (&spec.name, index, kind).hash(&mut hasher);
                let part = u32::try_from(hasher.finish() % 1000).unwrap_or_default();
                let period = Duration::from_secs(probe.period_s.into());
                state.due = state.due.max(now.boot + period * part / 1000);
            }
        }
    }
}

fn was_lost(container: &ContainerSeen) -> bool {
    matches!(&container.run, Run::Ended(exit) if exit.reason == super::LOST)
}

fn why(status: &GroupStatus) -> Why {
    Why {
        reason: status.reason.clone(),
        message: status.message.clone(),
    }
}

/// A stamp of an earlier boot may lie ahead of now; then it counts as now.
fn not_after(at: Stamp, now: Stamp) -> Stamp {
    Stamp {
        boot: BootTime(at.boot.0.min(now.boot.0)),
        wall: at.wall,
    }
}

/// What can be told without the image; the host tells the rest when it takes over.
fn stop_signal(spec: &GroupSpec, index: usize) -> Signal {
    let own = container_spec(spec, index).and_then(|c| c.lifecycle.stop_signal);
    own.unwrap_or(Signal::TERM)
}
