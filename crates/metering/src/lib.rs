//! What every container group had and used, to the nanosecond, in a form that can be proved.
//!
//! ```text
//! agent ──► record ──► ledger (durable, chained) ──► sessions (pure fold) ──► quantities
//!                                                                  │
//!                                                     book ──► rating ──► money
//! ```
//!
//! A [`record`] is one fact with its moment. Everything that is ever charged is a pure function of
//! the records, so that anybody who holds them comes to the same sum. `FORMAT.md` beside this
//! crate documents their bytes for those who would rather not trust this code.
//!
//! Budgets stand as the same records say ([`budget`]).
//!
//! Integers only: nanoseconds, bytes, millicores, microseconds, and their products. This crate
//! knows no cgroup, no wire and no clock but the stamps it is handed.
#![deny(clippy::float_arithmetic)]

pub mod book;
pub mod budget;
pub mod carried;
pub mod chain;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod clocks;
pub mod events;
mod extract;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod fixture;
pub mod focus;
pub mod ledger;
mod meter;
pub mod money;
pub mod rating;
pub mod recent;
pub mod record;
pub mod retire;
pub mod sampler;
pub mod sessions;
pub mod usage;
pub mod verify;
pub mod view;

pub use extract::{ExtractError, Hex, extract, published};
pub use meter::{GroupCost, Meter};
