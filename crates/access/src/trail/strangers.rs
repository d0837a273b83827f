//! How much the trail takes of those whom nobody knows.

use burstlet_model::WallTime;

/// Refusals of strangers that are written in a minute.
const STRANGERS_PER_MINUTE_MAX: u64 = 60;
const MINUTE_NS: i64 = 60_000_000_000;

/// Counts strangers minute by minute. A clock that steps begins a new minute.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    minute: i64,
    written: u64,
    left_out: u64,
}

impl Strangers {
    /// Whether one more is written; if so, how many before it were not.
    pub(super) fn admit(&mut self, now: WallTime) -> Option<u64> {
        let minute = now.0.div_euclid(MINUTE_NS);
        if minute != self.minute {
            self.minute = minute;
            self.written = 0;
        }
        if self.written >= STRANGERS_PER_MINUTE_MAX {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let mut strangers = Strangers::default();
        let at = |minute: i64| WallTime(minute * MINUTE_NS);
        for _ in 0..STRANGERS_PER_MINUTE_MAX {
            assert_eq!(strangers.admit(at(7)), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(strangers.admit(at(7)), None);
        }
        assert_eq!(strangers.admit(at(8)), Some(1000));
        assert_eq!(strangers.admit(at(8)), Some(0));
    }
}
