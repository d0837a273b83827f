//! What is seen, as others see it: phase, reasons and container states in Kubernetes' words.

use std::time::Duration;

use burstlet_model::ContainerName;
use burstlet_model::spec::{ContainerKind, GroupSpec};
use burstlet_model::status::{
    ContainerState, ContainerStatus, ExitStatus, GroupStatus, Phase, RESTARTING_ALL,
};

use super::{
    Cause, ContainerSeen, ImageSeen, ImageState, Run, SandboxState, Seen, Stage, Why,
    container_spec,
};
use crate::capacity::Place;
use crate::decide::{restart_at, together};

impl Seen {
    /// The group's status now.
    pub(crate) fn status(&self, spec: &GroupSpec) -> GroupStatus {
        let phase = self.phase();
        let why = self.why();
        let mut init_containers = Vec::new();
        let mut containers = Vec::new();
        let mut ephemeral_containers = Vec::new();
        for (index, container) in self.containers.iter().enumerate() {
            let status = self.container_status(spec, index, container);
            match container.kind {
                ContainerKind::Main => containers.push(status),
                ContainerKind::Init | ContainerKind::Sidecar => init_containers.push(status),
                ContainerKind::Ephemeral => ephemeral_containers.push(status),
            }
        }
        self.await_each_other(spec, init_containers.iter_mut().chain(&mut containers));
        // Statuses are kept in thousands: each list is as long as it has to be.
        for list in [
            &mut init_containers,
            &mut containers,
            &mut ephemeral_containers,
        ] {
            list.shrink_to_fit();
        }
        GroupStatus {
            desired: self.desired,
            phase,
            reason: why.reason,
            message: why.message,
            queue_position: match self.place {
                Some(Place::Waiting { position, .. }) => Some(position),
                Some(Place::Admitted | Place::Outbid) | None => None,
            },
            ip: self.ip,
            initialized: self.is_initialized(),
            ready: self.stage == Stage::Live && self.is_ready(),
            init_containers,
            containers,
            ephemeral_containers,
            created_at: self.created_at,
            finished_at: self.finished_at,
            timeline: self.timeline.clone(),
            sessions: self.sessions.clone(),
            resources: self.group_resources(),
            resize: self.resize(),
            lease: self.lease.clone(),
            processors: self.processors.clone(),
        }
    }

