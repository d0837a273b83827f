//! The calendar's periods, in UTC.

use burstlet_model::WallTime;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::sessions::Window;

/// The span after which a budget begins anew, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
}

impl Period {
    /// Every period with its word.
    pub const ALL: [(&'static str, Self); 3] = [
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The period that a moment is in; nothing for a moment at the end of all time.
    #[must_use]
    pub fn at(self, now: WallTime) -> Option<Window> {
        let now = Timestamp::from_nanosecond(now.0.into()).ok()?;
        let today = now.to_zoned(TimeZone::UTC).date();
        let (first, length) = match self {
            Self::Day => (today, 1.day()),
            Self::Week => {
                let since_monday = today.weekday().to_monday_zero_offset();
                (today.checked_sub(since_monday.days()).ok()?, 7.days())
            }
            Self::Month => (today.first_of_month(), 1.month()),
        };
        Some(Window {
            from: midnight(first)?,
            to: midnight(first.checked_add(length).ok()?)?,
        })
    }
}

fn midnight(date: Date) -> Option<WallTime> {
    let midnight: Zoned = date.to_zoned(TimeZone::UTC).ok()?;
    let ns = i64::try_from(midnight.timestamp().as_nanosecond());
    ns.ok().map(WallTime)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn at(text: &str) -> WallTime {
        let instant: Timestamp = text.parse().unwrap();
        WallTime(i64::try_from(instant.as_nanosecond()).unwrap())
    }

    #[test]
    fn periods_are_those_of_the_calendar() {
        for (period, now, from, until) in [
            (
                Period::Day,
                "2026-02-28T23:59:59.9Z",
                "2026-02-28T00:00:00Z",
                "2026-03-01T00:00:00Z",
            ),
            (
                Period::Week,
                "2026-03-01T12:00:00Z",
                "2026-02-23T00:00:00Z",
                "2026-03-02T00:00:00Z",
            ),
            (
                Period::Month,
                "2028-02-29T00:00:00Z",
                "2028-02-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
        ] {
            let window = period.at(at(now)).unwrap();
            assert_eq!(
                (window.from, window.to),
                (at(from), at(until)),
                "{period:?}"
            );
        }
    }
}
