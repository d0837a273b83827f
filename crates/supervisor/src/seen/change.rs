//! The specification of a group that stands was changed.

use burstlet_model::Stamp;
use burstlet_model::spec::GroupSpec;
use burstlet_model::status::Severity;

use super::apply::present_text;
use super::{ImageSeen, ImageState, SandboxState, Seen, container, container_spec, images};
use crate::backoff::{self, Trouble};
use crate::change::Change;
use crate::host::HostError;

impl Seen {
    /// Takes note that `spec` counts from now on.
    pub(crate) fn change(&mut self, spec: &GroupSpec, change: &Change, now: Stamp) {
        self.renewal.due |= self.sandbox.state == SandboxState::Up;
        let known = self.containers.len();
        if change.added > 0 {
            let all = container::containers(spec, &self.images);
            self.containers.extend(all.into_iter().skip(known));
        }
        if change.added > 0 || !change.images.is_empty() {
            self.change_images(spec);
        }
        for index in &change.images {
            self.note_image(spec, *index);
        }
        for index in known..self.containers.len() {
            self.tell_if_here(index, now);
        }
        if change.resized {
            self.change_resources(spec, now);
        }
    }

    /// Of an image that the group has, nobody else tells: it is not pulled again.
    fn tell_if_here(&mut self, index: usize, now: Stamp) {
        let container = self.containers.get(index);
        let image = container.and_then(|container| self.images.get(container.image));
        let here = image.filter(|image| matches!(image.state, ImageState::Here(_)));
        if let Some(text) = here.map(|image| present_text(&image.image.familiar())) {
            self.tell_of(index, now, Severity::Normal, "Pulled", &text);
        }
    }

    /// Images that nobody asks for any more keep their places, so that the outcome of a pull that
    /// is under way is told apart from those of others.
    fn change_images(&mut self, spec: &GroupSpec) {
        let wanted = images(spec);
        let is_same = |a: &ImageSeen, b: &ImageSeen| a.image == b.image && a.policy == b.policy;
        for known in &mut self.images {
            if !wanted.iter().any(|image| is_same(image, known)) {
                known.state = ImageState::Dropped;
            }
        }
        for image in wanted {
            let is_known =
                |known: &ImageSeen| is_same(known, &image) && known.state != ImageState::Dropped;
            if !self.images.iter().any(is_known) {
                self.images.push(image);
            }
        }
        for ((_, container), seen) in spec.all_containers().zip(&mut self.containers) {
            let is_own = |known: &ImageSeen| {
                known.image == container.image
                    && known.policy == container.pull_policy
                    && known.state != ImageState::Dropped
            };
            seen.image = self.images.iter().position(is_own).unwrap_or_default();
        }
    }

    /// A container that runs, or is about to, is started again with its new image, whatever the
    /// policy says; one that has ended has it when it is started the next time.
    fn note_image(&mut self, spec: &GroupSpec, index: usize) {
        let wanted = container_spec(spec, index).map(|c| &c.image);
        let container = self.containers.get_mut(index);
        let (Some(container), Some(wanted)) = (container, wanted) else {
            return;
        };
        container.retry = backoff::Retry::default();
        container.changed = container.runs_other_than(wanted);
    }

    /// What came of making the volumes' files what they should be.
    pub(super) fn renewed(&mut self, result: Result<(), HostError>, now: Stamp) {
        self.renewal.busy = false;
        let Err(error) = result else {
            self.renewal.retry = backoff::Retry::default();
            return;
        };
        let text = format!("Failed to renew the files of volumes: {error}");
        self.tell(now, Severity::Warning, error.reason, &text);
        if !super::apply::is_hopeless(error.kind) {
            self.renewal.due = true;
            self.renewal
                .retry
                .failed(&backoff::HOUSEKEEPING, Trouble::from(&error), now.boot);
        }
    }
}
