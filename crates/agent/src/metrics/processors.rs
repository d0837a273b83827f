//! How many processors are whose, looked up at each scrape.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

use crate::processors::ProcessorUse;

pub(super) struct ProcessorsNow<F> {
    look: F,
    processors: IntGaugeVec,
}

impl<F> ProcessorsNow<F> {
    pub(super) fn new(look: F) -> Result<Self, prometheus::Error> {
        let text = "Processors that one group has alone, and that all others share.";
        let opts = Opts::new("burstlet_processors", text);
        Ok(Self {
            look,
            processors: IntGaugeVec::new(opts, &["kind"])?,
        })
    }
}

impl<F: Fn() -> ProcessorUse + Send + Sync> Collector for ProcessorsNow<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.processors.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let ProcessorUse { shared, exclusive } = (self.look)();
        for (kind, count) in [("shared", shared), ("exclusive", exclusive)] {
            let gauge = self.processors.with_label_values(&[kind]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.processors.collect()
    }
}
