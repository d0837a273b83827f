//! Checks, tidy, benchmarks.
fn main() {}
