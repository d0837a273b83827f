//! The devices of containers: each has the nodes of its own devices where the host has them, and those
//! that all devices of their resource share; its cgroup lets it open these, and no others.
//!
//! On v1 a cgroup can be given only what the one above it has, so the group's has what its containers
//! were given so far. Nothing runs there but the group's keeper, which opens none.

use burstlet_model::spec::GroupSpec;
use burstlet_model::{Device, DeviceNumber, GroupUid};
use burstlet_sandbox::plan::{MountPlan, MountSource, Outside};
use burstlet_supervisor::host::HostError;

use super::Parts;
use super::failure::{CREATE, fail};
use crate::device::Node;

/// Looks at the nodes that a container has by its devices, and lets the cgroups of its group have them.
/// Blocks.
pub(super) fn lend(
    parts: &Parts,
    (uid, spec): (&GroupUid, &GroupSpec),
    devices: &[Device],
) -> Result<Vec<Node>, HostError> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let resource = spec.device_resource.as_ref();
    let shared = resource.and_then(|resource| parts.shared_nodes.get(resource));
    let own = devices.iter().flat_map(|device| &device.nodes);
    let nodes = own.chain(shared.into_iter().flatten());
    let nodes = nodes
        .map(|path| Node::open(path).map_err(|error| fail(error.kind(), CREATE, &error)))
        .collect::<Result<Vec<_>, _>>()?;
    let lent = parts.cgroups.group(uid).allow_devices(&numbers(&nodes));
    lent.map_err(|error| fail(error.kind(), CREATE, &error))?;
    Ok(nodes)
}

/// The devices that these are nodes of.
pub(super) fn numbers(nodes: &[Node]) -> Vec<DeviceNumber> {
    nodes.iter().map(Node::number).collect()
}

/// Each node where the host has it. They are the host's: nothing about a mount makes them others'.
pub(super) fn mounts(nodes: &[Node]) -> impl Iterator<Item = MountPlan> {
    nodes.iter().map(|node| MountPlan {
        destination: node.path().to_owned(),
        source: MountSource::Device {
            node: Outside::Path(node.held()),
            number: node.number(),
        },
        read_only: false,
        options: Vec::new(),
    })
}
