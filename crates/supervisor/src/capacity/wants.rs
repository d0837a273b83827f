//! What groups ask for, and what there is of it: of what every machine has, and of this one's devices.

use burstlet_model::spec::{DeviceRequest, GroupSpec, ResourceList};
use burstlet_model::{Bytes, MilliCpu};

use super::pools::Counts;
use super::shortage::{Lack, lack};

/// What a group asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Of what every machine has.
    pub amounts: ResourceList,
    /// Of the devices that this one has.
    pub devices: Option<DeviceRequest>,
}

/// What there is of everything.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    pub(super) amounts: ResourceList,
    pub(super) devices: Counts,
}

impl From<ResourceList> for Wants {
    fn from(amounts: ResourceList) -> Self {
        Self {
            amounts,
            devices: None,
        }
    }
}

impl From<&GroupSpec> for Wants {
    fn from(spec: &GroupSpec) -> Self {
        Self {
            amounts: spec.requested(),
            devices: spec.requested_devices(),
        }
    }
}

impl Wants {
    pub(super) fn is_nothing(&self) -> bool {
        let amounts = numbers(self.amounts);
        self.devices.is_none() && amounts.iter().all(|(_, n)| n.unwrap_or(0) == 0)
    }
}

impl Stock {
    pub(super) fn take(&mut self, wants: &Wants) {
        self.amounts = minus(self.amounts, wants.amounts);
        if let Some(devices) = &wants.devices
            && let Some(count) = self.devices.get_mut(&devices.resource)
        {
            *count = count.saturating_sub(devices.count.into());
        }
    }

    pub(super) fn lack(&self, wants: &Wants) -> Option<Lack> {
        lack(wants.amounts, self.amounts).or_else(|| self.lack_of(wants.devices.as_ref()?))
    }

    fn lack_of(&self, devices: &DeviceRequest) -> Option<Lack> {
        let there = self.devices.get(&devices.resource).copied().unwrap_or(0);
        let wanted = u64::from(devices.count);
        (wanted > there).then(|| Lack {
            resource: devices.resource.to_string().into(),
            wanted,
            there,
        })
    }
}

/// What `list` keeps after `less` is taken, where `list` counts it at all.
pub(super) fn minus(list: ResourceList, less: ResourceList) -> ResourceList {
    let rest = |have: u64, take: Option<u64>| have.saturating_sub(take.unwrap_or(0));
    ResourceList {
        cpu: list.cpu.map(|c| MilliCpu(rest(c.0, less.cpu.map(|l| l.0)))),
        memory: list
            .memory
            .map(|m| Bytes(rest(m.0, less.memory.map(|l| l.0)))),
        ephemeral_storage: list
            .ephemeral_storage
            .map(|s| Bytes(rest(s.0, less.ephemeral_storage.map(|l| l.0)))),
        pids: list.pids.map(|p| rest(p, less.pids)),
    }
}

/// Each resource as a number in its own unit.
pub(super) fn numbers(list: ResourceList) -> [(&'static str, Option<u64>); 4] {
    [
        ("cpu", list.cpu.map(|c| c.0)),
        ("memory", list.memory.map(|m| m.0)),
        ("ephemeral-storage", list.ephemeral_storage.map(|s| s.0)),
        ("pids", list.pids),
    ]
}
