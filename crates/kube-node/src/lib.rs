//! A Kubernetes node: it registers, runs the pods that the scheduler binds to it as container
//! groups, and tells how they are.
//!
//! ```text
//! API server ─watch─► pods ─► one worker for each ─┬─► Groups (create, delete)
//!      ▲                                           │
//!      └── status patches, events, last deletes ◄──┴── snapshots
//!      └── node, its status ◄── registration;  lease ◄── heartbeat (a thread of its own)
//! ```
//!
//! Pods of files run beside them, also without an API server, and are shown to it by mirrors.
//!
//! The kubelet's port is served elsewhere; a [`PortLink`] tells it who may ask, what certificate it
//! shows, and which pods there are.
//!
//! What a pod becomes and how a group is told are pure functions (`pod`, `node`, `lease`); the
//! other modules carry them out. The node's identity may do little (the Node authorizer's view):
//! pods are watched with a selector, what they refer to is read one by one.
//!
//! This crate refuses to know how a group is run, and reads no clock but the host's.

mod access;
mod book;
mod certificate;
mod config;
mod costs;
mod csr;
mod deletion;
mod directory;
mod error;
mod events;
mod fetch;
mod heartbeat;
mod identity;
mod lease;
mod link;
mod mirrors;
mod node;
mod pod;
mod pods;
mod registration;
mod run;
mod service_watch;
mod serving;
mod time;
mod watching;
mod worker;

pub use access::{Access, Account};
pub use config::{
    Audited, Auditor, ClusterFacts, Credentials, DaemonSets, NodeConfig, NodeFacts, SystemInfo,
    Taint, UserNamespaces,
};
pub use costs::{Cost, Costs};
pub use error::KubeNodeError;
pub use identity::{IdentityState, Standing};
pub use link::PortLink;
pub use node::{ClusterView, Finding, NetworkTrouble, NodeCondition, NodeImage};
pub use pods::{HeardPod, Pods};
pub use run::{Condition, run};
pub use serving::ServingCertificate;
