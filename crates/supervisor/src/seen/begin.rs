//! An action begins: what changes before its effect is carried out.

use std::time::Duration;

use burstlet_model::Stamp;
use burstlet_model::metering::GapReason;
use burstlet_model::spec::{ContainerKind, GroupSpec, PullPolicy};
use burstlet_model::status::{Desired, LaunchTimeline, Phase, Session, Severity};

use super::{
    Cause, ContainerSeen, Ending, ImageSeen, ImageState, Renewal, Run, SPOT_EVICTED, SandboxState,
    Seen, SessionEnd, Stage, Step, StopCause, Stopping, Why, container_spec,
};
use crate::backoff::Retry;
use crate::decide::Action;

impl Seen {
    /// Takes note that `action` begins now.
    pub(crate) fn begin(&mut self, spec: &GroupSpec, action: &Action, now: Stamp) {
        match action {
            Action::Admit => {
                self.admit(now);
                self.size_anew(spec, now);
            }
            Action::Adopt => self.sandbox.state = SandboxState::Adopting,
            Action::Pull { image } => self.begin_pull(*image, now),
            Action::CreateSandbox => self.sandbox.state = SandboxState::Creating,
            Action::Renew => {
                self.renewal.due = false;
                self.renewal.busy = true;
            }
            Action::Resize => self.begin_resize(spec),
            Action::Start { container, attempt } => {
                self.begin_start(*container, *attempt);
                self.begin_with_resources(spec, *container, now);
            }
            Action::PostStart { container } => {
                self.running(*container, |running| running.post_start = Step::Busy);
            }
            Action::Stop {
                container,
                cause,
                grace,
            } => self.begin_stop(spec, *container, (*cause, *grace), now),
            Action::PreStop { container, .. } => {
                self.stopping(*container, |stopping| stopping.pre_stop = Step::Busy);
            }
            Action::Signal { container } => {
                self.stopping(*container, |stopping| stopping.signalled = Some(now.boot));
            }
            Action::Kill { container } => self.begin_kill(*container, now),
            Action::Probe { container, probe } => self.running(*container, |running| {
                if let Some(probe) = running.probe_mut(*probe) {
                    probe.busy = true;
                }
            }),
            Action::End { cause, grace } => self.end(cause.clone(), *grace, now),
            Action::BeginAgain => self.begin_again(spec, now),
            Action::DestroySandbox => self.sandbox.state = SandboxState::Destroying,
            Action::Settle => {
                self.settle(now);
                self.size_anew(spec, now);
            }
            Action::Remove => self.sandbox.state = SandboxState::Removing,
        }
    }

    /// Ends the group: a new wish replaces an ending that has begun if it wants more, and its
    /// grace can only shorten what is left.
    pub(crate) fn end(&mut self, cause: Cause, grace: Duration, now: Stamp) {
        let deadline = now.boot + grace;
        let at_once = grace.is_zero();
        match cause {
            Cause::Delete => self.desired = Desired::Deleted,
            Cause::Stop => self.desired = Desired::Stopped,
            _ => {}
        }
        let ending = self.ending.as_ref();
        if ending.is_none_or(|ending| cause.rank() >= ending.cause.rank()) {
            self.tell_why_it_ends(&cause, now);
        }
        match &mut self.ending {
            None => {
                self.ending = Some(Ending {
                    cause,
                    deadline,
                    at_once,
                });
            }
            Some(ending) => {
                if cause.rank() > ending.cause.rank() {
                    ending.cause = cause;
                }
                ending.deadline = ending.deadline.min(deadline);
                ending.at_once |= at_once;
            }
        }
        for image in &mut self.images {
            if image.state == ImageState::Pulling {
                image.state = ImageState::Wanted;
            }
        }
        for index in 0..self.containers.len() {
            self.stopping(index, |stopping| {
                stopping.deadline = stopping.deadline.min(deadline);
                stopping.at_once |= at_once;
            });
        }
        self.close_session_if_quiet(now);
    }

    /// Begins a launch of a group that was at rest, once it has its place in the queue.
    pub(crate) fn start_again(&mut self, now: Stamp) {
        self.desired = Desired::Running;
        self.stage = Stage::Queued;
        self.reset_launch(now);
    }

    /// Asks for one container to be started again, whatever the policy and the back-off say.
    pub(crate) fn restart_container(
        &mut self,
        spec: &GroupSpec,
        index: usize,
        grace: Duration,
        now: Stamp,
    ) {
        let Some(container) = self.containers.get_mut(index) else {
            return;
        };
        container.restart_asked = true;
        container.retry = Retry::default();
        if container.running().is_some_and(|r| r.stopping.is_none()) {
            self.begin_stop(spec, index, (StopCause::Requested, grace), now);
        }
    }

