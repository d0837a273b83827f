//! The clock that host and containers share.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A reading of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Instant(Duration);

impl Instant {
    /// Now.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        Self(now)
    }

    /// What a payload printed.
    pub const fn from_ns(ns: u64) -> Self {
        Self(Duration::from_nanos(ns))
    }

    /// How long after `earlier` this is.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
