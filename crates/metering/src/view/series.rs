//! The metrics by name, and amounts that are summed by series.

use std::collections::BTreeMap;
use std::fmt;

use crate::money::{Money, fixed};

/// A metric that is summed over sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Metric {
    BilledSeconds,
    UnratedSeconds,
    CpuRequested,
    CpuUsed,
    MemoryRequested,
    MemoryUsed,
    GpuAllocated,
    EphemeralStorage,
    Volumes,
    Sent,
    Received,
    PullSeconds,
    PulledBytes,
    Restarts,
    GapSeconds,
    Opened,
    Closed,
    Cost,
    TagSeconds,
    TagCost,
}

/// How a metric is shown.
pub(super) struct Shown {
    pub(super) metric: Metric,
    pub(super) name: &'static str,
    pub(super) labels: &'static [&'static str],
    /// How many of a count's last digits are behind the point.
    pub(super) digits: usize,
    pub(super) help: &'static str,
}

/// Every metric in the order of the page. All are counters.
pub(super) const METRICS: &[Shown] = &[
    Shown {
        metric: Metric::BilledSeconds,
        name: "burstlet_billed_group_seconds_total",
        labels: &["namespace", "state_class"],
        digits: 9,
        help: "Time that groups were billed for, by what it was spent on.",
    },
    Shown {
        metric: Metric::UnratedSeconds,
        name: "burstlet_unrated_group_seconds_total",
        labels: &["namespace"],
        digits: 9,
        help: "Time of groups for which no price book was in force.",
    },
    Shown {
        metric: Metric::CpuRequested,
        name: "burstlet_cpu_requested_core_seconds_total",
        labels: &["namespace", "os", "arch", "scheduling"],
        digits: 12,
        help: "Processor time that was set aside.",
    },
    Shown {
        metric: Metric::CpuUsed,
        name: "burstlet_cpu_used_core_seconds_total",
        labels: &["namespace", "os", "arch", "scheduling"],
        digits: 6,
        help: "Processor time that was used, as the cgroups count it.",
    },
    Shown {
        metric: Metric::MemoryRequested,
        name: "burstlet_memory_requested_byte_seconds_total",
        labels: &["namespace", "os", "arch", "scheduling"],
        digits: 9,
        help: "Memory that was set aside, times how long.",
    },
    Shown {
        metric: Metric::MemoryUsed,
        name: "burstlet_memory_used_byte_seconds_total",
        labels: &["namespace", "os", "arch", "scheduling"],
        digits: 9,
        help: "Memory that was used, times how long; from samples.",
    },
    Shown {
        metric: Metric::GpuAllocated,
        name: "burstlet_gpu_allocated_device_seconds_total",
        labels: &["namespace", "gpu_model"],
        digits: 9,
        help: "Accelerators that were set aside, times how long.",
    },
    Shown {
        metric: Metric::EphemeralStorage,
        name: "burstlet_ephemeral_storage_requested_byte_seconds_total",
        labels: &["namespace"],
        digits: 9,
        help: "Ephemeral storage that was set aside, times how long.",
    },
    Shown {
        metric: Metric::Volumes,
        name: "burstlet_volume_claimed_byte_seconds_total",
        labels: &["namespace"],
        digits: 9,
        help: "Claims on volumes that were mounted, times how long.",
    },
    Shown {
        metric: Metric::Sent,
        name: "burstlet_network_egress_bytes_total",
        labels: &["namespace"],
        digits: 0,
        help: "Bytes that groups sent.",
    },
    Shown {
        metric: Metric::Received,
        name: "burstlet_network_ingress_bytes_total",
        labels: &["namespace"],
        digits: 0,
        help: "Bytes that groups received.",
    },
    Shown {
        metric: Metric::PullSeconds,
        name: "burstlet_session_image_pull_seconds_total",
        labels: &["namespace", "cache"],
        digits: 9,
        help: "Time in which images were got; hit is without the network.",
    },
    Shown {
        metric: Metric::PulledBytes,
        name: "burstlet_session_image_pulled_bytes_total",
        labels: &["namespace", "cache"],
        digits: 0,
        help: "Bytes of images that came over the network.",
    },
    Shown {
        metric: Metric::Restarts,
        name: "burstlet_session_restarts_total",
        labels: &["namespace"],
        digits: 0,
        help: "Containers that were started again.",
    },
    Shown {
        metric: Metric::GapSeconds,
        name: "burstlet_meter_gap_seconds_total",
        labels: &["namespace"],
        digits: 9,
        help: "Time of groups that is not known and not charged.",
    },
    Shown {
        metric: Metric::Opened,
        name: "burstlet_sessions_opened_total",
        labels: &["namespace"],
        digits: 0,
        help: "Launches of groups.",
    },
    Shown {
        metric: Metric::Closed,
        name: "burstlet_sessions_closed_total",
        labels: &["namespace", "reason"],
        digits: 0,
        help: "Ends of launches of groups.",
    },
    Shown {
        metric: Metric::Cost,
        name: "burstlet_cost_total",
        labels: &["namespace", "sku", "currency"],
        digits: 0,
        help: "What groups cost, in units of the currency.",
    },
    Shown {
        metric: Metric::TagSeconds,
        name: "burstlet_tag_billed_group_seconds_total",
        labels: &["tag", "value"],
        digits: 9,
        help: "Time that groups with a tag were billed for.",
    },
    Shown {
        metric: Metric::TagCost,
        name: "burstlet_tag_cost_total",
        labels: &["tag", "value", "currency"],
        digits: 0,
        help: "What groups with a tag cost, in units of the currency.",
    },
];

