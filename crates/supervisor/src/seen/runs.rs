//! What is learnt of one run of a container: its start, hooks, probes and end.

use std::time::Duration;

use burstlet_model::Stamp;
use burstlet_model::spec::{GroupSpec, Probe};
use burstlet_model::status::{ExitStatus, Severity};

use super::{
    ContainerSeen, ImageState, LOST, LOST_CODE, ProbeKind, ProbeSeen, Run, Running, SandboxState,
    Seen, Step, container_spec,
};
use crate::backoff::{self, Retry, Trouble};
use crate::decide::{restart_at, together};
use crate::host::{HostError, ProbeResult, Started};

/// A try in which the prober itself failed is repeated at once this often, then thrown away.
const PROBER_ERRORS_MAX: u32 = 3;
/// A failure while the node is busy launching groups does not count against a container's life,
/// this often in a row: our own load must not kill, and what is dead must not live on.
const EXCUSED_MAX: u32 = 6;
/// The code of a run that could not be started.
const START_ERROR_CODE: i32 = 128;

impl Seen {
    pub(super) fn started(
        &mut self,
        spec: &GroupSpec,
        (index, attempt): (usize, u32),
        result: Result<Started, HostError>,
        now: Stamp,
    ) {
        let Some(container) = self.containers.get_mut(index) else {
            return;
        };
        let early_exit = match &mut container.run {
            Run::Starting { early_exit } if container.attempt == Some(attempt) => early_exit.take(),
            _ => return,
        };
        match result {
            Ok(started) => {
                self.begin_run(spec, index, started, now);
                if let Some(exit) = early_exit {
                    self.exited(spec, (index, attempt), exit, now);
                }
                if self.sandbox.state == SandboxState::Lost {
                    self.lose_processes(now);
                }
            }
            Err(error) => self.not_started(spec, (index, attempt), &error, now),
        }
    }

    fn begin_run(&mut self, spec: &GroupSpec, index: usize, started: Started, now: Stamp) {
        let image = self
            .containers
            .get(index)
            .and_then(|c| self.images.get(c.image));
        let digest = image.and_then(|image| match &image.state {
            ImageState::Here(digest) => Some(digest.clone()),
            ImageState::Wanted | ImageState::Pulling | ImageState::Dropped => None,
        });
        self.timeline
            .container_created
            .get_or_insert(started.created);
        self.timeline.started.get_or_insert(started.started);
        let Some(container) = self.containers.get_mut(index) else {
            return;
        };
        container.ran = true;
        container.in_round = true;
        container.digest = digest;
        container.retry = Retry::default();
        container.user = Some(started.user.clone());
        container.run = Run::Running(Box::new(Running::new(spec, index, started)));
        let name = container.name.clone();
        let created = format!("Created container: {name}");
        self.tell_of(index, now, Severity::Normal, "Created", &created);
        let started = format!("Started container {name}");
        self.tell_of(index, now, Severity::Normal, "Started", &started);
    }

    fn not_started(
        &mut self,
        spec: &GroupSpec,
        (index, attempt): (usize, u32),
        error: &HostError,
        now: Stamp,
    ) {
        let text = format!("Error: {error}");
        self.tell_of(index, now, Severity::Warning, "Failed", &text);
        if error.reason == "StartError" {
            let exit = ExitStatus {
                code: START_ERROR_CODE,
                signal: None,
                reason: "StartError".to_owned(),
                message: error.message.clone(),
                started_at: None,
                finished_at: now,
            };
            return self.ended(spec, index, exit, now);
        }
        if let Some(container) = self.containers.get_mut(index) {
            // Nothing has run under this number: it is used again.
            container.attempt = attempt.checked_sub(1);
            container.run = Run::Waiting;
            container
                .retry
                .failed(&backoff::CREATE, Trouble::from(error), now.boot);
        }
    }

