//! What the cgroups of a group and of its containers may use, as its specification and the node's
//! policy say.

use burstlet_cgroup::{Devices, Limits};
use burstlet_model::spec::{ContainerSpec, GroupSpec};
use burstlet_model::{DeviceNumber, MilliCpu};

use super::Parts;

/// Of the group as a whole.
pub(super) fn of_group(parts: &Parts, spec: &GroupSpec) -> Limits {
    let limits = spec
        .resources
        .map(|resources| resources.limits)
        .unwrap_or_default();
    let pids = limits.pids.and_then(|pids| u32::try_from(pids).ok());
    Limits {
        cpu_request: spec.requested().cpu.unwrap_or(MilliCpu(0)),
        cpu_limit: limits.cpu,
        memory_limit: limits.memory,
        pids_limit: pids.unwrap_or(parts.policy.group_pids),
        oom_group: false,
        devices: if any_privileged(spec) {
            Devices::Inherit
        } else {
            Devices::Listed(Vec::new())
        },
    }
}

/// Of a container of the group that has these devices of its own.
pub(super) fn of_container(
    parts: &Parts,
    group: &GroupSpec,
    spec: &ContainerSpec,
    own: Vec<DeviceNumber>,
) -> Limits {
    let (requests, limits) = (spec.resources.requests, spec.resources.limits);
    let pids = limits.pids.and_then(|pids| u32::try_from(pids).ok());
    Limits {
        cpu_request: requests.cpu.unwrap_or(MilliCpu(0)),
        cpu_limit: limits.cpu,
        memory_limit: limits.memory,
        pids_limit: pids.unwrap_or(parts.policy.container_pids),
        oom_group: true,
        devices: if spec.security.privileged || !has_more_than_default(group) {
            Devices::Inherit
        } else {
            Devices::Listed(own)
        },
    }
}

/// Whether the group's cgroup may use devices that not each of its containers may.
fn has_more_than_default(spec: &GroupSpec) -> bool {
    any_privileged(spec) || spec.device_resource.is_some()
}

/// Whether a container may use any device. If none may, the group's cgroup says so for all.
pub(super) fn any_privileged(spec: &GroupSpec) -> bool {
    spec.all_containers()
        .any(|(_, container)| container.security.privileged)
}
