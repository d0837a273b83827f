//! The wires from outside: what real clients sent, what they are answered, and what must hold for
//! any bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod captures;
mod client;
mod invariants;
mod properties;