/// How much of a series there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// In the metric's smallest unit.
    Count(u128),
    /// Exact money.
    Cost(Money),
}

impl Amount {
    fn join(
        self,
        other: Self,
        counts: impl Fn(u128, u128) -> u128,
        costs: impl Fn(Money, Money) -> Money,
    ) -> Self {
        match (self, other) {
            (Self::Count(a), Self::Count(b)) => Self::Count(counts(a, b)),
            (Self::Cost(a), Self::Cost(b)) => Self::Cost(costs(a, b)),
            // A series is of one metric, and a metric of one kind.
            (kept, _) => kept,
        }
    }

    /// The amount as text; counts with this many digits behind the point.
    pub(super) fn shown(self, digits: usize) -> AmountText {
        AmountText {
            amount: self,
            digits,
        }
    }
}

/// An amount being shown.
pub(super) struct AmountText {
    amount: Amount,
    digits: usize,
}

impl fmt::Display for AmountText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.amount {
            Amount::Cost(cost) => cost.fmt(f),
            Amount::Count(count) => f.write_str(&fixed(count, self.digits)),
        }
    }
}

/// A metric with the values of its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Series {
    pub(super) metric: Metric,
    pub(super) labels: Vec<String>,
}

impl Series {
    pub(super) fn new<const N: usize>(metric: Metric, labels: [&str; N]) -> Self {
        Self {
            metric,
            labels: labels.map(str::to_owned).to_vec(),
        }
    }
}

/// Sums by series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums(BTreeMap<Series, Amount>);

impl Sums {
    pub(super) fn count(&mut self, series: Series, count: u128) {
        self.join(series, Amount::Count(count), Amount::Count(0), |a, b| {
            a.join(b, u128::saturating_add, |a, b| a + b)
        });
    }

    pub(super) fn cost(&mut self, series: Series, cost: Money) {
        self.join(
            series,
            Amount::Cost(cost),
            Amount::Cost(Money::ZERO),
            |a, b| a.join(b, u128::saturating_add, |a, b| a + b),
        );
    }

    /// Sets a series.
    pub(super) fn put(&mut self, series: Series, amount: Amount) {
        self.0.insert(series, amount);
    }

    /// Every series.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Series, Amount)> {
        self.0.iter().map(|(series, amount)| (series, *amount))
    }

    /// Adds all of the other sums to these.
    pub(super) fn add(&mut self, other: Self) {
        for (series, amount) in other.0 {
            match amount {
                Amount::Count(count) => self.count(series, count),
                Amount::Cost(cost) => self.cost(series, cost),
            }
        }
    }

    /// Takes what was added before away. The series stay, at zero if nothing is left.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (series, amount) in &other.0 {
            if let Some(sum) = self.0.get_mut(series) {
                *sum = sum.join(*amount, u128::saturating_sub, |a, b| a - b);
            }
        }
    }

    /// Raises each sum to that of the other.
    pub(super) fn raise(&mut self, other: &Self) {
        for (series, amount) in &other.0 {
            self.join(series.clone(), *amount, *amount, |a, b| {
                a.join(b, u128::max, Money::max)
            });
        }
    }

    /// The series of a metric, by the values of their labels.
    pub(super) fn of(&self, metric: Metric) -> impl Iterator<Item = (&[String], Amount)> {
        let first = Series {
            metric,
            labels: Vec::new(),
        };
        let after = self.0.range(first..);
        after
            .take_while(move |(series, _)| series.metric == metric)
            .map(|(series, amount)| (&*series.labels, *amount))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn join(
        &mut self,
        series: Series,
        amount: Amount,
        nothing: Amount,
        join: impl Fn(Amount, Amount) -> Amount,
    ) {
        let sum = self.0.entry(series).or_insert(nothing);
        *sum = join(*sum, amount);
    }
}
