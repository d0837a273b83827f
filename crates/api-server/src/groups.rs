//! The verbs of `ContainerGroups`, one file for each kind.

pub(crate) mod attach;
pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod export;
pub(crate) mod logs;
pub(crate) mod policy;
pub(crate) mod port_forward;
pub(crate) mod query;
mod resolve;
mod session;
pub(crate) mod stats;
pub(crate) mod update;
pub(crate) mod wait;
pub(crate) mod watch;
