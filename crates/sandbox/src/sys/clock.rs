//! The two clocks of a moment.

use burstlet_model::{BootTime, Stamp, WallTime};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

/// This moment on both clocks. The clocks exist on every supported kernel; should one fail, its
/// count is zero.
pub(crate) fn now() -> Stamp {
    let boot = nanoseconds(ClockId::CLOCK_BOOTTIME);
    Stamp {
        boot: BootTime(u64::try_from(boot).unwrap_or(0)),
        wall: wall_now(),
    }
}

/// This moment as people read it.
pub(crate) fn wall_now() -> WallTime {
    WallTime(nanoseconds(ClockId::CLOCK_REALTIME))
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).unwrap_or(TimeSpec::new(0, 0));
    time.tv_sec()
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec())
}
