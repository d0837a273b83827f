//! The burstctl command line.
fn main() {}
