//! Devices of a machine that are given to one group at a time.

use std::path::PathBuf;

use crate::spec::GroupSpec;
use crate::{ContainerName, ExtendedResource};

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

impl Lease {
    /// The devices of one of the group's containers.
    #[must_use]
    pub fn of(&self, spec: &GroupSpec, container: &ContainerName) -> Vec<Device> {
        let places = spec.devices_of(container);
        let count = usize::try_from(places.end - places.start).unwrap_or(usize::MAX);
        let first = usize::try_from(places.start).unwrap_or(usize::MAX);
        let devices = self.devices.iter().skip(first).take(count);
        devices.cloned().collect()
    }
}
