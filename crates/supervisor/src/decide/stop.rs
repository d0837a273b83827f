//! How one container is stopped: preStop hook, its turn, stop signal, SIGKILL.
//!
//! ```text
//! preStop ─► (turn) ─► signal ──────────────► SIGKILL, again and again
//!    └────────┴─ deadline ─┘   deadline, but
//!                              2 s after the signal at least
//! ```

use std::time::Duration;

use burstlet_model::BootTime;
use burstlet_model::spec::ContainerKind;

use super::{Action, Decision};
use crate::seen::{ContainerSeen, Run, Seen, Step, StopCause, Stopping, TERM_TO_KILL_MIN};

/// A container that outlives SIGKILL is killed again this often.
const KILL_AGAIN: Duration = Duration::from_secs(10);

pub(super) fn go_on(
    seen: &Seen,
    (container, stopping): (usize, &Stopping),
    now: BootTime,
    decision: &mut Decision,
) {
    let late = now >= stopping.deadline;
    if stopping.at_once || stopping.killed.is_some() {
        return kill((container, stopping), now, decision);
    }
    match (stopping.signalled, stopping.pre_stop) {
        (Some(signalled), _) => {
            let last = stopping.deadline.max(signalled + TERM_TO_KILL_MIN);
            if now >= last {
                kill((container, stopping), now, decision);
            } else {
                decision.at(last);
            }
        }
        (None, Step::Due) if !late => decision.act(Action::PreStop {
            container,
            timeout: stopping.deadline.since(now),
        }),
        (None, Step::Busy) if !late => decision.at(stopping.deadline),
        (None, _) if late || is_turn(seen, container, stopping.cause) => {
            decision.act(Action::Signal { container });
        }
        (None, _) => decision.at(stopping.deadline),
    }
}

fn kill((container, stopping): (usize, &Stopping), now: BootTime, decision: &mut Decision) {
    match stopping.killed.map(|killed| killed + KILL_AGAIN) {
        Some(again) if again > now => decision.at(again),
        _ => decision.act(Action::Kill { container }),
    }
}

/// When the group ends, a sidecar gets its signal after all others but the sidecars before it.
fn is_turn(seen: &Seen, index: usize, cause: StopCause) -> bool {
    let kind = seen.containers.get(index).map(|c| c.kind);
    if cause != StopCause::Group || kind != Some(ContainerKind::Sidecar) {
        return true;
    }
    let ended = |c: &ContainerSeen| matches!(c.run, Run::Waiting | Run::Ended(_));
    let others = seen.containers.iter().enumerate();
    others
        .filter(|(i, c)| c.kind != ContainerKind::Sidecar || *i > index)
        .all(|(_, c)| ended(c))
}
