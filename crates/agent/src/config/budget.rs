//! Budgets, as the configuration has them.

use burstlet_metering::budget::{self, Action, Period, Scope, Threshold, Unit};
use burstlet_metering::money::Decimal;
use serde::Deserialize;

/// Budgets that are watched.
pub(super) const BUDGETS_MAX: usize = 100;
/// Days for which the ledger must have every record: more than the longest period.
pub(super) const BUDGET_DAYS: u32 = 32;
/// Thresholds of one budget.
const THRESHOLDS_MAX: usize = 8;
/// The highest threshold, in percent.
const PERCENT_MAX: u32 = 1000;
/// The longest grace, in seconds: an hour.
const GRACE_MAX_S: u32 = 3600;
/// Bytes of a budget's name.
const NAME_BYTES_MAX: usize = 64;

/// What may be spent in a period, and what happens as it is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Budget(pub(crate) budget::Budget);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    amount: String,
    #[serde(default)]
    core_seconds: String,
    period: Span,
    thresholds: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Span {
    Day,
    Week,
    Month,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    percent: u32,
    action: Act,
    grace_s: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Act {
    Tell,
    RefuseNew,
    Stop,
}

impl TryFrom<Written> for Budget {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let name = written.name;
        if !matches!(name.len(), 1..=NAME_BYTES_MAX) || !name.bytes().all(plain) {
            return Err(format!(
                "a budget's name has 1 to {NAME_BYTES_MAX} letters, digits, '-', '_' or '.'"
            ));
        }
        let (unit, limit) = limit(&written.amount, &written.core_seconds)?;
        if written.thresholds.len() > THRESHOLDS_MAX {
            return Err(format!("a budget has at most {THRESHOLDS_MAX} thresholds"));
        }
        let thresholds = written.thresholds.iter().map(threshold);
        Ok(Self(budget::Budget {
            name,
            scope: scope(written.namespace, &written.tag)?,
            unit,
            limit,
            period: match written.period {
                Span::Day => Period::Day,
                Span::Week => Period::Week,
                Span::Month => Period::Month,
            },
            thresholds: thresholds.collect::<Result<_, _>>()?,
        }))
    }
}

fn scope(namespace: String, tag: &str) -> Result<Scope, String> {
    match (namespace.is_empty(), tag.split_once('=')) {
        (true, None) if tag.is_empty() => Ok(Scope::All),
        (false, None) if tag.is_empty() => Ok(Scope::Namespace(namespace)),
        (true, Some((key, value))) if !key.is_empty() => Ok(Scope::Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
        (false, _) => Err("a budget has a namespace or a tag, not both".to_owned()),
        (true, _) => Err("a budget's tag is written NAME=VALUE".to_owned()),
    }
}

fn limit(amount: &str, core_seconds: &str) -> Result<(Unit, Decimal), String> {
    let (unit, text) = match (amount, core_seconds) {
        (amount, "") if !amount.is_empty() => (Unit::Money, amount),
        ("", seconds) if !seconds.is_empty() => (Unit::CoreSeconds, seconds),
        _ => return Err("a budget has an amount or core_seconds, as text".to_owned()),
    };
    let limit = Decimal::parse(text).map_err(|error| error.to_string())?;
    match limit > Decimal::from_raw(0) {
        true => Ok((unit, limit)),
        false => Err("a budget is more than nothing".to_owned()),
    }
}

fn threshold(step: &Step) -> Result<Threshold, String> {
    if !matches!(step.percent, 1..=PERCENT_MAX) {
        return Err(format!("a threshold's percent is from 1 to {PERCENT_MAX}"));
    }
    let action = match (step.action, step.grace_s) {
        (Act::Tell, None) => Action::Tell,
        (Act::RefuseNew, None) => Action::RefuseNew,
        (Act::Stop, grace_s) => Action::Stop {
            grace_s: grace_s.unwrap_or(0),
        },
        (Act::Tell | Act::RefuseNew, Some(_)) => {
            return Err("only the action \"stop\" has a grace_s".to_owned());
        }
    };
    match step.grace_s {
        Some(grace_s) if grace_s > GRACE_MAX_S => {
            Err(format!("a threshold's grace_s is at most {GRACE_MAX_S}"))
        }
        _ => Ok(Threshold {
            percent: step.percent,
            action,
        }),
    }
}
