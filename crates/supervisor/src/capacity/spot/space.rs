//! Room as numbers: what there is of it, what somebody has of it, and what somebody else lacks.

use burstlet_model::spec::{DeviceRequest, ResourceList};

use super::super::pools::Counts;
use super::super::{Wants, numbers};

/// Each resource in its own unit.
pub(super) type Amounts = [u64; 4];
/// The same, and devices of the resource that somebody wants.
pub(super) type Shares = [u64; 5];

/// What somebody has, or wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'q> {
    pub(super) amounts: Amounts,
    pub(super) devices: Option<&'q DeviceRequest>,
}

/// What groups can have, and what they have.
#[derive(Clone, Debug)]
pub(super) struct Space {
    /// `None` is not counted.
    pub(super) room: [Option<u64>; 4],
    pub(super) used: Amounts,
    pub(super) free_devices: Counts,
}

impl Space {
    pub(super) fn with(&self, part: &Part<'_>) -> Self {
        let mut space = self.clone();
        for (used, more) in space.used.iter_mut().zip(part.amounts) {
            *used = used.saturating_add(more);
        }
        if let Some(devices) = part.devices
            && let Some(free) = space.free_devices.get_mut(&devices.resource)
        {
            *free = free.saturating_sub(devices.count.into());
        }
        space
    }

    pub(super) fn without(&self, part: &Part<'_>) -> Self {
        let mut space = self.clone();
        for (used, less) in space.used.iter_mut().zip(part.amounts) {
            *used = used.saturating_sub(less);
        }
        if let Some(devices) = part.devices {
            give(&mut space.free_devices, devices);
        }
        space
    }

    pub(super) fn holds(&self, wants: &Part<'_>) -> bool {
        self.short(wants) == Shares::default()
    }

    /// How much more there would have to be. There may be less than nothing, where the operator offers
    /// less by now than groups have.
    pub(super) fn short(&self, wants: &Part<'_>) -> Shares {
        let mut short = Shares::default();
        let amounts = short.iter_mut().zip(wants.amounts);
        for ((short, wanted), (room, used)) in amounts.zip(self.room.iter().zip(self.used)) {
            *short = match (wanted, room) {
                (0, _) | (_, None) => 0,
                (wanted, Some(room)) => wanted.saturating_add(used).saturating_sub(*room),
            };
        }
        if let Some(devices) = wants.devices {
            let free = self.free_devices.get(&devices.resource).copied();
            short[4] = u64::from(devices.count).saturating_sub(free.unwrap_or(0));
        }
        short
    }
}

impl<'q> From<&'q Wants> for Part<'q> {
    fn from(wants: &'q Wants) -> Self {
        Self {
            amounts: amounts(wants.amounts),
            devices: wants.devices.as_ref(),
        }
    }
}

impl Part<'_> {
    /// What of it could be of use to who wants `wants`: of devices those of the same resource.
    pub(super) fn beside(&self, wants: &Part<'_>) -> Shares {
        let same = self.devices.zip(wants.devices);
        let devices = same.filter(|(has, wants)| has.resource == wants.resource);
        let devices = devices.map_or(0, |(has, _)| has.count.into());
        let [cpu, memory, storage, pids] = self.amounts;
        [cpu, memory, storage, pids, devices]
    }
}

/// Counts devices as free that somebody leaves behind.
pub(super) fn give(free: &mut Counts, devices: &DeviceRequest) {
    if let Some(free) = free.get_mut(&devices.resource) {
        *free = free.saturating_add(devices.count.into());
    }
}

/// Nothing where a list says nothing.
pub(super) fn amounts(list: ResourceList) -> Amounts {
    numbers(list).map(|(_, amount)| amount.unwrap_or(0))
}
