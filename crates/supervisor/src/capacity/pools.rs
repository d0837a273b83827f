//! Which device is whose: the one place that lends them.
//!
//! A device is free while nobody has any of its nodes. What a group was lent before the operator
//! changed what there is stays lent by its nodes, so that no node ever has two groups, however devices
//! are named or put together now.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use burstlet_model::spec::DeviceRequest;
use burstlet_model::{Device, ExtendedResource, GroupUid, Lease};

use super::DeviceUse;

/// How many devices of each resource.
pub(super) type Counts = BTreeMap<ExtendedResource, u64>;

/// The machine's devices, and who has them.
#[derive(Debug, Default)]
pub(super) struct Pools {
    all: BTreeMap<ExtendedResource, Vec<Device>>,
    lent: HashMap<GroupUid, Lease>,
}

impl Pools {
    pub(super) fn new(all: BTreeMap<ExtendedResource, Vec<Device>>) -> Self {
        Self {
            all,
            lent: HashMap::new(),
        }
    }

    /// How many there are.
    pub(super) fn sizes(&self) -> Counts {
        let sizes = self.all.iter();
        sizes
            .map(|(of, pool)| (of.clone(), count(pool.iter())))
            .collect()
    }

    /// How many there are, and how many groups have.
    pub(super) fn usage(&self) -> BTreeMap<ExtendedResource, DeviceUse> {
        let mut usage = BTreeMap::<_, DeviceUse>::new();
        for (of, size) in self.sizes() {
            usage.entry(of).or_default().allocatable = size;
        }
        for lease in self.lent.values() {
            let of = usage.entry(lease.resource.clone()).or_default();
            of.requested += count(lease.devices.iter());
        }
        usage
    }

    /// How many nobody has.
    pub(super) fn free(&self) -> Counts {
        if self.all.is_empty() {
            return Counts::new();
        }
        let taken = self.taken();
        let pools = self.all.iter();
        pools
            .map(|(of, pool)| {
                (
                    of.clone(),
                    count(pool.iter().filter(|d| is_free(d, &taken))),
                )
            })
            .collect()
    }

    /// Lends a group what it asks for, and says whether there was enough.
    pub(super) fn lend(&mut self, uid: &GroupUid, request: &DeviceRequest) -> bool {
        let pool = self
            .all
            .get(&request.resource)
            .map_or(&[][..], Vec::as_slice);
        let Some(devices) = choose(pool, self.taken(), request.count) else {
            return false;
        };
        let lease = Lease {
            resource: request.resource.clone(),
            devices: devices.into_iter().cloned().collect(),
        };
        self.lent.insert(uid.clone(), lease);
        true
    }

    /// Takes note of what a group has already.
    pub(super) fn keep(&mut self, uid: &GroupUid, lease: Lease) {
        self.lent.insert(uid.clone(), lease);
    }

    pub(super) fn take_back(&mut self, uid: &GroupUid) {
        self.lent.remove(uid);
    }

    pub(super) fn of(&self, uid: &GroupUid) -> Option<&Lease> {
        self.lent.get(uid)
    }

    fn taken(&self) -> HashSet<&Path> {
        let devices = self.lent.values().flat_map(|lease| &lease.devices);
        devices.flat_map(nodes).collect()
    }
}

/// The first `count` devices of which nobody has a node, in the operator's order; nothing if there are
/// too few.
fn choose<'p>(
    pool: &'p [Device],
    mut taken: HashSet<&'p Path>,
    count: u32,
) -> Option<Vec<&'p Device>> {
    let count = usize::try_from(count).ok()?;
    let mut chosen = Vec::new();
    for device in pool {
        if chosen.len() == count {
            break;
        }
        if is_free(device, &taken) {
            taken.extend(nodes(device));
            chosen.push(device);
        }
    }
    (chosen.len() == count).then_some(chosen)
}

fn is_free(device: &Device, taken: &HashSet<&Path>) -> bool {
    nodes(device).all(|node| !taken.contains(node))
}

fn nodes(device: &Device) -> impl Iterator<Item = &Path> {
    device.nodes.iter().map(std::path::PathBuf::as_path)
}

fn count<T>(devices: impl Iterator<Item = T>) -> u64 {
    devices.map(|_| 1).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
