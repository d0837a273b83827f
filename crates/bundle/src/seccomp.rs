//! System call filters: profiles in the JSON form that Docker, containerd and Podman share, compiled
//! to a classic BPF program.
//!
//! ```text
//! JSON ─► Profile ─► the entries that count ─► intervals of numbers ─► binary tree ─► Program
//!                    for this processor,        that are decided
//!                    kernel, capabilities       alike
//! ```
//!
//! * The first entry that matches a call, in the order of the file, decides; if none does, the
//!   default. An entry matches if all its conditions hold.
//! * A binary tree takes about eight comparisons for any call, where a list of rules takes
//!   hundreds; and the program is compiled once and kept, since a start has no time for it.
//! * Only the processor's own 64-bit interface is served. A call by another one (32-bit calls,
//!   which a filter of 64-bit numbers would misread) ends the process; x32 numbers do not exist.

mod arch;
mod condition;
mod profile;
mod profiles;
mod program;
mod select;
mod tree;

pub use arch::Arch;
pub use profile::{Profile, ProfileError};
pub use profiles::Profiles;
pub use program::{Instruction, Program};
pub use select::KernelVersion;

#[cfg(test)]
mod default_tests;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod tests;
