//! Devices of a machine that are given to one group at a time.

use std::path::PathBuf;

use crate::ExtendedResource;

/// The nodes below `/dev` that are one device. Whoever has it has all of them, and nobody else any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Absolute paths, at least one.
    pub nodes: Vec<PathBuf>,
}

/// Devices that a group has, in the order in which its containers have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What they were asked for as.
    pub resource: ExtendedResource,
    /// By their nodes, as they were when the group was given them: the operator may name others since.
    pub devices: Vec<Device>,
}
