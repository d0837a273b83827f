//! A pod: what the API server says of it, what becomes of it here, and how that is told. Pure.
//!
//! ```text
//! API's pod ─► needs ─► (fetch) ─► claims ─► inline ─► manifest ─► GroupSpec
//!         and again when something of that changes ─► renewed ─► manifest ─► GroupSpec
//! the pod's ephemeral containers, once the group stands ─► ephemeral ─► manifest ─► GroupSpec
//! group's snapshot ─► status ─► patch ─► (write)
//! both ─► decide ─► what to do next
//! ```

pub(crate) mod affinity;
pub(crate) mod claims;
pub(crate) mod conditions;
pub(crate) mod containers;
pub(crate) mod daemon;
pub(crate) mod decide;
pub(crate) mod dns;
pub(crate) mod env;
pub(crate) mod ephemeral;
pub(crate) mod inline;
pub(crate) mod needs;
pub(crate) mod of_file;
pub(crate) mod patch;
pub(crate) mod patience;
pub(crate) mod renewed;
pub(crate) mod resources;
pub(crate) mod seen;
pub(crate) mod services;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod user_namespace;
pub(crate) mod volumes;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod fields;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod golden;
