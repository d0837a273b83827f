//! The network of container groups: an address for life, a link, rules, names and published ports.
//!
//! ```text
//! lease ──► attach ──► detach ──► attach ──► … ──► release
//! durable:  link, rules, names    a group that     address and ports are free again,
//! address   in the group's        is started       the address after a quarantine
//! and ports network namespace     again
//! ```
//!
//! What there should be is decided by pure modules (`plan`, `ruleset`, `ipam`, `dns::names`,
//! [`files`]); one thread carries it out (`kernel`, `bridge`, `netlink`). With
//! [`Mode::Cni`], an operator's plugins do it instead (`cni`).
//!
//! This crate knows nothing of containers or pods: it is handed a network namespace and a lease.

mod bridge;
mod check;
mod cni;
mod config;
mod dns;
mod error;
pub mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod ipam;
mod kernel;
mod lease;
mod leases;
mod netlink;
mod network;
mod nft_tool;
mod plan;
mod publish;
mod ruleset;
mod sysctl;

pub use check::{Finding, check};
pub use cni::CniError;
pub use config::{
    BridgeConfig, CONNECTIONS_PER_GROUP_MAX_DEFAULT, CniConfig, DnsConfig, Exception, Isolation,
    Mode, NetworkConfig, OWNER_BYTES_MAX, PLATFORM_ADDRESSES, Policy, QUARANTINE_DEFAULT,
};
pub use dns::ask;
pub use error::NetworkError;
pub use lease::{HostPort, Lease, LeaseRequest, PublishedPort};
pub use leases::lease_holder;
pub use network::{Attached, Network, Reconciled};
pub use plan::Mac;

/// Where programs that we run are looked for, whatever the environment says.
const SYSTEM_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
