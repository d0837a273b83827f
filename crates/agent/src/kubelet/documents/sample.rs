//! One look at what the node and its pods use.

use std::path::Path;
use std::sync::Arc;

use burstlet_model::spec::ResourceList;
use burstlet_model::status::{ContainerState, ContainerStatus};
use burstlet_model::{BootTime, GroupName, GroupUid, NetworkUsage, Stamp, Usage, WallTime};
use burstlet_supervisor::record::Origin;
use burstlet_supervisor::{Groups, Snapshot};
use nix::sys::statvfs::statvfs;
use nix::unistd::{SysconfVar, sysconf};

use crate::host::RealHost;
use crate::machine;

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Stamp,
    /// The node's name.
    pub(super) node: String,
    pub(super) machine: MachineUse,
    /// Those of which something runs, in the order of their names.
    pub(super) pods: Vec<PodUse>,
}

/// The machine as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MachineUse {
    pub(super) cpu_ns: u64,
    pub(super) memory_bytes: u64,
    pub(super) memory_available_bytes: u64,
    pub(super) working_set_bytes: u64,
    pub(super) disk: DiskUse,
}

/// The disk that groups write to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DiskUse {
    pub(super) capacity_bytes: u64,
    pub(super) available_bytes: u64,
    pub(super) inodes: u64,
    pub(super) inodes_free: u64,
}

/// A pod.
#[derive(Clone, Debug)]
pub(super) struct PodUse {
    pub(super) uid: GroupUid,
    pub(super) name: GroupName,
    pub(super) created: WallTime,
    pub(super) usage: Usage,
    pub(super) network: Option<NetworkUsage>,
    /// Those that run.
    pub(super) containers: Vec<ContainerUse>,
}

/// A container.
#[derive(Clone, Debug)]
pub(super) struct ContainerUse {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) id: String,
    pub(super) started: WallTime,
    pub(super) limits: ResourceList,
    pub(super) usage: Usage,
}

impl Sample {
    /// The time of day at which something was read.
    pub(super) fn wall(&self, read: BootTime) -> WallTime {
        let ago = self.at.boot.since(read).as_nanos();
        WallTime(
            self.at
                .wall
                .0
                .saturating_sub(i64::try_from(ago).unwrap_or(0)),
        )
    }
}

/// Looks.
pub(super) async fn take(groups: &Groups<RealHost>, node: &str, state_dir: &Path) -> Sample {
    let mut pods = Vec::new();
    for snapshot in groups.list().groups {
        if snapshot.definition.origin == Origin::Kubernetes
            && let Some(pod) = pod(groups, &snapshot).await
        {
            pods.push(pod);
        }
    }
    Sample {
        at: machine::now(),
        node: node.to_owned(),
        machine: machine_use(state_dir),
        pods,
    }
}

/// What a pod uses; nothing if nothing of it runs.
async fn pod(groups: &Groups<RealHost>, snapshot: &Arc<Snapshot>) -> Option<PodUse> {
    let status = &snapshot.status;
    if !status
        .all_containers()
        .any(|container| container.state.is_running())
    {
        return None;
    }
    let used = match groups.usage(&snapshot.uid).await {
        Ok(used) => used,
        Err(error) => {
            // It ends right now, or is looked at again with the next scrape.
            tracing::debug!(group = %snapshot.uid, %error, "a pod is left out of its node's numbers");
            return None;
        }
    };
    let usage_of = |name: &str| {
        let mut containers = used.containers.iter();
        containers
            .find(|(of, _)| of.as_str() == name)
            .map(|of| of.1)
    };
    let containers = status.all_containers().filter_map(|container| {
        let usage = usage_of(container.name.as_str())?;
        container_use(snapshot, container, usage)
    });
    Some(PodUse {
        uid: snapshot.uid.clone(),
        name: snapshot.name().clone(),
        created: status.created_at,
        usage: used.group,
        network: used.network,
        containers: containers.collect(),
    })
}

fn container_use(
    snapshot: &Snapshot,
    container: &ContainerStatus,
    usage: Usage,
) -> Option<ContainerUse> {
    let ContainerState::Running { started_at, .. } = &container.state else {
        return None;
    };
    let spec = &snapshot.definition.spec;
    let mut all = spec.all_containers();
    let (_, spec) = all.find(|(_, spec)| spec.name == container.name)?;
    Some(ContainerUse {
        name: container.name.to_string(),
        image: container.image.clone(),
        id: format!(
            "{}_{}_{}",
            snapshot.uid, container.name, container.restart_count
        ),
        started: started_at.wall,
        limits: spec.resources.limits,
        usage,
    })
}

fn machine_use(state_dir: &Path) -> MachineUse {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let meminfo = read("/proc/meminfo");
    let bytes = |name: &str| meminfo_bytes(&meminfo, name).unwrap_or(0);
    let (total, free) = (bytes("MemTotal"), bytes("MemFree"));
    MachineUse {
        cpu_ns: cpu_ns(&read("/proc/stat"), ticks_per_second()).unwrap_or(0),
        memory_bytes: total.saturating_sub(free),
        memory_available_bytes: bytes("MemAvailable"),
        working_set_bytes: total
            .saturating_sub(free)
            .saturating_sub(bytes("Inactive(file)")),
        disk: disk_use(state_dir),
    }
}

fn disk_use(directory: &Path) -> DiskUse {
    statvfs(directory).map_or_else(
        |_| DiskUse::default(),
        |disk| DiskUse {
            capacity_bytes: disk.blocks().saturating_mul(disk.fragment_size()),
            available_bytes: disk.blocks_available().saturating_mul(disk.fragment_size()),
            inodes: disk.files(),
            inodes_free: disk.files_available(),
        },
    )
}

fn ticks_per_second() -> u64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    ticks
        .and_then(|ticks| u64::try_from(ticks).ok())
        .unwrap_or(100)
}

/// Time in which the processors did something: all but idling and waiting.
fn cpu_ns(stat: &str, ticks_per_second: u64) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Option<Vec<u64>> = line
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect();
    let ticks = ticks?;
    // user, nice, system, then idle and iowait, irq, softirq, steal; guests are in user.
    let busy: u64 = ticks
        .iter()
        .take(3)
        .chain(ticks.iter().skip(5).take(3))
        .sum();
    Some(busy.saturating_mul(1_000_000_000) / ticks_per_second.max(1))
}

fn meminfo_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_count_what_they_do() {
        let stat = "cpu  100 20 30 5000 60 7 8 9 10 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(cpu_ns(stat, 100), Some(1_740_000_000));
        assert_eq!(cpu_ns("intr 1\n", 100), None);
    }

    #[test]
    fn memory_is_read_by_its_whole_name() {
        let meminfo = "MemTotal: 8 kB\nInactive:  3 kB\nInactive(file):  2 kB\n";
        assert_eq!(meminfo_bytes(meminfo, "Inactive(file)"), Some(2048));
        assert_eq!(meminfo_bytes(meminfo, "Inactive"), Some(3072));
        assert_eq!(meminfo_bytes(meminfo, "SwapTotal"), None);
    }
}
