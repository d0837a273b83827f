//! A group's specification and an image's configuration, made into what starts a container: an OCI
//! runtime specification and a seccomp program.
//!
//! All of it is a function of values: nothing here reads a file, a clock or the host. That is what
//! makes it possible to show for every input that no output opens what must stay closed.
//!
//! ```text
//! GroupSpec ─┐
//! ImageDefaults ─┼─► container_spec ─► OCI runtime spec ─► exec_process ─► a later process
//! User, Facts ─┘                                              (the same rights, other arguments)
//! SeccompProfile + capabilities ─► Profiles::program ─► BPF
//! ```
//!
//! What the specification leaves to whoever starts the container: the root's path, the paths of
//! namespaces, ids, cgroups, volumes. It never has hooks, resources, a seccomp section, sysctls or
//! id mappings.

mod capabilities;
mod container;
mod env;
mod error;
mod inputs;
mod mounts;
mod oom;
mod process;
mod restricted;
pub mod seccomp;
mod sysctls;

pub use capabilities::DEFAULT_CAPABILITIES;
pub use container::container_spec;
pub use error::BundleError;
pub use inputs::{Facts, ImageDefaults, Inputs, User, stop_signal, user_to_resolve};
pub use process::{ExecCommand, exec_process};
pub use sysctls::{HostIds, group_sysctls};

#[cfg(test)]
mod tests;
