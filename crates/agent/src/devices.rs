//! The devices of this machine that groups may be given, as they are when the agent starts.
//!
//! What is not there is given to nobody: hardware fails, and that must not keep the agent from the
//! groups that run. What is there and is no device, or is another's by its number, is a mistake that
//! could give two groups the same device: the agent says so and does not start.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use burstlet_model::{Device, DeviceNumber, ExtendedResource};

use crate::config::{Devices, Place};
use crate::device::{Node, NodeError};

/// Devices by their resource, in the order in which they are lent.
pub(crate) type Pools = BTreeMap<ExtendedResource, Vec<Device>>;

/// What is there of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) number: DeviceNumber,
    /// Who may do what with it.
    pub(crate) mode: u32,
}

/// A node of the configuration, and what is at its path; nothing if nothing is.
pub(crate) type Seen<'c> = (Place<'c>, Option<Found>);

/// Why the agent does not start with these devices.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevicesError {
    /// Nothing would keep others from them.
    #[error(
        "[devices.\"{0}\"]: cgroups do not list the devices that a container may open: leave [devices] out, or boot with cgroups of version 1"
    )]
    NotListed(ExtendedResource),
    /// Something else has the path.
    #[error("{place}")]
    Node { place: String, source: NodeError },
    /// Two paths are one device.
    #[error("{place}: {path} is the device {number}, as {other_place}: {other_path} is")]
    Twice {
        number: DeviceNumber,
        place: String,
        path: PathBuf,
        other_place: String,
        other_path: PathBuf,
    },
}

/// Refuses to give devices away where cgroups do not list those that may be opened.
///
/// # Errors
/// There are some.
pub(crate) fn check_kept(configured: &Devices, are_listed: bool) -> Result<(), DevicesError> {
    match configured.resources().next() {
        Some((resource, _)) if !are_listed => Err(DevicesError::NotListed(resource.clone())),
        _ => Ok(()),
    }
}

/// What of the configured devices groups can be given. Tells of those that are not there.
///
/// # Errors
/// See [`seen`].
pub(crate) fn offered(configured: &Devices) -> Result<Pools, DevicesError> {
    let seen = seen(configured, look)?;
    for (place, _) in seen.iter().filter(|(_, found)| found.is_none()) {
        let path = place.path.display();
        tracing::warn!(%place, %path, "a device is not there, and is given to no group");
    }
    Ok(pools(configured, &seen))
}

/// What is at a path.
///
/// # Errors
/// No node that can be used.
pub(crate) fn look(path: &Path) -> Result<Found, NodeError> {
    let node = Node::open(path)?;
    Ok(Found {
        number: node.number(),
        mode: node.mode()?,
    })
}

/// What `look` finds where the nodes are to be.
///
/// # Errors
/// The first that is there and is no device, or that is the device of another one.
pub(crate) fn seen(
    configured: &Devices,
    look: impl Fn(&Path) -> Result<Found, NodeError>,
) -> Result<Vec<Seen<'_>>, DevicesError> {
    let looked = configured.places().map(|place| match look(place.path) {
        Ok(found) => Ok((place, Some(found))),
        Err(NodeError::Absent(_)) => Ok((place, None)),
        Err(source) => Err(DevicesError::Node {
            place: place.to_string(),
            source,
        }),
    });
    let seen = looked.collect::<Result<Vec<_>, _>>()?;
    check_owners(&seen)?;
    Ok(seen)
}

/// What can be lent: devices of which all nodes are there, and all that go with them.
pub(crate) fn pools(configured: &Devices, seen: &[Seen<'_>]) -> Pools {
    let missing = seen.iter().filter(|(_, found)| found.is_none());
    let missing: HashSet<&Path> = missing.map(|(place, _)| place.path).collect();
    let resources = configured.resources();
    resources
        .map(|(resource, pool)| {
            let is_whole = pool.shared().all(|node| !missing.contains(node));
            let is_there = |device: &Device| {
                let mut nodes = device.nodes.iter();
                is_whole && nodes.all(|node| !missing.contains(node.as_path()))
            };
            let devices = pool.devices().filter(is_there).collect();
            (resource.clone(), devices)
        })
        .collect()
}

/// A device that is lent is only its own, by whatever path; what is shared may be shared more widely.
fn check_owners(seen: &[Seen<'_>]) -> Result<(), DevicesError> {
    let mut first: HashMap<DeviceNumber, Place<'_>> = HashMap::new();
    for (place, found) in seen {
        let Some(Found { number, .. }) = found else {
            continue;
        };
        let Some(other) = first.insert(*number, *place) else {
            continue;
        };
        if place.device.is_some() || other.device.is_some() {
            return Err(DevicesError::Twice {
                number: *number,
                place: place.to_string(),
                path: place.path.to_owned(),
                other_place: other.to_string(),
                other_path: other.path.to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
