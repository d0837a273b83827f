//! When a group ends, how it winds down, and what comes after.

use std::time::Duration;

use burstlet_model::BootTime;
use burstlet_model::spec::{ContainerKind, ContainerSpec, GroupSpec};
use burstlet_model::status::Phase;

use super::launch::restart_at;
use super::{Action, Decision, probes, stop, together};
use crate::capacity::Place;
use crate::seen::{Cause, ContainerSeen, LOST_CODE, Run, SandboxState, Seen, StopCause};

/// The specification's grace period.
pub(super) fn grace(spec: &GroupSpec) -> Duration {
    Duration::from_secs(spec.termination_grace_period_s.into())
}

/// How long a group has at most to end that has lost its room: others wait for it.
const OUTBID_GRACE_MAX: Duration = Duration::from_secs(120);

/// What follows from the loss of its room.
pub(super) fn outbid(spec: &GroupSpec) -> Action {
    Action::End {
        cause: Cause::SpotEvicted,
        grace: outbid_grace(spec),
    }
}

/// The specification's grace period, within bounds.
pub(crate) fn outbid_grace(spec: &GroupSpec) -> Duration {
    grace(spec).min(OUTBID_GRACE_MAX)
}

/// Why the group must end now, if it must, and with how much grace.
pub(super) fn due(
    spec: &GroupSpec,
    seen: &Seen,
    now: BootTime,
    decision: &mut Decision,
) -> Option<(Cause, Duration)> {
    if seen.sandbox.state == SandboxState::Lost {
        return Some((Cause::KeeperLost, Duration::ZERO));
    }
    if let Some(trouble) = &seen.sandbox.hopeless {
        return Some((Cause::Unrunnable(trouble.clone()), Duration::ZERO));
    }
    if let Some(cause) = outcome(spec, seen) {
        return Some((cause, grace(spec)));
    }
    if seen.sandbox.state == SandboxState::Vanished {
        // As after a restart of the machine under a kubelet: what may run again does.
        let may_again = |own: &ContainerSpec| own.restarts(spec.restart_policy, LOST_CODE);
        let cause = match spec.containers.iter().all(may_again) {
            true => Cause::Restart,
            false => Cause::KeeperLost,
        };
        return Some((cause, Duration::ZERO));
    }
    if let Some((message, grace)) = &seen.evicted {
        return Some((Cause::Evicted(message.clone()), *grace));
    }
    if seen.place == Some(Place::Outbid) {
        return Some((Cause::SpotEvicted, outbid_grace(spec)));
    }
    let limit = Duration::from_secs(spec.active_deadline_s?.into());
    let deadline = seen.sessions.last()?.opened.boot + limit;
    if deadline > now {
        decision.at(deadline);
        return None;
    }
    Some((Cause::DeadlineExceeded, grace(spec)))
}

/// Every process is stopped, then the sandbox goes, then the group settles.
pub(super) fn wind_down(spec: &GroupSpec, seen: &Seen, now: BootTime, decision: &mut Decision) {
    for (container, state) in seen.containers.iter().enumerate() {
        let Some(running) = state.running() else {
            continue;
        };
        match &running.stopping {
            // The ending's own deadline counts.
            None => decision.act(Action::Stop {
                container,
                cause: StopCause::Group,
                grace: Duration::ZERO,
            }),
            Some(stopping) => stop::go_on(seen, (container, stopping), now, decision),
        }
        probes::go_on(spec, seen, (container, running), now, decision);
    }
    if !seen.is_quiet() {
        return;
    }
    match seen.sandbox.state {
        SandboxState::Absent => decision.act(Action::Settle),
        SandboxState::Up | SandboxState::Broken | SandboxState::Lost | SandboxState::Vanished => {
            match seen.sandbox.retry.wait(now) {
                Some(at) => decision.at(at),
                None => decision.act(Action::DestroySandbox),
            }
        }
        SandboxState::Unknown
        | SandboxState::Adopting
        | SandboxState::Creating
        | SandboxState::Destroying
        | SandboxState::Removing => {}
    }
}

/// At rest: until somebody asks for something, or the time to live is over.
pub(super) fn resting(
    spec: &GroupSpec,
    seen: &Seen,
    phase: Phase,
    now: BootTime,
    decision: &mut Decision,
) {
    if seen.ending.is_some() {
        return decision.act(Action::Settle);
    }
    let (true, Some(ttl), Some(finished)) = (
        phase.is_finished(),
        spec.ttl_after_finished_s,
        seen.finished_at,
    ) else {
        return;
    };
    let over = finished.boot + Duration::from_secs(ttl.into());
    if over > now {
        decision.at(over);
    } else {
        decision.act(Action::End {
            cause: Cause::Delete,
            grace: Duration::ZERO,
        });
    }
}

pub(super) fn removing(seen: &Seen, now: BootTime, decision: &mut Decision) {
    if seen.sandbox.state == SandboxState::Removing {
        return;
    }
    match seen.sandbox.retry.wait(now) {
        Some(at) => decision.at(at),
        None => decision.act(Action::Remove),
    }
}

/// What its containers have come to, if that is the end.
fn outcome(spec: &GroupSpec, seen: &Seen) -> Option<Cause> {
    if together::is_due(spec, seen) {
        // Ends that are brought about are no outcome.
        return None;
    }
    if is_completed(spec, seen) {
        return Some(Cause::Completed);
    }
    has_failed_init(spec, seen).then_some(Cause::InitFailed)
}

/// Every main container has ended and will not be started again.
fn is_completed(spec: &GroupSpec, seen: &Seen) -> bool {
    seen.mains().all(|c| is_done(spec, c))
}

/// An init container has failed and will not be started again.
fn has_failed_init(spec: &GroupSpec, seen: &Seen) -> bool {
    let failed = |c: &ContainerSeen| {
        let badly = matches!(&c.run, Run::Ended(exit) if !exit.success());
        c.kind == ContainerKind::Init && badly && is_done(spec, c)
    };
    !seen.has_run_main() && seen.containers.iter().any(failed)
}

pub(crate) fn is_done(spec: &GroupSpec, container: &ContainerSeen) -> bool {
    match &container.run {
        Run::Ended(exit) => restart_at(spec, container, exit).is_none(),
        Run::Waiting | Run::Starting { .. } | Run::Running(_) => false,
    }
}
