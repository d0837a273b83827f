//! Groups and containers on the real kernel, through the real launcher. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod isolation;
mod run;
mod streams;
mod survival;
mod ways;
