//! Waits between tries. Every retry in this crate takes its wait from here.

use std::time::Duration;

use burstlet_model::BootTime;
use burstlet_model::spec::Backoff;

use crate::host::HostError;

/// Between tries to get an image (Kubernetes' values).
pub(crate) const PULL: Backoff = every(10, 300);
/// Between tries to set a sandbox up.
pub(crate) const SANDBOX: Backoff = every(1, 60);
/// Between tries to create a container that has not run yet.
pub(crate) const CREATE: Backoff = every(2, 60);
/// Between tries to take over, to end and to remove what is on the host.
pub(crate) const HOUSEKEEPING: Backoff = every(1, 60);

const fn every(initial_s: u64, max_s: u64) -> Backoff {
    Backoff {
        initial: Duration::from_secs(initial_s),
        max: Duration::from_secs(max_s),
        reset_after: Duration::from_secs(2 * max_s),
    }
}

/// The wait after `failures` in a row: none after none, then `initial`, doubling up to `max`.
pub(crate) fn delay(backoff: &Backoff, failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    let factor = 2u32.saturating_pow(doublings);
    backoff.initial.saturating_mul(factor).min(backoff.max)
}

/// Something that is tried until it succeeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retry {
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Not to be tried again before.
    pub(crate) not_before: Option<BootTime>,
    /// Why it failed the last time.
    pub(crate) trouble: Option<Trouble>,
}

/// Why something failed: a stable word, and the story for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl From<&HostError> for Trouble {
    fn from(error: &HostError) -> Self {
        Self {
            reason: error.reason.to_owned(),
            message: error.message.clone(),
        }
    }
}

impl Retry {
    pub(crate) fn failed(&mut self, backoff: &Backoff, trouble: Trouble, now: BootTime) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + delay(backoff, self.failures));
        self.trouble = Some(trouble);
    }

    /// When it may be tried again, if that is still to come.
    pub(crate) fn wait(&self, now: BootTime) -> Option<BootTime> {
        self.not_before.filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_largest() {
        let steps = [0, 10, 20, 40, 80, 160, 300, 300];
        for (failures, seconds) in (0u32..).zip(steps) {
            let wait = delay(&Backoff::default(), failures);
            assert_eq!(wait, Duration::from_secs(seconds), "after {failures}");
        }
        assert_eq!(
            delay(&Backoff::default(), u32::MAX),
            Duration::from_secs(300)
        );
    }
}