    pub(super) fn post_started(
        &mut self,
        spec: &GroupSpec,
        (index, attempt): (usize, u32),
        result: Result<(), HostError>,
        now: Stamp,
    ) {
        let Some(running) = self.run_of(index, attempt) else {
            return;
        };
        running.post_start = match result {
            Ok(()) => Step::Done,
            Err(_) => Step::Failed,
        };
        if let Err(error) = result {
            let text = format!("PostStartHook failed: {error}");
            self.tell_of(index, now, Severity::Warning, "FailedPostStartHook", &text);
        } else {
            let started = running.started.started;
            running.schedule_probes(spec, index, started, now);
        }
    }

    pub(super) fn pre_stopped(
        &mut self,
        (index, attempt): (usize, u32),
        result: Result<(), HostError>,
        now: Stamp,
    ) {
        if self.run_of(index, attempt).is_none() {
            return;
        }
        self.stopping(index, |stopping| stopping.pre_stop = Step::Done);
        if let Err(error) = result {
            let text = format!("PreStopHook failed: {error}");
            self.tell_of(index, now, Severity::Warning, "FailedPreStopHook", &text);
        }
    }

    pub(super) fn probed(
        &mut self,
        spec: &GroupSpec,
        (index, attempt, kind): (usize, u32, ProbeKind),
        (crowded, result): (bool, Result<ProbeResult, HostError>),
        now: Stamp,
    ) {
        let probe = container_spec(spec, index).and_then(|c| kind.of(c));
        let state = self.run_of(index, attempt).and_then(|r| r.probe_mut(kind));
        let (Some(probe), Some(state)) = (probe, state) else {
            return;
        };
        // Readiness only takes a container out of service, and may do so early.
        let excuse = crowded && kind != ProbeKind::Readiness;
        let text = state.tried(probe, (excuse, result), now);
        let passed = kind == ProbeKind::Startup && state.verdict == Some(true);
        if let (true, Some(running)) = (passed, self.run_of(index, attempt)) {
            let started = running.started.started;
            running.schedule_probes(spec, index, started, now);
        }
        if let Some((reason, text)) = text {
            let text = format!("{} probe {text}", kind.as_str());
            self.tell_of(index, now, Severity::Warning, reason, &text);
        }
    }

    pub(super) fn exited(
        &mut self,
        spec: &GroupSpec,
        (index, attempt): (usize, u32),
        exit: ExitStatus,
        now: Stamp,
    ) {
        let Some(container) = self.containers.get_mut(index) else {
            return;
        };
        if container.attempt != Some(attempt) {
            return;
        }
        match &mut container.run {
            Run::Starting { early_exit } => *early_exit = Some(exit),
            Run::Running(_) => self.ended(spec, index, exit, now),
            Run::Waiting | Run::Ended(_) => {}
        }
    }

    fn ended(&mut self, spec: &GroupSpec, index: usize, exit: ExitStatus, now: Stamp) {
        let Some(container) = self.containers.get_mut(index) else {
            return;
        };
        let length = exit
            .started_at
            .map(|started| exit.finished_at.since(started));
        if length.is_some_and(|length| length > spec.backoff.reset_after) {
            container.failures = 0;
        }
        let restart = restart_at(spec, container, &exit);
        let waits = restart.is_some_and(|at| at > exit.finished_at.boot);
        container.run = Run::Ended(exit);
        let name = container.name.clone();
        // Who is only started again with the others does not wait.
        let of_another = together::is_due(spec, self)
            && !(self.containers.get(index)).is_some_and(|c| together::asks(spec, index, c));
        if waits && self.ending.is_none() && !of_another {
            let text = format!(
                "Back-off restarting failed container {name} in {}",
                spec.name
            );
            self.tell_of(index, now, Severity::Warning, "BackOff", &text);
        }
    }

    /// The given run of a container, if it is the one that runs.
    fn run_of(&mut self, index: usize, attempt: u32) -> Option<&mut Running> {
        let container = self.containers.get_mut(index)?;
        let current = container.attempt == Some(attempt);
        container.running_mut().filter(|_| current)
    }
}

