//! Launcher, keeper, their protocol and its client.
//!
//! ```text
//! burstlet            the agent: uses `client`, never forks
//!  └ burstlet-launcher   one per node: `launcher`; single-threaded, no secrets, forks keepers
//!     └ keeper           one per group: `keeper`; holds the namespaces, forks the containers,
//!        └ containers    owns their stdio and logs, reaps them, writes durable exit records
//! ```
//!
//! * [`plan`] is what the agent asks for, as plain data; [`protocol`] is how it is said: versioned
//!   JSON messages over `SOCK_SEQPACKET` with file descriptors.
//! * [`client`] is the agent's side, on tokio.
//! * [`cores`] keeps what processes hold out of core dumps.
//! * [`device`] tells which device a node is.
//! * [`files`] changes the files of a volume together, in memory and on disk.
//! * [`logs`] writes and reads the container logs.
//! * [`verify`] compares what a container was given with what it was to be given, before it runs.
//! * The process side is compiled with the feature `launcher` only, so that nothing but the
//!   launcher binary links libcontainer.
//!
//! This crate knows no images, no registries, no HTTP and no policy. `unsafe` appears in `sys`
//! alone.

pub mod client;
pub mod cores;
pub mod device;
pub mod exits;
pub mod files;
#[cfg(feature = "launcher")]
mod keeper;
#[cfg(feature = "launcher")]
pub mod launcher;
pub mod logs;
pub mod plan;
pub mod protocol;
mod sys;
mod tree;
pub mod verify;
