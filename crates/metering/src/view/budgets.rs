//! How the budgets stand, metric by metric: a view of the same records as the totals beside them.

use crate::budget::State;
use crate::money::Money;

use super::exposition::{Kind, Page};

/// Digits behind the point that amounts are shown with.
const DIGITS: usize = 12;

/// How a budget's number is found.
type Read = fn(&State) -> String;

/// Every metric of a budget: its name, its meaning, and its number.
const METRICS: [(&str, &str, Read); 4] = [
    (
        "burstlet_budget_limit",
        "What should be spent in a period at most.",
        |state| amount(Money::from_decimal(state.budget.limit)),
    ),
    (
        "burstlet_budget_spent",
        "What was spent in the period that lasts.",
        |state| amount(state.spending.spent),
    ),
    (
        "burstlet_budget_forecast",
        "What is spent by the end of the period if nothing changes.",
        |state| amount(state.standing.forecast),
    ),
    (
        "burstlet_budget_thresholds_reached",
        "Thresholds that are reached.",
        |state| state.standing.reached.len().to_string(),
    ),
];

pub(super) fn render(page: &mut Page, budgets: &[State]) {
    for (name, help, read) in METRICS {
        page.metric(name, Kind::Gauge, help);
        for state in budgets {
            let labels = [
                ("budget", state.budget.name.as_str()),
                ("unit", state.unit()),
            ];
            page.sample(name, &labels, read(state));
        }
    }
}

fn amount(money: Money) -> String {
    money.shown(DIGITS)
}
