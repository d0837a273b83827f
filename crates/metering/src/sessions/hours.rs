//! A session's samples by the hour: what is told every few minutes is kept for as long as the
//! ledger lasts.

use std::sync::Arc;

use burstlet_model::WallTime;

use super::Window;
use crate::record::Samples;

/// What samples are kept apart by, in nanoseconds: an hour.
const KEPT_EVERY_NS: i64 = 3_600_000_000_000;

/// All samples until the end of each hour in which some were told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hours(Vec<(WallTime, Arc<Samples>)>);

impl Hours {
    /// Totals are told at a moment. What is told late, or again, changes nothing.
    pub(super) fn tell(&mut self, told: &Samples, at: WallTime) {
        let mut all = self.all();
        all.raise(told);
        let hour = begin(at);
        let known = self.0.pop_if(|(known, _)| *known >= hour);
        let hour = known.map_or(hour, |(known, _)| known);
        self.0.push((hour, Arc::new(all)));
    }

    /// Everything that was told.
    pub(super) fn all(&self) -> Samples {
        let last = self.0.last();
        last.map(|(_, all)| Samples::clone(all)).unwrap_or_default()
    }

    /// The samples of the hours that a window touches.
    pub(super) fn within(&self, window: Window) -> Samples {
        let before = self.until(begin(window.from));
        self.until(window.to).since(&before)
    }

    /// Those of the hours that begin before a moment.
    fn until(&self, end: WallTime) -> Samples {
        let known = self.0.partition_point(|(hour, _)| *hour < end);
        let last = known.checked_sub(1).and_then(|last| self.0.get(last));
        last.map(|(_, all)| Samples::clone(all)).unwrap_or_default()
    }
}

const fn begin(at: WallTime) -> WallTime {
    WallTime(at.0.div_euclid(KEPT_EVERY_NS).saturating_mul(KEPT_EVERY_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> WallTime {
        WallTime(minutes * 60_000_000_000)
    }

    #[test]
    fn a_window_has_the_samples_of_the_hours_that_it_touches() {
        let mut hours = Hours::default();
        let mut all = Samples::default();
        for minute in [10, 20, 70, 130] {
            all.cpu.count(minute);
            hours.tell(&all, at(minute.cast_signed()));
            hours.tell(&all, at(minute.cast_signed()));
        }
        // Told late: it is known already.
        hours.tell(&Samples::default(), at(15));
        assert_eq!(hours.0.len(), 3);
        for (from, to, count) in [
            (0, 60, 2),
            (30, 40, 2),
            (0, 61, 3),
            (60, 120, 1),
            (90, 121, 2),
            (180, 600, 0),
        ] {
            let window = Window {
                from: at(from),
                to: at(to),
            };
            assert_eq!(hours.within(window).cpu.total(), count, "{from} {to}");
        }
        assert_eq!(hours.within(Window::ALL), all);
        assert_eq!(hours.all(), all);
    }
}