impl ContainerSeen {
    /// If it ran, it ended unseen, not after `at`. What is being started is not known yet to have
    /// run: its outcome comes.
    pub(super) fn lose(&mut self, at: Stamp) {
        let Some(running) = self.running() else {
            return;
        };
        let started_at = running.started.started;
        self.run = Run::Ended(ExitStatus {
            code: LOST_CODE,
            signal: None,
            reason: LOST.to_owned(),
            message: "the container was gone before its end was written down".to_owned(),
            started_at: Some(started_at),
            finished_at: at.max(started_at),
        });
    }
}

impl Running {
    /// A process that has just been started.
    pub(super) fn new(spec: &GroupSpec, index: usize, started: Started) -> Self {
        let container = container_spec(spec, index);
        let hook = container.and_then(|c| c.lifecycle.post_start.as_ref());
        let begun = started.started;
        let probe = |kind: ProbeKind| {
            container
                .and_then(|c| kind.of(c))
                .map(|_| ProbeSeen::new(begun))
        };
        let mut running = Self {
            post_start: match hook {
                Some(_) => Step::Due,
                None => Step::Done,
            },
            startup: probe(ProbeKind::Startup),
            liveness: probe(ProbeKind::Liveness),
            readiness: probe(ProbeKind::Readiness),
            stopping: None,
            started,
        };
        running.schedule_probes(spec, index, begun, begun);
        running
    }

    /// Sets the first try of every probe that has not been tried: after its initial delay, not
    /// before `now`.
    fn schedule_probes(&mut self, spec: &GroupSpec, index: usize, started: Stamp, now: Stamp) {
        for kind in ProbeKind::ALL {
            let probe = container_spec(spec, index).and_then(|c| kind.of(c));
            if let (Some(probe), Some(state)) = (probe, self.probe_mut(kind))
                && state.verdict.is_none()
                && state.streak == 0
            {
                let delay = Duration::from_secs(probe.initial_delay_s.into());
                state.due = (started.boot + delay).max(now.boot);
            }
        }
    }
}

impl ProbeSeen {
    pub(super) const fn new(due: Stamp) -> Self {
        Self {
            due: due.boot,
            busy: false,
            streak: 0,
            verdict: None,
            errors: 0,
            excused: 0,
        }
    }

    /// Counts a try. Gives the event that it is worth.
    fn tried(
        &mut self,
        probe: &Probe,
        (excuse, result): (bool, Result<ProbeResult, HostError>),
        now: Stamp,
    ) -> Option<(&'static str, String)> {
        self.busy = false;
        let period = Duration::from_secs(probe.period_s.max(1).into());
        self.due = now.boot + period;
        match result {
            Err(error) if self.errors < PROBER_ERRORS_MAX => {
                self.errors += 1;
                self.due = now.boot;
                Some(("ProbeWarning", format!("errored: {error}")))
            }
            Err(_) => {
                self.errors = 0;
                None
            }
            Ok(ProbeResult::Failure(seen)) if excuse && self.excused < EXCUSED_MAX => {
                self.errors = 0;
                self.excused += 1;
                let text = format!("failed while the node launches many groups: {seen}");
                Some(("ProbeWarning", text))
            }
            Ok(ProbeResult::Success) => {
                self.succeeded(probe);
                None
            }
            Ok(ProbeResult::Warning(seen)) => {
                self.succeeded(probe);
                Some(("ProbeWarning", format!("warning: {seen}")))
            }
            Ok(ProbeResult::Failure(seen)) => {
                self.errors = 0;
                self.streak = self.streak.min(0) - 1;
                if -self.streak >= i64::from(probe.failure_threshold) {
                    self.verdict = Some(false);
                }
                Some(("Unhealthy", format!("failed: {seen}")))
            }
        }
    }

    fn succeeded(&mut self, probe: &Probe) {
        self.errors = 0;
        self.excused = 0;
        self.streak = self.streak.max(0) + 1;
        if self.streak >= i64::from(probe.success_threshold) {
            self.verdict = Some(true);
        }
    }
}
