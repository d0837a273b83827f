//! The sections of devices that groups may be given, each to one group at a time. Their keys are
//! written about in `runtime-config/burstlet.toml`.
//!
//! A node belongs to one device, or is shared by all devices of a resource. One that was in two devices
//! could be lent to two groups, and one that is both lent and shared would be nobody's own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use burstlet_model::{Device, ExtendedResource};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// Resources that a machine may give devices of.
const RESOURCES_MAX: usize = 64;
/// Devices of all resources together.
const DEVICES_MAX: usize = 1024;
/// Nodes of one device, and nodes that the devices of a resource share.
const NODES_MAX: usize = 64;
/// Bytes of a node's path.
const PATH_BYTES_MAX: usize = 255;
/// What every container has below `/dev` of its own.
const IN_EVERY_CONTAINER: [&str; 17] = [
    "console",
    "core",
    "fd",
    "full",
    "mqueue",
    "null",
    "ptmx",
    "pts",
    "random",
    "shm",
    "stderr",
    "stdin",
    "stdout",
    "termination-log",
    "tty",
    "urandom",
    "zero",
];

/// The sections `[devices."…"]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Devices(BTreeMap<Resource, DevicePool>);

/// The devices of one resource.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevicePool {
    /// Each by its nodes, in the order in which they are lent.
    paths: Vec<Vec<NodePath>>,
    /// What every group has that has one of them.
    #[serde(default)]
    shared: Vec<NodePath>,
}

/// A path below `/dev`, which leads nowhere else as it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct NodePath(PathBuf);

/// A node where it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'c> {
    pub(crate) resource: &'c ExtendedResource,
    /// The place of its device among the resource's; none if it is shared.
    pub(crate) device: Option<usize>,
    pub(crate) path: &'c Path,
}

/// A section's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Resource(ExtendedResource);

impl Devices {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The resources that this machine has devices of.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (&ExtendedResource, &DevicePool)> {
        self.0.iter().map(|(resource, pool)| (&resource.0, pool))
    }

    /// The nodes that every group has that has a device of a resource.
    pub(crate) fn shared_nodes(&self) -> BTreeMap<ExtendedResource, Vec<PathBuf>> {
        let resources = self.resources();
        resources
            .map(|(of, pool)| (of.clone(), pool.shared().map(Path::to_owned).collect()))
            .collect()
    }

    /// Every node, as often as it is written.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.resources().flat_map(|(resource, pool)| {
            let lent = (0..).zip(&pool.paths);
            let lent = lent.flat_map(|(at, nodes)| nodes.iter().map(move |node| (Some(at), node)));
            let shared = pool.shared.iter().map(|node| (None, node));
            let all = lent.chain(shared);
            all.map(move |(device, node)| Place {
                resource,
                device,
                path: &node.0,
            })
        })
    }

    /// Checks what no single value can know.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.0.len() > RESOURCES_MAX {
            return Err(format!("[devices] has more than {RESOURCES_MAX} resources"));
        }
        let devices: usize = self.0.values().map(|pool| pool.paths.len()).sum();
        if devices > DEVICES_MAX {
            return Err(format!("[devices] has more than {DEVICES_MAX} devices"));
        }
        for (resource, pool) in self.resources() {
            pool.check()
                .map_err(|problem| format!("[devices.\"{resource}\"] {problem}"))?;
        }
        self.check_owners()
    }

    /// Every node is of one device, or shared.
    fn check_owners(&self) -> Result<(), String> {
        let mut first: BTreeMap<&Path, Place<'_>> = BTreeMap::new();
        for place in self.places() {
            let Some(other) = first.insert(place.path, place) else {
                continue;
            };
            let both_share = place.device.is_none() && other.device.is_none();
            if !both_share || place.resource == other.resource {
                let path = place.path.display();
                return Err(format!("{place} has {path}, which {other} has, too"));
            }
        }
        Ok(())
    }
}

impl DevicePool {
    /// The devices as the queue lends them.
    pub(crate) fn devices(&self) -> impl Iterator<Item = Device> {
        self.paths.iter().map(|nodes| Device {
            nodes: nodes.iter().map(|node| node.0.clone()).collect(),
        })
    }

    /// What goes with each of them.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Path> {
        self.shared.iter().map(|node| node.0.as_path())
    }

    fn check(&self) -> Result<(), String> {
        if self.paths.is_empty() {
            return Err("paths has no device: leave the section out".to_owned());
        }
        for (at, nodes) in (0..).zip(&self.paths) {
            match nodes.len() {
                1..=NODES_MAX => {}
                0 => return Err(format!("paths[{at}] has no node")),
                _ => return Err(format!("paths[{at}] has more than {NODES_MAX} nodes")),
            }
        }
        if self.shared.len() > NODES_MAX {
            return Err(format!("shared has more than {NODES_MAX} nodes"));
        }
        Ok(())
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.resource;
        match self.device {
            Some(at) => write!(f, "[devices.\"{resource}\"] paths[{at}]"),
            None => write!(f, "[devices.\"{resource}\"] shared"),
        }
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = ExtendedResource::new(String::deserialize(deserializer)?);
        name.map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for NodePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match wrong_with(&text) {
            None => Ok(Self(text.into())),
            Some(problem) => Err(D::Error::custom(format!("{text:?} {problem}"))),
        }
    }
}

/// Why a path is not one of a node that groups may be given.
fn wrong_with(text: &str) -> Option<String> {
    let Some(below) = text.strip_prefix("/dev/") else {
        return Some("must be a path below /dev".to_owned());
    };
    let mut parts = below.split('/');
    if parts.clone().any(|part| matches!(part, "" | "." | "..")) {
        return Some("must be a path without empty parts, \".\" and \"..\"".to_owned());
    }
    if text.len() > PATH_BYTES_MAX || text.chars().any(char::is_control) {
        return Some(format!(
            "must have at most {PATH_BYTES_MAX} bytes, and no control characters"
        ));
    }
    let first = parts.next().unwrap_or_default();
    let taken = IN_EVERY_CONTAINER.contains(&first);
    taken.then(|| format!("is no device to give away: containers have a /dev/{first} of their own"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
