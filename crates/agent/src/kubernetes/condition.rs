//! What the node is like right now.

use std::path::Path;

use burstlet_kube_node::{Finding, NodeCondition, NodeImage};
use burstlet_supervisor::Groups;
use nix::sys::statvfs::statvfs;

use super::{capacity, pod_cidr};
use crate::config::Config;
use crate::host::RealHost;

/// Less memory than this is pressure.
const MEMORY_FREE_BYTES_MIN: u64 = 100 << 20;
/// A smaller part of the disk than this is pressure, in percent,
const DISK_FREE_PERCENT_MIN: u64 = 10;
/// unless it is still as much as this: a tenth of a large disk is plenty.
const DISK_FREE_BYTES_ENOUGH: u64 = 5 << 30;
/// A smaller part of the process ids than this is pressure. Percent.
const PIDS_FREE_PERCENT_MIN: u64 = 5;

/// Looks; `findings` are what was found before.
pub(super) fn look(
    config: &Config,
    groups: &Groups<RealHost>,
    findings: Vec<Finding>,
) -> NodeCondition {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let images = groups.host().images.list();
    let images = images.iter().map(|image| NodeImage {
        names: image.references.keys().map(ToString::to_string).collect(),
        bytes: image.size_bytes,
    });
    let pid_max = read("/proc/sys/kernel/pid_max");
    NodeCondition {
        network: pod_cidr::condition(&groups.host().network),
        findings,
        memory_pressure: memory_free(&read("/proc/meminfo"))
            .is_some_and(|free| free < MEMORY_FREE_BYTES_MIN),
        disk_pressure: is_disk_full(&config.state_dir),
        pid_pressure: is_short_of_pids(&read("/proc/loadavg"), &pid_max),
        capacity: capacity::now(config, groups),
        images: images.filter(|image| !image.names.is_empty()).collect(),
    }
}

/// The size of the disk that groups write to.
pub(super) fn disk_bytes(directory: &Path) -> u64 {
    statvfs(directory).map_or(0, |disk| disk.blocks().saturating_mul(disk.fragment_size()))
}

fn is_disk_full(directory: &Path) -> bool {
    statvfs(directory).is_ok_and(|disk| {
        let free = disk.blocks_available();
        let part = free.saturating_mul(100) < disk.blocks().saturating_mul(DISK_FREE_PERCENT_MIN);
        part && free.saturating_mul(disk.fragment_size()) < DISK_FREE_BYTES_ENOUGH
    })
}

fn memory_free(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let line = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The fourth word of the load is RUNNING/ALL, in threads.
fn is_short_of_pids(loadavg: &str, pid_max: &str) -> bool {
    let threads = loadavg
        .split_whitespace()
        .nth(3)
        .and_then(|word| word.split_once('/'));
    let threads = threads.and_then(|(_, all)| all.parse::<u64>().ok());
    let (Some(threads), Ok(max)) = (threads, pid_max.trim().parse::<u64>()) else {
        return false;
    };
    max.saturating_sub(threads).saturating_mul(100) < max.saturating_mul(PIDS_FREE_PERCENT_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_is_available() {
        let meminfo = "MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(memory_free(meminfo), Some(2 << 20));
        assert_eq!(memory_free("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn process_ids_run_short() {
        assert!(!is_short_of_pids("0.1 0.2 0.3 2/900 77", "1000\n"));
        assert!(is_short_of_pids("0.1 0.2 0.3 2/951 77", "1000\n"));
        assert!(!is_short_of_pids("", "1000"));
    }
}