    /// While all are about to begin again, whatever has ended waits for the others.
    fn await_each_other<'s>(
        &self,
        spec: &GroupSpec,
        lasting: impl Iterator<Item = &'s mut ContainerStatus>,
    ) {
        let goes_on = self.stage == Stage::Live && self.ending.is_none();
        if goes_on && together::is_due(spec, self) {
            lasting.for_each(await_the_others);
        }
    }

    /// Where the group is. A launch that runs never goes back to pending, and a group that is
    /// finished stays so until it is started again.
    pub(crate) fn phase(&self) -> Phase {
        match (self.stage, self.ending.as_ref().map(|ending| &ending.cause)) {
            (Stage::Removing | Stage::Gone, _) | (_, Some(Cause::Delete)) => Phase::Terminating,
            (_, Some(Cause::Stop | Cause::Restart)) => Phase::Stopping,
            (Stage::Resting(phase), _) => phase,
            (Stage::Queued, _) => Phase::Queued,
            (Stage::Live, _) => match self.mains().all(|c| c.ran) {
                true => Phase::Running,
                false => Phase::Pending,
            },
        }
    }

    /// The number of the latest run begun of each container, in the order of the status. What a
    /// record must hold, where the status counts only runs that came to be.
    pub(crate) fn attempts(&self) -> impl Iterator<Item = u32> {
        self.containers.iter().map(|c| c.attempt.unwrap_or(0))
    }

    fn why(&self) -> Why {
        if !self.why.reason.is_empty() {
            return self.why.clone();
        }
        if let Some(Place::Waiting { why, .. }) = &self.place {
            return Why {
                reason: why.reason(),
                message: why.message(),
            };
        }
        let word = match self.sandbox.state {
            SandboxState::Unknown | SandboxState::Adopting => "AdoptFailed",
            SandboxState::Absent | SandboxState::Removing => "RemoveFailed",
            _ if self.ending.is_some() => "FailedKillPod",
            _ => "FailedCreatePodSandBox",
        };
        let trouble = self.sandbox.retry.trouble.as_ref();
        trouble.map_or_else(Why::default, |trouble| Why {
            reason: word.to_owned(),
            message: trouble.message.clone(),
        })
    }

    fn container_status(
        &self,
        spec: &GroupSpec,
        index: usize,
        container: &ContainerSeen,
    ) -> ContainerStatus {
        let (state, last_exit) = self.container_state(spec, container);
        let ran = container.ran_image.as_ref();
        let ran = ran.filter(|_| !matches!(container.run, Run::Waiting));
        let image = ran.or_else(|| container_spec(spec, index).map(|c| &c.image));
        let pulled = self
            .images
            .get(container.image)
            .and_then(|i| match &i.state {
                ImageState::Here(digest) => Some(digest),
                ImageState::Wanted | ImageState::Pulling | ImageState::Dropped => None,
            });
        let begun = container.attempt.unwrap_or(0);
        ContainerStatus {
            name: container.name.clone(),
            image: image.map(ToString::to_string).unwrap_or_default(),
            image_digest: container.digest.as_ref().or(pulled).cloned(),
            state,
            last_exit,
            // A run that is being started does not count yet: should it fail, the count would fall.
            restart_count: match container.run {
                Run::Starting { .. } => begun.saturating_sub(1),
                _ => begun,
            },
            started: container.is_started(),
            ready: container.is_ready(),
            user: container.user.clone(),
            resources: Some(container.resources),
        }
    }

    fn container_state(
        &self,
        spec: &GroupSpec,
        container: &ContainerSeen,
    ) -> (ContainerState, Option<ExitStatus>) {
        let before = container.last_exit.clone();
        match &container.run {
            Run::Running(running) => {
                let state = ContainerState::Running {
                    started_at: running.started.started,
                    pid: running.started.pid,
                };
                (state, before)
            }
            Run::Starting { .. } if container.in_round => (crash_loop(spec, container), before),
            Run::Waiting | Run::Starting { .. } => (self.waiting(container), before),
            // It is not over: it waits for its new image.
            Run::Ended(exit) if container.changed && self.ending.is_none() => {
                (self.waiting(container), Some(exit.clone()))
            }
            Run::Ended(exit) => {
                let live = self.stage == Stage::Live && self.ending.is_none();
                let restart = restart_at(spec, container, exit).filter(|_| live);
                match restart {
                    Some(at) if at > exit.finished_at.boot => {
                        (crash_loop(spec, container), Some(exit.clone()))
                    }
                    _ => (ContainerState::Terminated(exit.clone()), before),
                }
            }
        }
    }

    /// Why a container that has not run waits.
    fn waiting(&self, container: &ContainerSeen) -> ContainerState {
        // Nothing starts before the sandbox stands, and that waits for what volumes show.
        let mut in_volumes = self.images.iter().filter(|image| image.in_volume);
        let own = self.images.get(container.image);
        let pull = own.and_then(waiting_for_image);
        let pull = pull.or_else(|| in_volumes.find_map(waiting_for_image));
        let start = container.retry.trouble.as_ref();
        let start = start.map(|t| (t.reason.clone(), t.message.clone()));
        let (reason, message) = pull.or(start).unwrap_or_else(|| {
            let init = |c: &ContainerSeen| c.kind == ContainerKind::Init;
            let word = match self.containers.iter().any(init) {
                true => "PodInitializing",
                false => "ContainerCreating",
            };
            (word.to_owned(), String::new())
        });
        ContainerState::Waiting { reason, message }
    }
}

/// `ErrImagePull` while it is tried again, `ImagePullBackOff` between tries; other reasons as they
/// are.
fn waiting_for_image(image: &ImageSeen) -> Option<(String, String)> {
    let trouble = image.retry.trouble.as_ref()?;
    match (&image.state, trouble.reason.as_str()) {
        (ImageState::Here(_) | ImageState::Dropped, _) => None,
        (ImageState::Wanted, "ErrImagePull") => {
            let name = image.image.familiar();
            let text = format!(
                "Back-off pulling image \"{name}\": ErrImagePull: {}",
                trouble.message
            );
            Some(("ImagePullBackOff".to_owned(), text))
        }
        (ImageState::Wanted | ImageState::Pulling, reason) => {
            Some((reason.to_owned(), trouble.message.clone()))
        }
    }
}

fn crash_loop(spec: &GroupSpec, container: &ContainerSeen) -> ContainerState {
    let failures = match container.run {
        // The restart that the wait led to is counted already.
        Run::Starting { .. } => container.failures.saturating_sub(1),
        _ => container.failures,
    };
    let wait = crate::backoff::delay(&spec.backoff, failures);
    ContainerState::Waiting {
        reason: "CrashLoopBackOff".to_owned(),
        message: back_off_text(spec, &container.name, wait),
    }
}

pub(super) fn back_off_text(spec: &GroupSpec, container: &ContainerName, wait: Duration) -> String {
    let (wait, group) = (wait.as_secs(), &spec.name);
    format!("back-off {wait}s restarting failed container={container} group={group}")
}

/// Its end is not the last: it is started again as soon as all others have ended.
fn await_the_others(status: &mut ContainerStatus) {
    if let ContainerState::Terminated(exit) = &status.state {
        status.last_exit = Some(exit.clone());
    }
    if !status.state.is_running() {
        status.state = ContainerState::Waiting {
            reason: RESTARTING_ALL.to_owned(),
            message: "all containers of the group are being started again".to_owned(),
        };
    }
}
