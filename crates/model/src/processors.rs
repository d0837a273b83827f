//! Processors that a group has alone, beside those that all others share.
//!
//! Which processors there are and who has them is in [`ProcessorPool`], which decides and does nothing:
//! whoever asks it carries out what it says.

mod choose;
mod pool;
mod set;

pub use choose::{Seat, Topology};
pub use pool::ProcessorPool;
pub use set::{ProcessorSet, ProcessorSetError};
