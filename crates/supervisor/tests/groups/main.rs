//! Groups on a scripted host, in paused time: the loop, its door and its memory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopt;
mod change;
mod clock;
mod common;
mod devices;
mod door;
mod ephemeral;
mod launch;
mod metering;
mod probes;
mod queue;
mod resize;
mod restart;
mod spot;
mod stop;
mod together;
