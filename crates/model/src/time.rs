//! Time as values. Durations come from `CLOCK_BOOTTIME`, which neither steps nor stops in
//! suspend; wall time is a label for people. Nobody in this crate reads a clock.

use std::ops::Add;
use std::time::Duration;

/// Nanoseconds of `CLOCK_BOOTTIME`: comparable only within one boot of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// The time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// Nanoseconds since the Unix epoch, for people to read. Never used to compute a duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

impl WallTime {
    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn unix_s(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The nanoseconds within the second.
    #[must_use]
    pub const fn subsec_ns(self) -> u32 {
        self.0.rem_euclid(1_000_000_000) as u32
    }
}

/// One moment as both clocks showed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The clock that durations are taken from.
    pub boot: BootTime,
    /// The label shown to people.
    pub wall: WallTime,
}

impl Stamp {
    /// The time since `earlier` by the boot clock; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.boot.since(earlier.boot)
    }
}
