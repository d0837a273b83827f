//! Which probe is tried when, and what a failed one leads to.

use std::time::Duration;

use burstlet_model::BootTime;
use burstlet_model::spec::{GroupSpec, Probe};

use super::{Action, Decision, end};
use crate::seen::{ProbeKind, ProbeSeen, Running, Seen, Step, StopCause, container_spec};

/// The startup probe gates the others. Whoever is on his way out is only asked whether he is
/// ready: that he no longer lives is no news.
pub(super) fn go_on(
    spec: &GroupSpec,
    seen: &Seen,
    (container, running): (usize, &Running),
    now: BootTime,
    decision: &mut Decision,
) {
    let Some(container_spec) = container_spec(spec, container) else {
        return;
    };
    if running.post_start != Step::Done {
        return;
    }
    let leaving = running.stopping.is_some() || seen.ending.is_some();
    for kind in ProbeKind::ALL {
        let applies = match kind {
            ProbeKind::Startup => !running.is_started() && !leaving,
            ProbeKind::Liveness => running.is_started() && !leaving,
            ProbeKind::Readiness => running.is_started(),
        };
        let (true, Some(probe), Some(state)) =
            (applies, kind.of(container_spec), running.probe(kind))
        else {
            continue;
        };
        if let Some(cause) = failed(kind, state) {
            let grace = grace(spec, probe);
            let stop = Action::Stop {
                container,
                cause,
                grace,
            };
            return decision.act(stop);
        }
        match state {
            ProbeSeen { busy: true, .. } => {}
            ProbeSeen { due, .. } if *due > now => decision.at(*due),
            _ => decision.act(Action::Probe {
                container,
                probe: kind,
            }),
        }
    }
}

const fn failed(kind: ProbeKind, state: &ProbeSeen) -> Option<StopCause> {
    match (kind, state.verdict) {
        (ProbeKind::Startup, Some(false)) => Some(StopCause::Startup),
        (ProbeKind::Liveness, Some(false)) => Some(StopCause::Liveness),
        _ => None,
    }
}

fn grace(spec: &GroupSpec, probe: &Probe) -> Duration {
    let own = probe.termination_grace_period_s;
    own.map_or_else(|| end::grace(spec), |s| Duration::from_secs(s.into()))
}
