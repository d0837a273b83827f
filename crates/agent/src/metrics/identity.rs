//! How the certificate stands that the node shows to its API server, looked up at each scrape. An
//! agent that is no node does not have these.

use burstlet_kube_node::{IdentityState, Standing};
use burstlet_telemetry::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounter};

/// Registers them.
///
/// # Errors
/// A name is taken.
pub(crate) fn register(registry: &Registry, state: IdentityState) -> Result<(), prometheus::Error> {
    registry.register(IdentityNow::new(move || state.standing())?)
}

pub(super) struct IdentityNow<F> {
    look: F,
    expiry: Gauge,
    renewals: IntCounter,
    failures: IntCounter,
}

impl<F> IdentityNow<F> {
    pub(super) fn new(look: F) -> Result<Self, prometheus::Error> {
        Ok(Self {
            look,
            expiry: Gauge::new(
                "burstlet_node_certificate_expiry_seconds",
                "When the node's client certificate expires, since the epoch.",
            )?,
            renewals: IntCounter::new(
                "burstlet_node_certificate_renewals_total",
                "Client certificates that the node was granted.",
            )?,
            failures: IntCounter::new(
                "burstlet_node_certificate_renewal_failures_total",
                "Client certificates that the node has asked for in vain.",
            )?,
        })
    }
}

impl<F: Fn() -> Standing + Send + Sync> Collector for IdentityNow<F> {
    fn desc(&self) -> Vec<&Desc> {
        let metrics: [&dyn Collector; 3] = [&self.expiry, &self.renewals, &self.failures];
        metrics.into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let standing = (self.look)();
        let mut shown: Vec<&dyn Collector> = vec![&self.renewals, &self.failures];
        if let Some(expires) = standing.expires {
            self.expiry.set(expires.unix_s() as f64);
            shown.push(&self.expiry);
        }
        for (counter, told) in [
            (&self.renewals, standing.renewals),
            (&self.failures, standing.failures),
        ] {
            counter.inc_by(told.saturating_sub(counter.get()));
        }
        shown.into_iter().flat_map(Collector::collect).collect()
    }
}