    /// Closes the session if the group is ending and no process is left: at the last exit, not
    /// when we came to hear of it.
    pub(super) fn close_session_if_quiet(&mut self, now: Stamp) {
        let unknown = matches!(
            self.sandbox.state,
            SandboxState::Unknown | SandboxState::Adopting
        );
        if self.ending.is_none() || unknown || !self.is_quiet() {
            return;
        }
        let ends = self.containers.iter().filter_map(|c| match &c.run {
            Run::Ended(exit) if c.ran => Some(exit.finished_at),
            _ => None,
        });
        let last = ends.max().unwrap_or(now);
        let lost = self.sandbox.state == SandboxState::Lost;
        self.close_session(last, lost.then_some(GapReason::KeeperLost));
    }

    /// Closes the session; `missed` says why it is not known what followed.
    pub(super) fn close_session(&mut self, at: Stamp, missed: Option<GapReason>) {
        let why = self.close_reason();
        if let Some((session, last)) = self.sessions.iter_mut().enumerate().next_back()
            && last.closed.is_none()
        {
            last.closed = Some(at.max(last.opened));
            self.end_of = Some(SessionEnd {
                session,
                why,
                missed,
            });
        }
    }

    pub(super) fn open_session(&mut self, now: Stamp) {
        self.sessions.push(Session {
            opened: now,
            closed: None,
        });
    }

    fn admit(&mut self, now: Stamp) {
        self.stage = Stage::Live;
        self.place = None;
        self.timeline.admitted = Some(now);
        self.open_session(now);
    }

    fn begin_pull(&mut self, index: usize, now: Stamp) {
        let Some(image) = self.images.get_mut(index) else {
            return;
        };
        image.state = ImageState::Pulling;
        if image.policy != PullPolicy::Never {
            let text = format!("Pulling image \"{}\"", image.image.familiar());
            self.tell_of_image(index, now, Severity::Normal, "Pulling", &text);
        }
    }

    fn begin_start(&mut self, index: usize, attempt: u32) {
        let Some(container) = self.containers.get_mut(index) else {
            return;
        };
        let before = std::mem::replace(&mut container.run, Run::Starting { early_exit: None });
        if let Run::Ended(exit) = before {
            container.last_exit = Some(exit);
            container.failures = match container.restart_asked || container.changed {
                true => 0,
                false => container.failures.saturating_add(1),
            };
        }
        container.restart_asked = false;
        container.changed = false;
        container.attempt = Some(attempt);
        container.ran_image = self.images.get(container.image).map(|i| i.image.clone());
    }

    fn begin_stop(
        &mut self,
        spec: &GroupSpec,
        index: usize,
        (cause, grace): (StopCause, Duration),
        now: Stamp,
    ) {
        let (deadline, at_once) = match &self.ending {
            Some(ending) => (ending.deadline, ending.at_once),
            None => (now.boot + grace, grace.is_zero()),
        };
        let hook = container_spec(spec, index).and_then(|c| c.lifecycle.pre_stop.as_ref());
        let pre_stop = match hook {
            Some(_) => Step::Due,
            None => Step::Done,
        };
        self.running(index, |running| {
            running.stopping = Some(Stopping {
                cause,
                deadline,
                at_once,
                pre_stop,
                signalled: None,
                killed: None,
            });
        });
        let name = self.containers.get(index).map_or("", |c| c.name.as_str());
        let text = match cause {
            StopCause::Group => format!("Stopping container {name}"),
            StopCause::Requested => format!("Stopping container {name}, a restart was asked for"),
            StopCause::Changed => format!("Container {name} definition changed, will be restarted"),
            StopCause::Together => {
                format!("Stopping container {name}, all containers are started again")
            }
            StopCause::Liveness => {
                format!("Container {name} failed liveness probe, will be restarted")
            }
            StopCause::Startup => {
                format!("Container {name} failed startup probe, will be restarted")
            }
            StopCause::PostStart => format!("Container {name} failed its postStart hook"),
        };
        self.tell_of(index, now, Severity::Normal, "Killing", &text);
    }

