//! From admission to a running group, and on: pulls, sandbox, starts and restarts.

use burstlet_model::BootTime;
use burstlet_model::spec::{ContainerKind, GroupSpec};
use burstlet_model::status::ExitStatus;

use super::{Action, Decision, probes, stop};
use crate::backoff;
use crate::seen::{ContainerSeen, ImageState, Run, Running, SandboxState, Seen, Step, StopCause};

pub(super) fn go_on(spec: &GroupSpec, seen: &Seen, now: BootTime, decision: &mut Decision) {
    pull(seen, now, decision);
    create_sandbox(seen, now, decision);
    if seen.sandbox.state == SandboxState::Up {
        renew(seen, now, decision);
        resize(seen, now, decision);
        start(spec, seen, now, decision);
        for (index, container) in seen.containers.iter().enumerate() {
            if let Some(running) = container.running() {
                tend(spec, seen, (index, running), now, decision);
            }
        }
    }
}

/// When a container that ended is started again; `None` if it stays as it is.
pub(crate) fn restart_at(
    spec: &GroupSpec,
    container: &ContainerSeen,
    exit: &ExitStatus,
) -> Option<BootTime> {
    let runs_once = container.kind == ContainerKind::Ephemeral;
    if !runs_once && (container.restart_asked || container.changed) {
        return Some(exit.finished_at.boot);
    }
    let mut all = spec.all_containers().map(|(_, own)| own);
    let own = all.find(|own| own.name == container.name);
    let restarts = own.is_some_and(|own| own.restarts(spec.restart_policy, exit.code));
    let again = match container.kind {
        ContainerKind::Sidecar => true,
        ContainerKind::Main => restarts,
        ContainerKind::Init => restarts && !exit.success(),
        ContainerKind::Ephemeral => false,
    };
    let wait = backoff::delay(&spec.backoff, container.failures);
    again.then(|| exit.finished_at.boot + wait)
}

/// All images at once: the slowest decides, not the sum. A launch keeps the manifests it pulled,
/// so that no restart of a container depends on a registry.
fn pull(seen: &Seen, now: BootTime, decision: &mut Decision) {
    for (image, wanted) in seen.images.iter().enumerate() {
        if wanted.state != ImageState::Wanted {
            continue;
        }
        match wanted.retry.wait(now) {
            Some(at) => decision.at(at),
            None => decision.act(Action::Pull { image }),
        }
    }
}

/// Beside the pulls, except for those that a volume shows.
fn create_sandbox(seen: &Seen, now: BootTime, decision: &mut Decision) {
    let mut volumes = seen.images.iter().filter(|image| image.in_volume);
    let wanted = matches!(
        seen.sandbox.state,
        SandboxState::Absent | SandboxState::Broken
    );
    if !wanted || volumes.any(|image| !matches!(image.state, ImageState::Here(_))) {
        return;
    }
    match seen.sandbox.retry.wait(now) {
        Some(at) => decision.at(at),
        None => decision.act(Action::CreateSandbox),
    }
}

/// Volumes whose files changed while the group stands.
fn renew(seen: &Seen, now: BootTime, decision: &mut Decision) {
    let renewal = &seen.renewal;
    if !renewal.due || renewal.busy {
        return;
    }
    match renewal.retry.wait(now) {
        Some(at) => decision.at(at),
        None => decision.act(Action::Renew),
    }
}

/// Other resources for what runs, once everything has ended that must be started again for them,
/// and nothing is being started with those of before.
fn resize(seen: &Seen, now: BootTime, decision: &mut Decision) {
    let sizing = &seen.sizing;
    let is_unsettled = |c: &ContainerSeen| match c.run {
        Run::Starting { .. } => true,
        Run::Running(_) => c.changed,
        Run::Waiting | Run::Ended(_) => false,
    };
    if !sizing.due || sizing.busy.is_some() || seen.containers.iter().any(is_unsettled) {
        return;
    }
    match sizing.retry.wait(now) {
        Some(at) => decision.at(at),
        None => decision.act(Action::Resize),
    }
}

