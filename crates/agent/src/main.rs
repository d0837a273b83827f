//! The agent: configuration, wiring and the real host.

mod config;

fn main() {}
