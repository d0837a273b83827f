//! The two clocks of a moment, and waiting until one.

use std::time::Duration;

use burstlet_model::{BootTime, Stamp, WallTime};
use nix::sys::epoll::EpollTimeout;
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

/// How long a loop waits for events, for ever without a bound.
pub(crate) fn epoll_timeout(bound: Option<Duration>) -> EpollTimeout {
    bound.map_or(EpollTimeout::NONE, |bound| {
        // One more, so that what falls due within a millisecond is due when we wake.
        let ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        let bound = Duration::from_millis(ms.saturating_add(1));
        EpollTimeout::try_from(bound).unwrap_or(EpollTimeout::MAX)
    })
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).unwrap_or(TimeSpec::new(0, 0));
    time.tv_sec()
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec())
}