/// A container that was ended for other resources begins after the group has them: it may not have
/// more than the group.
fn waits_for_resize(seen: &Seen, container: &ContainerSeen, now: BootTime) -> bool {
    let sizing = &seen.sizing;
    let is_coming = sizing.due && sizing.retry.wait(now).is_none();
    container.changed && (is_coming || sizing.busy.is_some())
}

/// Starts what may start: init containers and sidecars in order, then the main containers in
/// order. Once a main container has run, init containers are history and sidecars hold nobody up.
/// Ephemeral containers wait for nobody, and nobody for them.
fn start(spec: &GroupSpec, seen: &Seen, now: BootTime, decision: &mut Decision) {
    let has_run_main = seen.has_run_main();
    let mut open = true;
    for (index, container) in seen.containers.iter().enumerate() {
        let blocks = match container.kind {
            ContainerKind::Init => !has_run_main && !container.lets_pass(),
            ContainerKind::Sidecar => !has_run_main && !container.is_started(),
            ContainerKind::Main => is_starting(container) || is_pulled_first(seen, container),
            ContainerKind::Ephemeral => false,
        };
        let may_start = match container.kind {
            ContainerKind::Init => open && blocks,
            ContainerKind::Sidecar => open || container.in_round,
            ContainerKind::Main => open,
            ContainerKind::Ephemeral => true,
        };
        if may_start {
            start_one(spec, seen, (index, container), now, decision);
            // Two main containers never start at once: the order of the specification holds.
            let begun = decision.actions.last().is_some_and(|a| starts(a, index));
            open &= !begun;
        }
        open &= !blocks;
    }
}

fn starts(action: &Action, index: usize) -> bool {
    matches!(action, Action::Start { container, .. } if *container == index)
}

/// Its start or its postStart hook holds up the main containers after it.
fn is_starting(container: &ContainerSeen) -> bool {
    match &container.run {
        Run::Starting { .. } => true,
        Run::Running(running) => matches!(running.post_start, Step::Due | Step::Busy),
        Run::Waiting | Run::Ended(_) => false,
    }
}

/// Its image is being pulled and has not failed yet: those after it wait, so that the order of
/// the specification does not depend on a race. A pull that failed holds nobody up.
fn is_pulled_first(seen: &Seen, container: &ContainerSeen) -> bool {
    let image = seen.images.get(container.image);
    let pulled = image.is_some_and(|image| {
        !matches!(image.state, ImageState::Here(_)) && image.retry.failures == 0
    });
    pulled && matches!(container.run, Run::Waiting)
}

fn start_one(
    spec: &GroupSpec,
    seen: &Seen,
    (index, container): (usize, &ContainerSeen),
    now: BootTime,
    decision: &mut Decision,
) {
    let due = match &container.run {
        Run::Waiting => Some(now),
        Run::Ended(exit) => restart_at(spec, container, exit),
        Run::Starting { .. } | Run::Running(_) => None,
    };
    let image = seen.images.get(container.image);
    let here = image.is_some_and(|image| matches!(image.state, ImageState::Here(_)));
    let (Some(due), true) = (due, here && !waits_for_resize(seen, container, now)) else {
        return;
    };
    let due = container.retry.not_before.map_or(due, |at| at.max(due));
    if due > now {
        return decision.at(due);
    }
    let attempt = container
        .attempt
        .map_or(0, |attempt| attempt.saturating_add(1));
    decision.act(Action::Start {
        container: index,
        attempt,
    });
}

/// Looks after a container that runs while the group does.
fn tend(
    spec: &GroupSpec,
    seen: &Seen,
    (container, running): (usize, &Running),
    now: BootTime,
    decision: &mut Decision,
) {
    if let Some(stopping) = &running.stopping {
        stop::go_on(seen, (container, stopping), now, decision);
    } else if seen.containers.get(container).is_some_and(|c| c.changed) {
        decision.act(Action::Stop {
            container,
            cause: StopCause::Changed,
            grace: super::end::grace(spec),
        });
    } else {
        match running.post_start {
            Step::Due => decision.act(Action::PostStart { container }),
            Step::Failed => decision.act(Action::Stop {
                container,
                cause: StopCause::PostStart,
                grace: super::end::grace(spec),
            }),
            Step::Busy | Step::Done => {}
        }
    }
    probes::go_on(spec, seen, (container, running), now, decision);
}
