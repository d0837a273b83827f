//! How often and how patiently a request is tried again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Requests to one registry for one thing.
pub(super) const ATTEMPTS_MAX: u32 = 5;
/// Requests to one mirror for one thing, before the next host is asked.
const MIRROR_ATTEMPTS_MAX: u32 = 2;
/// However long a registry tells us to wait, we wait no longer.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
const DELAY_FIRST: Duration = Duration::from_millis(200);
const DELAY_MAX: Duration = Duration::from_secs(10);

/// Counts the attempts at one thing and says how long to wait between them.
#[derive(Debug)]
pub(super) struct Attempts {
    failed: u32,
    max: u32,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            failed: 0,
            max: ATTEMPTS_MAX,
        }
    }
}

impl Attempts {
    /// For a host that is not the last resort.
    pub(super) const fn few() -> Self {
        Self {
            failed: 0,
            max: MIRROR_ATTEMPTS_MAX,
        }
    }

    /// The attempt failed: how long to wait before the next, or none if it was the last.
    pub(super) fn next_delay(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= self.max {
            return None;
        }
        let grown = DELAY_FIRST
            .saturating_mul(1 << self.failed.saturating_sub(1))
            .min(DELAY_MAX);
        let wanted = retry_after.map_or(grown, |asked| asked.min(RETRY_AFTER_MAX).max(grown));
        Some(jittered(wanted, RandomState::new().hash_one(self.failed)))
    }

    /// Something was received: the failures before it no longer count.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }
}

/// `delay` and up to a quarter more, so that those who failed together do not return together.
fn jittered(delay: Duration, random: u64) -> Duration {
    const STEPS: u64 = 1024;
    let part = u32::try_from(random % STEPS).unwrap_or(0);
    delay + (delay / 4) * part / (STEPS as u32)
}

/// Reads `Retry-After` in seconds. A date is not read: clocks differ.
pub(super) fn retry_after(value: Option<&str>) -> Option<Duration> {
    let seconds: u64 = value?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn delays_grow_and_end() {
        let mut attempts = Attempts::default();
        let delays: Vec<_> = std::iter::from_fn(|| attempts.next_delay(None)).collect();
        assert_eq!(delays.len() as u32, ATTEMPTS_MAX - 1);
        assert!(delays.is_sorted_by(|a, b| a < b), "{delays:?}");
        attempts.progressed();
        assert!(attempts.next_delay(None).is_some());
    }

    #[test]
    fn a_registry_cannot_make_us_wait_for_ever() {
        for (header, expected) in [
            (Some("7"), Some(7)),
            (Some(" 1 "), Some(1)),
            (Some("18446744073709551615"), Some(300)),
            (Some("99999999999999999999999"), None),
            (Some("-1"), None),
            (Some("Wed, 21 Oct 2026 07:28:00 GMT"), None),
            (None, None),
        ] {
            assert_eq!(
                retry_after(header),
                expected.map(Duration::from_secs),
                "{header:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn jitter_is_within_a_quarter(millis in 0u64..1_000_000, random: u64) {
            let delay = Duration::from_millis(millis);
            let with = jittered(delay, random);
            prop_assert!(with >= delay && with <= delay + delay / 4);
        }
    }
}
