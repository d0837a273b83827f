//! What an operator sees of a running agent: its log, its metrics, and whether it is well.
//!
//! Nothing here knows what the agent is for. Other crates bring metrics to the [`Registry`], hold
//! [`Latch`]es until they are ready, and beat [`Heartbeat`]s while they live; this crate shows them
//! on the admin port.
//!
//! | route      | fails while                                                        |
//! |------------|--------------------------------------------------------------------|
//! | `/livez`   | a heartbeat is late: a restart of the agent may help               |
//! | `/healthz` | a heartbeat is late or a check fails                               |
//! | `/readyz`  | a latch is held or a check fails: requests will not be served well |
//! | `/metrics` | never; Prometheus text                                             |
//!
//! Whoever has more to show brings a [`admin::Page`] with a route of its own.
//!
//! `?verbose` lists every item by name.

pub mod admin;
mod health;
pub mod log;
mod metrics;
mod process;
mod readiness;

pub use health::{Health, Heartbeat};
pub use metrics::{BuildInfo, Registry};
pub use readiness::{Latch, Readiness};

/// One named item of a verbose answer, and what is wrong with it if anything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is about.
    pub name: String,
    /// Why it fails; `None` if it is well.
    pub fault: Option<String>,
}
