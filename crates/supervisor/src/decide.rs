//! What to do next: a pure function of the specification, what is seen, and the time.
//!
//! The loop carries the actions out and asks again, until there are none; then it sleeps until
//! something is learnt or `wake_at` has come. Nothing here waits, and nothing here changes state.
//!
//! The rules are a kubelet's: images and sandbox first, init containers and sidecars in order,
//! main containers one after the other (a postStart hook delays the next), each restarted by
//! policy and back-off, probed, and at the end stopped in the order that sidecars ask for.

mod end;
mod launch;
mod probes;
mod stop;
pub(crate) mod together;

use std::time::Duration;

use burstlet_model::BootTime;
use burstlet_model::spec::GroupSpec;

pub(crate) use end::{is_done, outbid_grace};
pub(crate) use launch::restart_at;

use crate::capacity::Place;
use crate::seen::{Cause, ProbeKind, SandboxState, Seen, Stage, StopCause};

/// What the loop should do now, and when it should ask again at the latest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) actions: Vec<Action>,
    pub(crate) wake_at: Option<BootTime>,
}

/// One step. Those that need the machine are carried out by the loop; the others only change what
/// is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Take the room that was found; the session opens.
    Admit,
    Adopt,
    Pull {
        image: usize,
    },
    CreateSandbox,
    /// Make the volumes' files what they should be now.
    Renew,
    /// Make the cgroups what they should be now.
    Resize,
    Start {
        container: usize,
        attempt: u32,
    },
    PostStart {
        container: usize,
    },
    /// Begin to stop one container.
    Stop {
        container: usize,
        cause: StopCause,
        grace: Duration,
    },
    PreStop {
        container: usize,
        timeout: Duration,
    },
    Signal {
        container: usize,
    },
    Kill {
        container: usize,
    },
    Probe {
        container: usize,
        probe: ProbeKind,
    },
    /// Begin to end the group.
    End {
        cause: Cause,
        grace: Duration,
    },
    /// Nothing runs any more: all containers wait for their turn as at first.
    BeginAgain,
    DestroySandbox,
    /// Come to rest, or begin anew, or go on to be removed: as the ending's cause says.
    Settle,
    Remove,
}

impl Decision {
    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Asks again at `at`, if not before.
    fn at(&mut self, at: BootTime) {
        self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at)));
    }
}

/// Judges.
pub(crate) fn next(spec: &GroupSpec, seen: &Seen, now: BootTime) -> Decision {
    let mut decision = Decision::default();
    match seen.stage {
        Stage::Queued => queued(seen, &mut decision),
        Stage::Live => live(spec, seen, now, &mut decision),
        Stage::Resting(phase) => end::resting(spec, seen, phase, now, &mut decision),
        Stage::Removing => end::removing(seen, now, &mut decision),
        Stage::Gone => {}
    }
    decision
}

fn queued(seen: &Seen, decision: &mut Decision) {
    if seen.ending.is_some() {
        return decision.act(Action::Settle);
    }
    match seen.place {
        Some(Place::Admitted) => decision.act(Action::Admit),
        // It had room for a moment, and nothing of it has begun.
        Some(Place::Outbid) => decision.act(Action::End {
            cause: Cause::SpotEvicted,
            grace: Duration::ZERO,
        }),
        Some(Place::Waiting { .. }) | None => {}
    }
}

fn live(spec: &GroupSpec, seen: &Seen, now: BootTime, decision: &mut Decision) {
    match seen.sandbox.state {
        SandboxState::Adopting => return,
        SandboxState::Unknown => return adopt(seen, now, decision),
        _ => {}
    }
    if let Some(ending) = &seen.ending {
        // What would be started again has no room any more.
        return match ending.cause == Cause::Restart && seen.place == Some(Place::Outbid) {
            true => decision.act(end::outbid(spec)),
            false => end::wind_down(spec, seen, now, decision),
        };
    }
    if let Some((cause, grace)) = end::due(spec, seen, now, decision) {
        return decision.act(Action::End { cause, grace });
    }
    match together::is_due(spec, seen) {
        true => together::go_on(seen, now, decision),
        false => launch::go_on(spec, seen, now, decision),
    }
}

/// Until it is known what an earlier agent left, nothing is done to the group, except that a group
/// that shall go may go: destroying needs no knowledge.
fn adopt(seen: &Seen, now: BootTime, decision: &mut Decision) {
    let ending = seen.ending.as_ref();
    let shall_go = ending.is_some_and(|ending| ending.cause == Cause::Delete);
    match seen.sandbox.retry.wait(now) {
        _ if shall_go && seen.sandbox.retry.failures > 0 => decision.act(Action::DestroySandbox),
        Some(at) => decision.at(at),
        None => decision.act(Action::Adopt),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod simulation;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