    fn begin_kill(&mut self, index: usize, now: Stamp) {
        let mut event = None;
        self.stopping(index, |stopping| {
            event = match (stopping.killed, stopping.at_once) {
                (Some(_), _) => Some(("FailedKillPod", "outlived SIGKILL; killing it again")),
                (None, false) => Some(("ExceededGracePeriod", "did not end in time; killing it")),
                (None, true) => None,
            };
            stopping.killed = Some(now.boot);
        });
        if let Some((reason, text)) = event {
            let name = self.containers.get(index).map_or("", |c| c.name.as_str());
            let text = format!("Container {name} {text}");
            self.tell_of(index, now, Severity::Warning, reason, &text);
        }
    }

    /// All has ended: what the cause of the ending leads to.
    fn settle(&mut self, now: Stamp) {
        self.close_session_if_quiet(now);
        self.place = None;
        let phase = match self.ending.take().map(|ending| ending.cause) {
            Some(Cause::Restart) => {
                self.reset_launch(now);
                return self.admit(now);
            }
            Some(Cause::Delete) => {
                self.stage = Stage::Removing;
                return;
            }
            Some(Cause::Stop) => Phase::Stopped,
            Some(Cause::Completed) if self.has_succeeded() => Phase::Succeeded,
            _ => Phase::Failed,
        };
        self.stage = Stage::Resting(phase);
        self.finished_at = Some(now);
    }

    pub(crate) fn has_succeeded(&self) -> bool {
        self.mains()
            .all(|c| matches!(&c.run, Run::Ended(exit) if exit.success()))
    }

    /// Forgets what belongs to one launch only. Exits stay readable, attempts go on counting.
    fn reset_launch(&mut self, now: Stamp) {
        self.launch = self.launch.wrapping_add(1);
        self.why = Why::default();
        self.ending = None;
        self.evicted = None;
        self.finished_at = None;
        self.sandbox.retry = Retry::default();
        self.sandbox.hopeless = None;
        self.timeline = LaunchTimeline {
            accepted: Some(now),
            ..LaunchTimeline::default()
        };
        self.renewal = Renewal::default();
        let dropped = |image: &&mut ImageSeen| image.state == ImageState::Dropped;
        for image in self.images.iter_mut().filter(|image| !dropped(image)) {
            image.state = ImageState::Wanted;
            image.retry = Retry::default();
        }
        for container in &mut self.containers {
            container.ran = false;
            container.in_round = false;
            container.retry = Retry::default();
            // An ephemeral container runs once, whatever becomes of its group.
            if container.kind == ContainerKind::Ephemeral {
                continue;
            }
            if let Run::Ended(exit) = std::mem::replace(&mut container.run, Run::Waiting) {
                container.last_exit = Some(exit);
            }
            container.failures = 0;
            container.restart_asked = false;
            container.changed = false;
        }
    }

    fn tell_why_it_ends(&mut self, cause: &Cause, now: Stamp) {
        let (reason, message) = match cause {
            Cause::DeadlineExceeded => (
                "DeadlineExceeded",
                "Pod was active on the node longer than the specified deadline",
            ),
            Cause::KeeperLost => (
                "KeeperLost",
                "the group's keeper is gone, and every process of the group with it",
            ),
            Cause::Evicted(message) => ("Evicted", message.as_str()),
            Cause::Unrunnable(trouble) => (trouble.reason.as_str(), trouble.message.as_str()),
            Cause::SpotEvicted => (
                SPOT_EVICTED,
                "its room is given to groups on demand; started again it waits for room",
            ),
            Cause::Restart => ("Restarting", ""),
            Cause::Completed | Cause::InitFailed | Cause::Stop | Cause::Delete => return,
        };
        if !matches!(cause, Cause::Restart) {
            self.tell(now, Severity::Warning, reason, message);
        }
        self.why = Why {
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
    }

    pub(super) fn running(&mut self, index: usize, change: impl FnOnce(&mut super::Running)) {
        let container = self.containers.get_mut(index);
        if let Some(running) = container.and_then(ContainerSeen::running_mut) {
            change(running);
        }
    }

    pub(super) fn stopping(&mut self, index: usize, change: impl FnOnce(&mut Stopping)) {
        self.running(index, |running| {
            if let Some(stopping) = &mut running.stopping {
                change(stopping);
            }
        });
    }
}

impl Action {
    /// Whether what begins must be durable before its effect: the session that it is billed to,
    /// the number of a run that must not be used twice, an end that could not be told again. Ends
    /// of containers can be told again for as long as their sandbox stands.
    pub(crate) const fn is_intent(&self) -> bool {
        match self {
            Self::Admit | Self::BeginAgain | Self::DestroySandbox | Self::Settle => true,
            Self::Start { attempt, .. } => *attempt > 0,
            Self::End { cause, .. } => !matches!(cause, Cause::Completed | Cause::InitFailed),
            _ => false,
        }
    }
}
