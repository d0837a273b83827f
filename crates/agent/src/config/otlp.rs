//! Whom by OTLP is told what.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::value::OptionalPath;

/// Between two pages of metrics, in seconds.
const INTERVAL_S: RangeInclusive<u32> = 1..=3600;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Otlp {
    pub(crate) endpoint: String,
    pub(crate) ca_file: OptionalPath,
    pub(crate) headers_file: OptionalPath,
    pub(crate) interval_s: u32,
    pub(crate) signals: BTreeSet<OtlpSignal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OtlpSignal {
    Logs,
    Metrics,
    Events,
    Audit,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            ca_file: OptionalPath::default(),
            headers_file: OptionalPath::default(),
            interval_s: 60,
            // Who did what is told where an operator says so.
            signals: BTreeSet::from([OtlpSignal::Logs, OtlpSignal::Metrics, OtlpSignal::Events]),
        }
    }
}

impl Otlp {
    /// Whether anybody is told this.
    pub(crate) fn tells(&self, signal: OtlpSignal) -> bool {
        !self.endpoint.is_empty() && self.signals.contains(&signal)
    }

    /// Checks what no single value can know.
    pub(super) fn check(&self) -> Result<(), String> {
        let endpoint = &self.endpoint;
        let is_url = ["http://", "https://"].map(|scheme| endpoint.starts_with(scheme));
        if !endpoint.is_empty() && !is_url.contains(&true) {
            return Err(format!(
                "[otlp] endpoint {endpoint:?} must begin with http:// or https://"
            ));
        }
        if self.ca_file.0.is_some() && endpoint.starts_with("http://") {
            return Err("[otlp] ca_file is for an endpoint with https://".to_owned());
        }
        match INTERVAL_S.contains(&self.interval_s) {
            true => Ok(()),
            false => Err(format!(
                "[otlp] interval_s must be from {} to {}",
                INTERVAL_S.start(),
                INTERVAL_S.end()
            )),
        }
    }
}
