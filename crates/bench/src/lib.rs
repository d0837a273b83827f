//! What the programs that measure have in common: the clock, the machine, and tables.

pub mod clock;
pub mod machine;
pub mod report;
