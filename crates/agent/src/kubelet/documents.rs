//! What can be read at once at the kubelet's port: lists of pods, numbers, the configuration.
//!
//! Numbers are taken when somebody asks ([`sample`]); the rest of each document is made of them
//! without a look at the machine.

mod cadvisor;
mod configuration;
mod exposition;
mod lists;
mod probes;
mod resource;
mod sample;
mod summary;

use std::sync::Arc;

use burstlet_kube_node::Pods;
use burstlet_kubelet_api::{Document, Refused};
use burstlet_metering::Meter;
use burstlet_metering::view::Format;
use burstlet_model::{ErrorKind, GroupUid};
use burstlet_supervisor::Groups;
use burstlet_telemetry::Registry;

use crate::config::Config;
use crate::host::RealHost;
use crate::machine;
use sample::Sample;
pub(super) use summary::Rates;

/// Makes them.
pub(super) struct Documents {
    pub(super) groups: Groups<RealHost>,
    pub(super) pods: Pods,
    pub(super) config: Arc<Config>,
    /// The node's name.
    pub(super) node: String,
    /// The agent's own metrics.
    pub(super) registry: Registry,
    pub(super) meter: Meter,
    pub(super) rates: Rates,
}

impl Documents {
    pub(super) async fn make(&self, document: Document) -> Result<String, Refused> {
        match document {
            Document::Pods => Ok(self.pods.list().to_string()),
            Document::RunningPods => Ok(lists::running(&self.groups.list().groups).to_string()),
            Document::StatsSummary {
                only_cpu_and_memory,
            } => {
                let sample = self.sample().await;
                let rates = self.rates.since_last(&sample);
                let summary = summary::summary(&sample, &rates, only_cpu_and_memory);
                Ok(summary.to_string())
            }
            Document::Metrics => {
                let page = self.registry.render();
                page.map_err(|error| failed("the agent's metrics", &error))
            }
            Document::MetricsResource => Ok(resource::page(&self.sample().await)),
            Document::MetricsCadvisor => Ok(cadvisor::page(&self.sample().await)),
            Document::MetricsProbes => {
                let counts = |uid: &GroupUid| self.groups.probe_counts(uid);
                Ok(probes::page(&self.groups.list().groups, counts))
            }
            Document::MetricsBilling => {
                let page = self.meter.page(Format::Text, machine::now());
                page.map_err(|error| failed("the bills", &error))
            }
            Document::Configuration => Ok(configuration::show(&self.config).to_string()),
        }
    }

    async fn sample(&self) -> Sample {
        sample::take(&self.groups, &self.node, &self.config.state_dir).await
    }
}

fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> Refused {
    tracing::error!(error, "cannot show {what}");
    Refused::new(ErrorKind::Internal, format!("cannot show {what}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
