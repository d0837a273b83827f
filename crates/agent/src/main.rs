//! The agent: configuration, wiring and the real host.
fn main() {}
