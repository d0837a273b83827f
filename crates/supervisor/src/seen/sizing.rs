//! The resources of a group: what it has, and what it is being given.
//!
//! A container has what its latest run began with, until the host says that its cgroup was changed;
//! one that does not run has what the specification says. What is billed follows from that, so that
//! it changes when the cgroups do and not when somebody asks.

use burstlet_model::Stamp;
use burstlet_model::metering::Allocated;
use burstlet_model::spec::{ContainerKind, ContainerSpec, GroupSpec, Resources};
use burstlet_model::status::{Resize, Severity};

use super::{ContainerSeen, Run, SandboxState, Seen, Stage, container_spec};
use crate::backoff::{self, Retry, Trouble};
use crate::host::{HostError, Resized};

/// What the cgroups of a group are made to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sizing {
    /// They are not what the specification says.
    pub(crate) due: bool,
    /// They are being changed.
    pub(crate) busy: Option<Sizes>,
    pub(crate) retry: Retry,
    /// Somebody asked for the change, and is told when it is done.
    asked: bool,
    /// What the group has as a whole.
    group: Option<Resources>,
    /// What is set aside for the group, and since when.
    pub(crate) allocated: Allocated,
    pub(crate) since: Stamp,
}

/// What a change gives.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    group: Option<Resources>,
    containers: Vec<ContainerSize>,
}

/// What it gives to one run of a container.
#[derive(Clone, Debug)]
struct ContainerSize {
    index: usize,
    attempt: Option<u32>,
    resources: Resources,
}

impl Sizing {
    /// Of a group that has what it asks for.
    pub(super) fn new(spec: &GroupSpec, since: Stamp) -> Self {
        Self {
            group: spec.resources,
            allocated: spec.requested().into(),
            since,
            ..Self::default()
        }
    }
}

impl Seen {
    /// Takes note that `spec` has other resources than before.
    pub(super) fn change_resources(&mut self, spec: &GroupSpec, now: Stamp) {
        for (container, (_, wanted)) in self.containers.iter_mut().zip(spec.all_containers()) {
            container.changed |= container.must_restart_for(wanted);
            if !container.holds_resources() {
                container.resources = wanted.resources;
            }
        }
        let gone = matches!(
            self.sandbox.state,
            SandboxState::Absent | SandboxState::Vanished
        );
        if self.stage == Stage::Live && !gone {
            self.sizing.due = true;
            self.sizing.asked = true;
            self.sizing.retry = Retry::default();
            self.tell(now, Severity::Normal, "ResizeStarted", "Pod resize started");
        } else {
            self.sizing.group = spec.resources;
        }
        self.settle_allocated(spec, now);
    }

    /// An earlier agent may have gone between a change and what follows from it.
    pub(super) fn restore_resources(&mut self, spec: &GroupSpec, group: Option<Resources>) {
        self.sizing.group = group;
        for (container, (_, wanted)) in self.containers.iter_mut().zip(spec.all_containers()) {
            container.changed |= container.must_restart_for(wanted);
        }
        let differs = |(container, wanted): (&ContainerSeen, &ContainerSpec)| {
            container.resources != wanted.resources
        };
        let wanted = spec.all_containers().map(|(_, container)| container);
        self.sizing.due =
            group != spec.resources || self.containers.iter().zip(wanted).any(differs);
        self.sizing.asked = self.sizing.due;
        self.settle_allocated(spec, self.sizing.since);
    }

    /// The cgroups are being made what `spec` says.
    pub(super) fn begin_resize(&mut self, spec: &GroupSpec) {
        let all = self.containers.iter().enumerate();
        let running = all.filter(|(_, container)| container.running().is_some());
        let containers = running.filter_map(|(index, container)| {
            Some(ContainerSize {
                index,
                attempt: container.attempt,
                resources: container_spec(spec, index)?.resources,
            })
        });
        self.sizing.due = false;
        self.sizing.busy = Some(Sizes {
            group: spec.resources,
            containers: containers.collect(),
        });
    }

