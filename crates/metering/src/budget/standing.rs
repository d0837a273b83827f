//! How a budget stands, given what was spent.

use burstlet_model::WallTime;

use super::{Action, Budget, Threshold};
use crate::book::SECOND_NS;
use crate::money::{Decimal, Money};
use crate::sessions::Window;

/// What was spent when, in the budget's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// Since the period began.
    pub spent: Money,
    /// What the groups that run now spend in an hour.
    pub hourly: Money,
}

/// How a budget stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What is spent by the end of the period if nothing changes.
    pub forecast: Money,
    /// The thresholds that are reached, lowest first.
    pub reached: Vec<Threshold>,
    /// The strongest of their actions.
    pub action: Option<Action>,
    /// In how many nanoseconds the next threshold is reached if nothing changes.
    pub next_ns: Option<u64>,
}

/// How a budget stands at a moment of the period.
#[must_use]
pub fn evaluate(budget: &Budget, spending: Spending, now: WallTime, period: Window) -> Standing {
    let rest = Window {
        from: now.max(period.from),
        to: period.to,
    };
    let is_reached = |threshold: &Threshold| spending.spent >= part(budget, threshold);
    let mut reached = budget.thresholds.clone();
    let ahead = reached.extract_if(.., |threshold| !is_reached(threshold));
    let next_ns = ahead
        .filter_map(|threshold| until(spending, part(budget, &threshold)))
        .min();
    reached.sort_by_key(|threshold| threshold.percent);
    let actions = reached.iter().map(|threshold| threshold.action);
    Standing {
        forecast: spending.spent + over(spending.hourly, rest.ns()),
        action: actions.max_by_key(|action| action.strength()),
        reached,
        next_ns,
    }
}

/// The amount at which a threshold is reached. What does not fit is never reached.
fn part(budget: &Budget, threshold: &Threshold) -> Money {
    let hundredfold = Money::from_decimal(budget.limit).times(threshold.percent.into());
    hundredfold.map_or(Money::MAX, |amount| amount.divided(100))
}

/// When an amount is reached, in nanoseconds; nothing if it never is, or nobody lives to see it.
fn until(spending: Spending, amount: Money) -> Option<u64> {
    if spending.hourly <= Money::ZERO {
        return None;
    }
    let hours = (amount - spending.spent).ratio(spending.hourly)?;
    let ns = hours.raw().checked_mul(3600 * i128::from(SECOND_NS))? / Decimal::ONE.raw();
    u64::try_from(ns + 1).ok()
}

/// What an hourly rate comes to, to the second.
fn over(hourly: Money, ns: u64) -> Money {
    let seconds = i64::try_from(ns / SECOND_NS).unwrap_or(i64::MAX);
    let whole = hourly.times(seconds).unwrap_or(Money::MAX);
    whole.divided(3600)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::budget::{Period, Scope, Unit};

    fn at(text: &str) -> WallTime {
        let instant: Timestamp = text.parse().unwrap();
        WallTime(i64::try_from(instant.as_nanosecond()).unwrap())
    }

    fn money(text: &str) -> Money {
        Money::from_decimal(Decimal::parse(text).unwrap())
    }

    fn budget(thresholds: &[(u32, Action)]) -> Budget {
        let threshold = |(percent, action): &(u32, Action)| Threshold {
            percent: *percent,
            action: *action,
        };
        Budget {
            name: "team-a".to_owned(),
            scope: Scope::All,
            unit: Unit::Money,
            limit: Decimal::parse("10").unwrap(),
            period: Period::Day,
            thresholds: thresholds.iter().map(threshold).collect(),
        }
    }

    #[test]
    fn thresholds_are_reached_one_after_another() {
        let stop = Action::Stop { grace_s: 30 };
        let budget = budget(&[(120, stop), (50, Action::Tell), (100, Action::RefuseNew)]);
        let now = at("2026-03-01T18:00:00Z");
        let period = Period::Day.at(now).unwrap();
        let hour = 3600 * SECOND_NS;
        for (spent, reached, action, forecast, next_ns) in [
            (
                "4.999999999999999999",
                0,
                None,
                "10.999999999999999999",
                Some(1),
            ),
            ("5", 1, Some(Action::Tell), "11", Some(5 * hour + 1)),
            ("10", 2, Some(Action::RefuseNew), "16", Some(2 * hour + 1)),
            ("12", 3, Some(stop), "18", None),
        ] {
            let spending = Spending {
                spent: money(spent),
                hourly: money("1"),
            };
            let standing = evaluate(&budget, spending, now, period);
            assert_eq!(standing.reached.len(), reached, "{spent}");
            assert_eq!(standing.action, action, "{spent}");
            assert_eq!(standing.forecast.to_string(), forecast);
            assert_eq!(standing.next_ns, next_ns, "{spent}");
        }
    }

    #[test]
    fn of_two_stops_the_one_that_waits_less_is_stronger() {
        let (soon, late) = (Action::Stop { grace_s: 0 }, Action::Stop { grace_s: 300 });
        let budget = budget(&[(100, late), (150, soon), (110, Action::Tell)]);
        let now = at("2026-03-01T18:00:00Z");
        let period = Period::Day.at(now).unwrap();
        let action = |spent: &str| {
            let spending = Spending {
                spent: money(spent),
                hourly: Money::ZERO,
            };
            evaluate(&budget, spending, now, period).action
        };
        assert_eq!(action("12"), Some(late));
        assert_eq!(action("15"), Some(soon));
    }
}
