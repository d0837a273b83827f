//! Budgets: what may be spent in a period, and what happens as it is.
//!
//! Judgement only: who calls this hands in what the ledger says was spent, and carries out what is
//! answered. Asked again with more spent, the answer never asks for less within a period.

use std::collections::BTreeMap;

use burstlet_model::WallTime;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::book::SECOND_NS;
use crate::money::{Decimal, Money};
use crate::sessions::Window;

/// Whose spending counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// That of a namespace.
    Namespace(String),
    /// That of the groups with a tag; names of tags are compared without case.
    Tag {
        /// The tag's name.
        key: String,
        /// Its value.
        value: String,
    },
}

impl Scope {
    /// Whether a group's spending counts.
    #[must_use]
    pub fn covers(&self, namespace: &str, tags: &BTreeMap<String, String>) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(name) => name == namespace,
            Self::Tag { key, value } => tags
                .iter()
                .any(|(name, found)| name.eq_ignore_ascii_case(key) && found == value),
        }
    }
}

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

/// What happens at a threshold; the later the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is told.
    Tell,
    /// New groups are refused.
    RefuseNew,
    /// Groups are stopped after this grace.
    Stop {
        /// In seconds.
        grace_s: u32,
    },
}

/// A part of a budget at which something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// In percent of the limit; may be above 100.
    pub percent: u32,
    /// What happens.
    pub action: Action,
}

/// What may be spent. Whether the amount is money or core-seconds is up to who counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// Whose spending counts.
    pub scope: Scope,
    /// The most that should be spent in a period.
    pub limit: Decimal,
    /// When it begins anew.
    pub period: Period,
    /// In any order.
    pub thresholds: Vec<Threshold>,
}

/// What was spent when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// How a budget stands at a moment of the period.
#[must_use]
pub fn evaluate(budget: &Budget, spending: Spending, now: WallTime, period: Window) -> Standing {
    let rest = Window {
        from: now.max(period.from),
        to: period.to,
    };
    let mut reached: Vec<Threshold> = budget.thresholds.clone();
    reached.retain(|threshold| is_reached(threshold, spending.spent, budget.limit));
    reached.sort_by_key(|threshold| threshold.percent);
    Standing {
        forecast: spending.spent + over(spending.hourly, rest.ns()),
        action: reached.iter().map(|threshold| threshold.action).max(),
        reached,
    }
}

fn is_reached(threshold: &Threshold, spent: Money, limit: Decimal) -> bool {
    let hundredfold = spent.times(100);
    let part = Money::from_decimal(limit).times(i64::from(threshold.percent));
    // What does not fit is beyond any limit that does.
    match (hundredfold, part) {
        (Ok(spent), Ok(part)) => spent >= part,
        (Err(_), _) => true,
        (_, Err(_)) => false,
    }
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
    use super::*;

    fn at(text: &str) -> WallTime {
        let instant: Timestamp = text.parse().unwrap();
        WallTime(i64::try_from(instant.as_nanosecond()).unwrap())
    }

    fn money(text: &str) -> Money {
        Money::from_decimal(Decimal::parse(text).unwrap())
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

    #[test]
    fn thresholds_are_reached_one_after_another() {
        let threshold = |percent, action| Threshold { percent, action };
        let stop = Action::Stop { grace_s: 30 };
        let budget = Budget {
            name: "team-a".to_owned(),
            scope: Scope::All,
            limit: Decimal::parse("10").unwrap(),
            period: Period::Day,
            thresholds: vec![
                threshold(120, stop),
                threshold(50, Action::Tell),
                threshold(100, Action::RefuseNew),
            ],
        };
        let now = at("2026-03-01T18:00:00Z");
        let period = Period::Day.at(now).unwrap();
        for (spent, reached, action, forecast) in [
            ("4.999999999999999999", 0, None, "10.999999999999999999"),
            ("5", 1, Some(Action::Tell), "11"),
            ("10", 2, Some(Action::RefuseNew), "16"),
            ("12", 3, Some(stop), "18"),
        ] {
            let spending = Spending {
                spent: money(spent),
                hourly: money("1"),
            };
            let standing = evaluate(&budget, spending, now, period);
            assert_eq!(standing.reached.len(), reached, "{spent}");
            assert_eq!(standing.action, action, "{spent}");
            assert_eq!(standing.forecast.to_string(), forecast);
        }
    }

    #[test]
    fn scopes_cover_what_they_name() {
        let tags = BTreeMap::from([("CostCenter".to_owned(), "42".to_owned())]);
        let tag = |key: &str, value: &str| Scope::Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        assert!(Scope::All.covers("a", &tags));
        assert!(Scope::Namespace("a".to_owned()).covers("a", &tags));
        assert!(!Scope::Namespace("b".to_owned()).covers("a", &tags));
        assert!(tag("costcenter", "42").covers("a", &tags));
        assert!(!tag("costcenter", "43").covers("a", &tags));
    }
}
