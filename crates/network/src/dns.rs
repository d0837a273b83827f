//! The groups' name server, on the bridge's own address.
//!
//! Who asks is known by the sender's address, which the ruleset does not let anybody forge. A group
//! finds the groups of its own namespace, as `NAME`, `NAME.NAMESPACE` and
//! `NAME.NAMESPACE.DOMAIN`; names of other namespaces do not exist for it. Everything else is
//! forwarded as it is.
//!
//! `names` decides and `message` encodes, both pure; `server`, `forward` and `ask` have the sockets.

mod ask;
mod forward;
mod message;
mod names;
mod server;

pub use ask::ask;
pub(crate) use forward::Upstreams;
#[cfg(feature = "fuzzing")]
pub(crate) use message::{Reply, reply};
pub(crate) use names::{Holder, SharedNames};
pub(crate) use server::Server;
