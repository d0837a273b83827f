//! Something was learnt: the outcome of an effect, or what happened in the sandbox.
//!
//! An outcome of a run, pull or launch that is over is ignored: each carries the number of what
//! it belongs to.

use burstlet_model::spec::GroupSpec;
use burstlet_model::status::{ImagePull, Severity};
use burstlet_model::{ErrorKind, Stamp};

use super::{ImageState, Outcome, SandboxState, Seen, Stage};
use crate::backoff::{self, Retry, Trouble};
use crate::host::{HostError, Pulled, Sandbox};

impl Seen {
    /// Takes note of what was learnt.
    pub(crate) fn apply(&mut self, spec: &GroupSpec, outcome: Outcome, now: Stamp) {
        match outcome {
            Outcome::Adopted(result) => self.adopted(spec, result, now),
            Outcome::Pulled {
                launch,
                image,
                result,
            } if launch == self.launch => self.pulled(image, result, now),
            Outcome::Pulled { .. } => {}
            Outcome::Sandbox(result) => self.sandbox(result, now),
            Outcome::Renewed(result) => self.renewed(result, now),
            Outcome::Resized(result) => self.resized(spec, result, now),
            Outcome::Started {
                container,
                attempt,
                result,
            } => self.started(spec, (container, attempt), result, now),
            Outcome::PostStart {
                container,
                attempt,
                result,
            } => self.post_started(spec, (container, attempt), result, now),
            Outcome::PreStop {
                container,
                attempt,
                result,
            } => self.pre_stopped((container, attempt), result, now),
            Outcome::Signalled { container, result } => {
                if let Err(error) = result {
                    let text = format!("signal the container: {error}");
                    self.tell_of(container, now, Severity::Warning, "FailedKillPod", &text);
                }
            }
            Outcome::Probed {
                container,
                attempt,
                probe,
                crowded,
                result,
            } => self.probed(spec, (container, attempt, probe), (crowded, result), now),
            Outcome::Exited {
                container,
                attempt,
                exit,
            } => self.exited(spec, (container, attempt), exit, now),
            Outcome::KeeperLost => self.keeper_lost(now),
            Outcome::Evicted { message, grace } => self.evicted = Some((message, grace)),
            Outcome::Warned { reason, message } => {
                self.tell(now, Severity::Warning, reason, &message);
            }
            Outcome::Destroyed(result) => self.destroyed(result, now),
            Outcome::Removed(result) => self.removed(result, now),
        }
        if self.timeline.ready.is_none() && self.stage == Stage::Live && self.is_ready() {
            self.timeline.ready = Some(now);
        }
        self.finish_resize(now);
        self.close_session_if_quiet(now);
    }

    fn pulled(&mut self, index: usize, result: Result<Pulled, HostError>, now: Stamp) {
        let Some(image) = self.images.get_mut(index) else {
            return;
        };
        if image.state != ImageState::Pulling {
            return;
        }
        let name = image.image.familiar();
        match result {
            Ok(pulled) => {
                image.state = ImageState::Here(pulled.manifest);
                image.retry = Retry::default();
                let text = pulled_text(&name, &pulled.took);
                self.timeline.pulls.push(pulled.took);
                let here = |i: &super::ImageSeen| {
                    matches!(i.state, ImageState::Here(_) | ImageState::Dropped)
                };
                if self.images.iter().all(here) {
                    // What is added to a running group later is not part of its launch.
                    self.timeline.pulled.get_or_insert(now);
                }
                self.tell_of_image(index, now, Severity::Normal, "Pulled", &text);
            }
            Err(error) => {
                image.state = ImageState::Wanted;
                image
                    .retry
                    .failed(&backoff::PULL, Trouble::from(&error), now.boot);
                let text = format!("Failed to pull image \"{name}\": {error}");
                self.tell_of_image(index, now, Severity::Warning, "Failed", &text);
                let text = format!("Error: {}", error.reason);
                self.tell_of_image(index, now, Severity::Warning, "Failed", &text);
                let text = format!("Back-off pulling image \"{name}\"");
                self.tell_of_image(index, now, Severity::Normal, "BackOff", &text);
            }
        }
    }

    fn sandbox(&mut self, result: Result<Sandbox, HostError>, now: Stamp) {
        match result {
            Ok(sandbox) => {
                self.sandbox.state = SandboxState::Up;
                self.sandbox.retry = Retry::default();
                self.ip = sandbox.ip;
                self.processors = sandbox.processors;
                self.timeline.sandbox_created = Some(sandbox.created);
                self.timeline.network_ready = Some(sandbox.network_ready);
            }
            Err(error) => {
                let trouble = Trouble::from(&error);
                self.sandbox.state = SandboxState::Broken;
                if is_hopeless(error.kind) {
                    self.sandbox.hopeless = Some(trouble);
                } else {
                    self.sandbox
                        .retry
                        .failed(&backoff::SANDBOX, trouble, now.boot);
                }
                let text = format!("Failed to create the sandbox: {error}");
                self.tell(now, Severity::Warning, "FailedCreatePodSandBox", &text);
            }
        }
    }

    /// Every process is gone that has not been told to have ended.
    pub(super) fn lose_processes(&mut self, at: Stamp) {
        for container in &mut self.containers {
            container.lose(at);
        }
    }

    fn keeper_lost(&mut self, now: Stamp) {
        if self.sandbox.state == SandboxState::Up {
            self.lose_processes(now);
            self.sandbox.state = SandboxState::Lost;
        }
    }

    fn destroyed(&mut self, result: Result<(), HostError>, now: Stamp) {
        match result {
            Ok(()) => {
                self.lose_processes(now);
                self.sandbox.state = SandboxState::Absent;
                self.processors = None;
                self.sandbox.retry = Retry::default();
            }
            Err(error) => {
                self.sandbox.state = SandboxState::Broken;
                self.retry_housekeeping("end the sandbox", &error, now);
            }
        }
    }

    fn removed(&mut self, result: Result<(), HostError>, now: Stamp) {
        self.sandbox.state = SandboxState::Absent;
        self.processors = None;
        match result {
            Ok(()) => self.stage = Stage::Gone,
            Err(error) => self.retry_housekeeping("remove the group", &error, now),
        }
    }

    pub(super) fn retry_housekeeping(&mut self, what: &str, error: &HostError, now: Stamp) {
        let trouble = Trouble::from(error);
        self.sandbox
            .retry
            .failed(&backoff::HOUSEKEEPING, trouble, now.boot);
        let text = format!("Failed to {what}: {error}");
        self.tell(now, Severity::Warning, "FailedKillPod", &text);
    }
}

/// Asking again cannot help: the specification or the machine would have to change.
pub(super) const fn is_hopeless(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::PermissionDenied
    )
}

fn pulled_text(name: &str, took: &ImagePull) -> String {
    if took.bytes == 0 {
        return present_text(name);
    }
    format!(
        "Successfully pulled image \"{name}\" in {:.3}s. Image size: {} bytes.",
        took.duration.as_secs_f64(),
        took.bytes
    )
}

pub(super) fn present_text(name: &str) -> String {
    format!("Container image \"{name}\" already present on machine")
}
