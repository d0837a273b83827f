//! What became of what a collector is told.

use burstlet_otlp::{Counts, Signal};
use burstlet_telemetry::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, Opts};
use tokio::sync::watch;

/// Shown at each scrape, as it was counted.
pub(crate) struct Told {
    counts: Counts,
    heard: Heard,
}

/// How far the collector has heard.
pub(crate) struct Heard {
    /// The ledger: the last record.
    pub(crate) ledger: watch::Receiver<u64>,
    /// The audit trail: the last line.
    pub(crate) audit: watch::Receiver<u64>,
}

/// A counter, and how its numbers are found.
type Total = (IntCounterVec, fn(&Counts, Signal) -> u64);

struct ToldNow {
    told: Told,
    totals: [Total; 3],
    sequence: IntGauge,
    audit_sequence: IntGauge,
}

impl Told {
    pub(crate) const fn new(counts: Counts, heard: Heard) -> Self {
        Self { counts, heard }
    }

    /// Shows it.
    ///
    /// # Errors
    /// A name is taken.
    pub(crate) fn register(self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(ToldNow::new(self)?)
    }
}

impl ToldNow {
    fn new(told: Told) -> Result<Self, prometheus::Error> {
        let total = |name: &str, help: &str| {
            let opts = Opts::new(format!("burstlet_otlp_{name}_total"), help);
            IntCounterVec::new(opts, &["signal"])
        };
        let sent = total(
            "sent",
            "Records, and batches of metrics, that the collector has.",
        )?;
        let dropped = total("dropped", "Those that the collector is not told any more.")?;
        let failures = total("failures", "Tries that the collector did not thank for.")?;
        let sequence = Opts::new(
            "burstlet_otlp_events_sequence",
            "The last record of the ledger that the collector has heard of.",
        );
        let audit_sequence = Opts::new(
            "burstlet_otlp_audit_sequence",
            "The last line of the audit trail that the collector has heard of.",
        );
        Ok(Self {
            told,
            totals: [
                (sent, Counts::sent),
                (dropped, Counts::dropped),
                (failures, Counts::failures),
            ],
            sequence: IntGauge::with_opts(sequence)?,
            audit_sequence: IntGauge::with_opts(audit_sequence)?,
        })
    }
}

impl Collector for ToldNow {
    fn desc(&self) -> Vec<&Desc> {
        let totals = self.totals.iter().flat_map(|(total, _)| total.desc());
        let sequences = [&self.sequence, &self.audit_sequence];
        totals
            .chain(sequences.into_iter().flat_map(Collector::desc))
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (total, read) in &self.totals {
            total.reset();
            for signal in Signal::ALL {
                let count = read(&self.told.counts, signal);
                total.with_label_values(&[signal.as_str()]).inc_by(count);
            }
        }
        let heard = &self.told.heard;
        let sequences = [
            (&self.sequence, &heard.ledger),
            (&self.audit_sequence, &heard.audit),
        ];
        for (sequence, heard) in sequences {
            sequence.set(i64::try_from(*heard.borrow()).unwrap_or(i64::MAX));
        }
        let totals = self.totals.iter().flat_map(|(total, _)| total.collect());
        let sequences = sequences.into_iter().flat_map(|(s, _)| s.collect());
        totals.chain(sequences).collect()
    }
}
