//! The registry that all metrics of the process are in, and the numbers about the process itself.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{Encoder, Gauge, Opts, TextEncoder};

use crate::process::ProcessCollector;

/// What this binary is, shown as labels of `burstlet_build_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// The program's name, as `burstlet`.
    pub program: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// All metrics of the process. Clones share one registry.
#[derive(Clone, Debug)]
pub struct Registry {
    inner: prometheus::Registry,
    /// Collectors set their numbers and show them: two at once would count twice.
    one_at_a_time: Arc<Mutex<()>>,
}

impl Registry {
    /// With the build and the process in it.
    pub fn new(build: BuildInfo) -> Result<Self, prometheus::Error> {
        let registry = Self {
            inner: prometheus::Registry::new(),
            one_at_a_time: Arc::default(),
        };
        let info = Gauge::with_opts(
            Opts::new(
                "burstlet_build_info",
                "What is running; the value is always 1.",
            )
            .const_label("program", build.program)
            .const_label("version", build.version),
        )?;
        info.set(1.0);
        registry.register(info)?;
        registry.register(ProcessCollector::new()?)?;
        Ok(registry)
    }

    /// Adds a metric or a collector of several. A name that is taken is an error.
    pub fn register(&self, collector: impl Collector + 'static) -> Result<(), prometheus::Error> {
        self.inner.register(Box::new(collector))
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let turn = self.one_at_a_time.lock();
        let _turn = turn.unwrap_or_else(PoisonError::into_inner);
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.inner.gather(), &mut out)?;
        String::from_utf8(out).map_err(|fault| prometheus::Error::Msg(fault.to_string()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use prometheus::IntCounter;

    use super::*;

    fn registry() -> Registry {
        Registry::new(BuildInfo {
            program: "burstlet",
            version: "1.2.3",
        })
        .unwrap()
    }

    #[test]
    fn the_build_is_a_label() {
        let text = registry().render().unwrap();
        let line = "burstlet_build_info{program=\"burstlet\",version=\"1.2.3\"} 1";
        assert!(text.lines().any(|l| l == line), "{text}");
    }

    #[test]
    fn metrics_of_others_are_shown_and_names_are_unique() {
        let registry = registry();
        let starts = IntCounter::new("burstlet_starts_total", "Starts.").unwrap();
        registry.register(starts.clone()).unwrap();
        starts.inc_by(3);
        let text = registry.render().unwrap();
        assert!(text.contains("# TYPE burstlet_starts_total counter\nburstlet_starts_total 3\n"));
        assert!(registry.register(starts).is_err());
    }
}
