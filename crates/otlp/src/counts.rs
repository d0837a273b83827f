//! What became of what was to be told, for the metrics of whoever tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Lines of the log.
    Logs,
    /// Metrics.
    Metrics,
    /// Events.
    Events,
    /// Who did what.
    Audit,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Logs, Self::Metrics, Self::Events, Self::Audit];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Events => "events",
            Self::Audit => "audit",
        }
    }

    /// What tells of it, if that is a part of the program that collectors should tell apart.
    pub(crate) const fn scope(self) -> Option<&'static str> {
        match self {
            Self::Logs | Self::Metrics | Self::Events => None,
            Self::Audit => Some("audit"),
        }
    }
}

/// Counts by signal since the start. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<[Count; 4]>);

#[derive(Debug, Default)]
struct Count {
    sent: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

impl Counts {
    /// Records, or pages of metrics, that the collector has taken.
    #[must_use]
    pub fn sent(&self, signal: Signal) -> u64 {
        self.of(signal).sent.load(Ordering::Relaxed)
    }

    /// Those that nobody will send any more, or that the collector did not want.
    #[must_use]
    pub fn dropped(&self, signal: Signal) -> u64 {
        self.of(signal).dropped.load(Ordering::Relaxed)
    }

    /// Tries that the collector did not answer, or not with thanks.
    #[must_use]
    pub fn failures(&self, signal: Signal) -> u64 {
        self.of(signal).failures.load(Ordering::Relaxed)
    }

    pub(crate) fn add_sent(&self, signal: Signal, more: u64) {
        self.of(signal).sent.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn add_dropped(&self, signal: Signal, more: u64) {
        self.of(signal).dropped.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn add_failure(&self, signal: Signal) {
        self.of(signal).failures.fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, signal: Signal) -> &Count {
        let [logs, metrics, events, audit] = &*self.0;
        match signal {
            Signal::Logs => logs,
            Signal::Metrics => metrics,
            Signal::Events => events,
            Signal::Audit => audit,
        }
    }
}
