//! How the budgets stood at the last look, shown at each scrape.

use std::sync::Arc;

use burstlet_metering::budget::State;
use burstlet_metering::money::Money;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts};

/// Digits behind the point that amounts are shown with.
const DIGITS: usize = 12;

pub(super) struct BudgetsNow<F> {
    look: F,
    limit: GaugeVec,
    spent: GaugeVec,
    forecast: GaugeVec,
    reached: GaugeVec,
}

impl<F> BudgetsNow<F> {
    pub(super) fn new(look: F) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let opts = Opts::new(format!("burstlet_budget_{name}"), help);
            GaugeVec::new(opts, &["budget", "unit"])
        };
        Ok(Self {
            look,
            limit: gauge("limit", "What should be spent in a period at most.")?,
            spent: gauge("spent", "What was spent in the period that lasts.")?,
            forecast: gauge(
                "forecast",
                "What is spent by the end of the period if nothing changes.",
            )?,
            reached: gauge("thresholds_reached", "Thresholds that are reached.")?,
        })
    }

    fn metrics(&self) -> [&dyn Collector; 4] {
        [&self.limit, &self.spent, &self.forecast, &self.reached]
    }

    fn set(&self, state: &State) {
        let labels = [state.budget.name.as_str(), state.unit()];
        let amount = |money: Money| money.shown(DIGITS).parse().unwrap_or(f64::INFINITY);
        let limit = Money::from_decimal(state.budget.limit);
        self.limit.with_label_values(&labels).set(amount(limit));
        let spent = amount(state.spending.spent);
        self.spent.with_label_values(&labels).set(spent);
        let forecast = amount(state.standing.forecast);
        self.forecast.with_label_values(&labels).set(forecast);
        let reached = state.standing.reached.len() as f64;
        self.reached.with_label_values(&labels).set(reached);
    }
}

impl<F: Fn() -> Arc<[State]> + Send + Sync> Collector for BudgetsNow<F> {
    fn desc(&self) -> Vec<&Desc> {
        let metrics = self.metrics().into_iter();
        metrics.flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for state in (self.look)().iter() {
            self.set(state);
        }
        let metrics = self.metrics().into_iter();
        metrics.flat_map(Collector::collect).collect()
    }
}
