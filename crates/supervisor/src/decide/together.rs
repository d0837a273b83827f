//! One container ended so that all are started again: every other is killed, and once nothing runs
//! any more the group begins with its first init container, in the sandbox that it has.
//!
//! That it is so follows from how the containers ended, which their keeper has written down: an
//! agent that comes in between goes on with it.

use std::time::Duration;

use burstlet_model::BootTime;
use burstlet_model::spec::{ContainerKind, GroupSpec};

use super::{Action, Decision, stop};
use crate::seen::{ContainerSeen, Run, Seen, StopCause, container_spec};

/// Whether one of the containers has ended so since all were last started.
pub(crate) fn is_due(spec: &GroupSpec, seen: &Seen) -> bool {
    let mut all = seen.containers.iter().enumerate();
    all.any(|(index, container)| asks(spec, index, container))
}

/// Whether this one has.
pub(crate) fn asks(spec: &GroupSpec, index: usize, container: &ContainerSeen) -> bool {
    let Run::Ended(exit) = &container.run else {
        return false;
    };
    let belongs = container.kind != ContainerKind::Ephemeral;
    belongs && container_spec(spec, index).is_some_and(|own| own.restarts_all(exit.code))
}

/// Nobody is asked to end: as on a kubelet there is no hook, no signal and no grace. Ephemeral
/// containers have no part in it.
pub(super) fn go_on(seen: &Seen, now: BootTime, decision: &mut Decision) {
    let mut is_quiet = true;
    for (container, state) in seen.containers.iter().enumerate() {
        if state.kind == ContainerKind::Ephemeral {
            continue;
        }
        is_quiet &= matches!(state.run, Run::Waiting | Run::Ended(_));
        let Some(running) = state.running() else {
            continue;
        };
        match &running.stopping {
            Some(stopping) if stopping.at_once => {
                stop::go_on(seen, (container, stopping), now, decision);
            }
            _ => decision.act(Action::Stop {
                container,
                cause: StopCause::Together,
                grace: Duration::ZERO,
            }),
        }
    }
    if is_quiet {
        decision.act(Action::BeginAgain);
    }
}
