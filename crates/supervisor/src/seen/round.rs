//! A launch in rounds: all containers of a group begin again together, where it stands.
//!
//! A run is of the round that goes on if it ended after the moment at which that began. Runs of a
//! round before are history: they hold nobody up, and nobody passes because of them.

use burstlet_model::Stamp;
use burstlet_model::spec::{ContainerKind, ContainerSpec, GroupSpec};
use burstlet_model::status::Severity;

use super::publish::back_off_text;
use super::{ContainerSeen, Run, Seen, container_spec};
use crate::backoff::{self, Retry, Trouble};
use crate::host::AdoptedState;

/// When what goes on now began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    /// The launch.
    pub(super) launch: Option<Stamp>,
    /// Its latest round, if it is not the first.
    pub(super) round: Option<Stamp>,
}

impl Begun {
    /// Whether what ended then is of this launch.
    pub(super) fn in_launch(self, ended: Stamp) -> bool {
        self.launch.is_some_and(|begun| ended >= begun)
    }

    /// Whether it is of its latest round.
    pub(super) fn in_round(self, ended: Stamp) -> bool {
        self.in_launch(ended) && !is_history(self.round, ended)
    }
}

/// Whether what ended then is of a round before the one that began at `round`.
fn is_history(round: Option<Stamp>, ended: Stamp) -> bool {
    round.is_some_and(|begun| ended <= begun)
}

impl Seen {
    /// Nothing runs any more: all wait for their turn as they did at first.
    pub(super) fn begin_again(&mut self, spec: &GroupSpec, now: Stamp) {
        self.timeline.begun_again = Some(now);
        let text = "All containers are started again, as a restart rule of one asks for";
        self.tell(now, Severity::Normal, "RestartingAllContainers", text);
        for (index, container) in self.containers.iter_mut().enumerate() {
            if let Some(own) = container_spec(spec, index) {
                container.begin_again(spec, own);
            }
        }
    }
}

impl ContainerSeen {
    /// Whether what its keeper tells of it is of a round before the one that began at `round`.
    pub(super) fn has_begun_again(&self, round: Option<Stamp>, told: &AdoptedState) -> bool {
        let AdoptedState::Exited(exit) = told else {
            return false;
        };
        self.kind != ContainerKind::Ephemeral && is_history(round, exit.finished_at)
    }

    fn begin_again(&mut self, spec: &GroupSpec, own: &ContainerSpec) {
        if self.kind == ContainerKind::Ephemeral {
            return;
        }
        self.in_round = false;
        if let Run::Ended(exit) = std::mem::replace(&mut self.run, Run::Waiting) {
            self.last_exit = Some(exit);
            self.hold_back(spec, own);
        }
    }

    /// The one that asked for it begins after its back-off, as after any end: that bounds how often
    /// all can be started again. The others have not failed.
    pub(super) fn hold_back(&mut self, spec: &GroupSpec, own: &ContainerSpec) {
        let exit = self.last_exit.as_ref();
        let Some(exit) = exit.filter(|exit| own.restarts_all(exit.code)) else {
            return;
        };
        let wait = backoff::delay(&spec.backoff, self.failures);
        if !wait.is_zero() {
            self.retry = Retry {
                failures: 0,
                not_before: Some(exit.finished_at.boot + wait),
                trouble: Some(Trouble {
                    reason: "CrashLoopBackOff".to_owned(),
                    message: back_off_text(spec, &self.name, wait),
                }),
            };
        }
        self.failures = self.failures.saturating_add(1);
    }
}
