//! What the node says that it has.

use std::collections::BTreeMap;

use burstlet_model::spec::ResourceList;
use burstlet_supervisor::Groups;
use burstlet_supervisor::record::Origin;

use super::condition;
use crate::config::{CapacityMode, Config};
use crate::host::RealHost;
use crate::machine::Machine;

/// What a node says that it has if it takes whatever is scheduled to it.
const UNLIMITED: [(&str, &str); 4] = [
    ("cpu", "10k"),
    ("memory", "100Ti"),
    ("ephemeral-storage", "1Pi"),
    ("pods", "100k"),
];
/// Pods that a node has room for if it says what it has: what bounds them is memory.
const HONEST_PODS: &str = "1000";
/// What a node that takes what others cannot has above what is in use: enough for the next pods until it
/// is told anew, and so little that the scheduler finds more room elsewhere.
const ABOVE_CPU_MILLIS: u64 = 4_000;
const ABOVE_MEMORY_BYTES: u64 = 8 << 30;
const ABOVE_PODS: u64 = 20;

/// Amounts by resource, as quantities.
type Amounts = BTreeMap<String, String>;

/// What does not change.
pub(super) fn fixed(config: &Config, machine: &Machine) -> Amounts {
    match config.kubernetes.capacity_mode {
        CapacityMode::Unlimited | CapacityMode::Overflow => {
            amounts(UNLIMITED.map(|(name, amount)| (name, amount.to_owned())))
        }
        CapacityMode::Honest => {
            let offered = machine.allocatable(&config.capacity);
            let cpu = offered.cpu.map_or(0, |cpu| cpu.0);
            let memory = offered.memory.map_or(0, |memory| memory.0);
            let disk = condition::disk_bytes(&config.state_dir);
            amounts([
                ("cpu", format!("{cpu}m")),
                ("memory", memory.to_string()),
                ("ephemeral-storage", disk.to_string()),
                ("pods", HONEST_PODS.to_owned()),
            ])
        }
    }
}

/// What is instead of that now, if it changes.
pub(super) fn now(config: &Config, groups: &Groups<RealHost>) -> Option<Amounts> {
    if config.kubernetes.capacity_mode != CapacityMode::Overflow {
        return None;
    }
    let all = groups.list().groups;
    let counts = all.iter().filter(|group| {
        group.definition.origin == Origin::Kubernetes && !group.status.phase.is_finished()
    });
    let (mut used, mut pods) = (ResourceList::default(), 0);
    for group in counts {
        used = used.plus(group.definition.spec.requested());
        pods += 1;
    }
    Some(above(used, pods))
}

/// A little more than what so many pods ask for. Disk is not what they are kept away by.
fn above(used: ResourceList, pods: u64) -> Amounts {
    let cpu = used.cpu.map_or(0, |cpu| cpu.0) + ABOVE_CPU_MILLIS;
    let memory = used.memory.map_or(0, |memory| memory.0) + ABOVE_MEMORY_BYTES;
    let mut above = amounts(UNLIMITED.map(|(name, amount)| (name, amount.to_owned())));
    above.extend(amounts([
        ("cpu", format!("{cpu}m")),
        ("memory", memory.to_string()),
        ("pods", (pods + ABOVE_PODS).to_string()),
    ]));
    above
}

fn amounts<const N: usize>(of: [(&str, String); N]) -> Amounts {
    of.map(|(name, amount)| (name.to_owned(), amount)).into()
}

#[cfg(test)]
mod tests {
    use burstlet_model::{Bytes, MilliCpu};

    use super::*;

    #[test]
    fn a_little_is_left_above_what_is_used() {
        let used = ResourceList {
            cpu: Some(MilliCpu(1500)),
            memory: Some(Bytes(1 << 30)),
            ..ResourceList::default()
        };
        let little = above(used, 3);
        assert_eq!(little["cpu"], "5500m");
        assert_eq!(little["memory"], (9_u64 << 30).to_string());
        assert_eq!(little["pods"], "23");
        assert_eq!(little["ephemeral-storage"], "1Pi");
        let none = above(ResourceList::default(), 0);
        assert_eq!((&*none["cpu"], &*none["pods"]), ("4000m", "20"));
    }
}