    /// What came of it: when the cgroups were changed.
    pub(super) fn resized(
        &mut self,
        spec: &GroupSpec,
        result: Result<Resized, HostError>,
        now: Stamp,
    ) {
        let Some(sizes) = self.sizing.busy.take() else {
            return;
        };
        match result {
            Ok(Resized { at, processors }) => {
                self.processors = processors;
                self.sizing.retry = Retry::default();
                self.sizing.group = sizes.group;
                for size in sizes.containers {
                    let container = self.containers.get_mut(size.index);
                    let same_run = container.filter(|c| c.attempt == size.attempt);
                    if let Some(container) = same_run {
                        container.resources = size.resources;
                    }
                }
                self.settle_allocated(spec, at);
            }
            Err(error) => {
                let trouble = Trouble::from(&error);
                self.sizing.due = true;
                self.sizing
                    .retry
                    .failed(&backoff::HOUSEKEEPING, trouble, now.boot);
                let text = format!("Pod resize error: {error}");
                self.tell(now, Severity::Warning, "ResizeError", &text);
            }
        }
    }

    /// Tells whoever asked that everything has what it was to have.
    pub(super) fn finish_resize(&mut self, now: Stamp) {
        let sizing = &self.sizing;
        let is_under_way = sizing.due
            || sizing.busy.is_some()
            || self.containers.iter().any(|container| container.changed);
        if sizing.asked && !is_under_way {
            self.sizing.asked = false;
            let text = "Pod resize completed";
            self.tell(now, Severity::Normal, "ResizeCompleted", text);
        }
    }

    /// A run of a container begins, with what the specification says.
    pub(super) fn begin_with_resources(&mut self, spec: &GroupSpec, index: usize, now: Stamp) {
        let wanted = container_spec(spec, index).map(|wanted| wanted.resources);
        if let (Some(container), Some(wanted)) = (self.containers.get_mut(index), wanted)
            && container.resources != wanted
        {
            container.resources = wanted;
            self.settle_allocated(spec, now);
        }
    }

    /// Nothing runs that has anything but what the specification says.
    pub(super) fn size_anew(&mut self, spec: &GroupSpec, now: Stamp) {
        self.sizing = Sizing::new(spec, now);
        for (container, (_, wanted)) in self.containers.iter_mut().zip(spec.all_containers()) {
            container.resources = wanted.resources;
        }
    }

    /// How it stands with what somebody asked for.
    pub(super) fn resize(&self) -> Option<Resize> {
        let lives = self.stage == Stage::Live && self.ending.is_none();
        let trouble = self.sizing.retry.trouble.as_ref();
        (self.sizing.asked && lives).then(|| match trouble {
            Some(trouble) => Resize::Failed(trouble.message.clone()),
            None => Resize::InProgress,
        })
    }

    /// What the group has as a whole.
    pub(super) const fn group_resources(&self) -> Option<Resources> {
        self.sizing.group
    }

    fn settle_allocated(&mut self, spec: &GroupSpec, at: Stamp) {
        let has = |index: usize, wanted: &ContainerSpec| {
            let container = self.containers.get(index);
            container.map_or(wanted.resources, |container| container.resources)
        };
        let allocated = spec.requested_with(self.sizing.group, has).into();
        if self.sizing.allocated != allocated {
            self.sizing.allocated = allocated;
            self.sizing.since = at;
        }
    }
}

impl ContainerSeen {
    /// It runs, or is being started, and has what it has.
    const fn holds_resources(&self) -> bool {
        matches!(self.run, Run::Starting { .. } | Run::Running(_))
    }

    /// It cannot be given what `wanted` says while it runs. An init container that runs to its end
    /// is not started again for it.
    fn must_restart_for(&self, wanted: &ContainerSpec) -> bool {
        let policy = wanted.resize_policy;
        self.holds_resources()
            && self.kind != ContainerKind::Init
            && policy.restarts(&self.resources, &wanted.resources)
    }
}
