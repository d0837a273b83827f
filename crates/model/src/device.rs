//! Devices of a machine that are given to one group at a time.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

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

/// A device as the kernel knows it, whatever nodes there are of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// Characters and blocks are numbered apart.
    pub kind: DeviceKind,
    /// The driver's.
    pub major: u32,
    /// The device's among those of its driver.
    pub minor: u32,
}

/// What a device is read and written by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// Bytes.
    Char,
    /// Blocks.
    Block,
}

/// A text that is not a [`DeviceNumber`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the number of a device, such as `c 1:3`")]
pub struct DeviceNumberError(String);

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

/// As the kernel writes it in its lists.
impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::Char => 'c',
            DeviceKind::Block => 'b',
        };
        write!(f, "{kind} {}:{}", self.major, self.minor)
    }
}

impl FromStr for DeviceNumber {
    type Err = DeviceNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (kind, numbers) = text.split_once(' ')?;
            let kind = match kind {
                "c" => DeviceKind::Char,
                "b" => DeviceKind::Block,
                _ => return None,
            };
            let (major, minor) = numbers.split_once(':')?;
            Some(Self {
                kind,
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
            })
        };
        read().ok_or_else(|| DeviceNumberError(text.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_kernel_writes_them() {
        let disk = DeviceNumber {
            kind: DeviceKind::Block,
            major: 254,
            minor: u32::MAX,
        };
        assert_eq!(disk.to_string(), "b 254:4294967295");
        assert_eq!(disk.to_string().parse(), Ok(disk));
        let null: DeviceNumber = "c 1:3".parse().unwrap();
        assert_eq!(
            (null.kind, null.major, null.minor),
            (DeviceKind::Char, 1, 3)
        );
        for bad in [
            "",
            "c",
            "c 1",
            "c 1:",
            "a 1:3",
            "c 1:*",
            "c 1:3 rwm",
            "c -1:3",
            "c  1:3",
        ] {
            assert!(bad.parse::<DeviceNumber>().is_err(), "{bad:?}");
        }
    }
}
