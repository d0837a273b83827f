//! Limits into control files, through `cgroups-rs`' controllers.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burstlet_model::{DeviceNumber, MilliCpu};
use cgroups_rs::fs::MaxValue;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;

use crate::hierarchy::Controller;
use crate::limits::{cpu_quota_us, cpu_shares, cpu_weight, memory_bytes};
use crate::{Cgroup, CgroupError, Limits};

/// Writes `limits` to `cgroup`: the bounds that protect the host first.
pub(crate) fn limits(cgroup: &Cgroup, limits: &Limits) -> Result<(), CgroupError> {
    pids(&directory(cgroup, Controller::Pids)?, cgroup, limits)?;
    let memory = directory(cgroup, Controller::Memory)?;
    memory_limit(&memory, cgroup, memory_bytes(limits.memory_limit))?;
    if cgroup.capabilities.oom_group {
        let path = memory.join("memory.oom.group");
        let value = if limits.oom_group { "1" } else { "0" };
        fs::write(&path, value).map_err(|e| CgroupError::write(path, value, e))?;
    }
    cpu(&directory(cgroup, Controller::Cpu)?, cgroup, limits)?;
    match device_list(cgroup) {
        Some(dir) => crate::devices::apply(&dir, &limits.devices),
        None => Ok(()),
    }
}

/// Lets a cgroup use these devices too.
pub(crate) fn allow_devices(cgroup: &Cgroup, own: &[DeviceNumber]) -> Result<(), CgroupError> {
    if own.is_empty() {
        return Ok(());
    }
    let dir = device_list(cgroup).ok_or(CgroupError::DevicesNotListed)?;
    crate::devices::extend(&dir, own)
}

/// Writes what a group or container has of processors and memory.
pub(crate) fn amounts(cgroup: &Cgroup, limits: &Limits) -> Result<(), CgroupError> {
    let memory = directory(cgroup, Controller::Memory)?;
    memory_limit(&memory, cgroup, memory_bytes(limits.memory_limit))?;
    cpu(&directory(cgroup, Controller::Cpu)?, cgroup, limits)
}

/// Writes what a cgroup has of the processors where others want them too.
pub(crate) fn share(cgroup: &Cgroup, request: MilliCpu) -> Result<(), CgroupError> {
    shares(&directory(cgroup, Controller::Cpu)?, cgroup, request)
}

/// Writes the bounds of both that are above those in force.
pub(crate) fn raise(cgroup: &Cgroup, limits: &Limits) -> Result<(), CgroupError> {
    let (memory_file, quota_file) = match cgroup.hierarchy.is_v2() {
        true => ("memory.max", "cpu.max"),
        false => ("memory.limit_in_bytes", "cpu.cfs_quota_us"),
    };
    let memory = directory(cgroup, Controller::Memory)?;
    let limit = memory_bytes(limits.memory_limit);
    if is_above(&memory.join(memory_file), limit)? {
        memory_limit(&memory, cgroup, limit)?;
    }
    let processors = directory(cgroup, Controller::Cpu)?;
    match is_above(&processors.join(quota_file), cpu_quota_us(limits.cpu_limit))? {
        true => quota(&processors, cgroup, limits),
        false => Ok(()),
    }
}

/// What `cgroups-rs` says, with the place and the plain system error.
pub(crate) fn write_error(
    path: &Path,
    value: &dyn std::fmt::Display,
    error: &cgroups_rs::fs::error::Error,
) -> CgroupError {
    let errno = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error);
    let source = errno.map_or_else(
        || io::Error::other(error.to_string()),
        io::Error::from_raw_os_error,
    );
    CgroupError::write(path, value.to_string(), source)
}

/// Where the devices of a cgroup are listed, if they are.
fn device_list(cgroup: &Cgroup) -> Option<PathBuf> {
    let directory = cgroup
        .hierarchy
        .directory(Controller::Devices, cgroup.path());
    directory.filter(|_| cgroup.capabilities.device_list)
}

fn directory(cgroup: &Cgroup, controller: Controller) -> Result<PathBuf, CgroupError> {
    cgroup
        .hierarchy
        .directory(controller, cgroup.path())
        .ok_or_else(|| CgroupError::Missing(vec!["cpu, memory or pids"]))
}

fn pids(dir: &Path, cgroup: &Cgroup, limits: &Limits) -> Result<(), CgroupError> {
    let max = MaxValue::Value(i64::from(limits.pids_limit));
    PidController::new(dir.to_owned(), PathBuf::new(), cgroup.hierarchy.is_v2())
        .set_pid_max(max)
        .map_err(|e| write_error(&dir.join("pids.max"), &limits.pids_limit, &e))
}

fn cpu(dir: &Path, cgroup: &Cgroup, limits: &Limits) -> Result<(), CgroupError> {
    shares(dir, cgroup, limits.cpu_request)?;
    quota(dir, cgroup, limits)
}

fn shares(dir: &Path, cgroup: &Cgroup, request: MilliCpu) -> Result<(), CgroupError> {
    let v2 = cgroup.hierarchy.is_v2();
    let (share, file) = match v2 {
        true => (cpu_weight(request), "cpu.weight"),
        false => (cpu_shares(request), "cpu.shares"),
    };
    CpuController::new(dir.to_owned(), PathBuf::new(), v2)
        .set_shares(share)
        .map_err(|e| write_error(&dir.join(file), &share, &e))
}

fn quota(dir: &Path, cgroup: &Cgroup, limits: &Limits) -> Result<(), CgroupError> {
    let v2 = cgroup.hierarchy.is_v2();
    let file = if v2 { "cpu.max" } else { "cpu.cfs_quota_us" };
    let quota = cpu_quota_us(limits.cpu_limit);
    CpuController::new(dir.to_owned(), PathBuf::new(), v2)
        .set_cfs_quota(quota)
        .map_err(|e| write_error(&dir.join(file), &quota, &e))
}

/// Memory, and swap so that none can be used: on v2 swap has a limit of its own, on v1 the limit
/// is of both together and must never be below that of memory, so the order depends on the way.
fn memory_limit(dir: &Path, cgroup: &Cgroup, limit: i64) -> Result<(), CgroupError> {
    let v2 = cgroup.hierarchy.is_v2();
    let controller = MemController::new(dir.to_owned(), PathBuf::new(), v2);
    let memory = || {
        let file = if v2 {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        controller
            .set_limit(limit)
            .map_err(|e| write_error(&dir.join(file), &limit, &e))
    };
    if !cgroup.capabilities.swap_limit {
        return memory();
    }
    if v2 {
        let swap = if limit == -1 { -1 } else { 0 };
        memory()?;
        return controller
            .set_memswap_limit(swap)
            .map_err(|e| write_error(&dir.join("memory.swap.max"), &swap, &e));
    }
    let both_file = dir.join("memory.memsw.limit_in_bytes");
    let both = || {
        controller
            .set_memswap_limit(limit)
            .map_err(|e| write_error(&both_file, &limit, &e))
    };
    if raises(&both_file, limit)? {
        both()?;
        memory()
    } else {
        memory()?;
        both()
    }
}

fn raises(file: &Path, limit: i64) -> Result<bool, CgroupError> {
    let text = fs::read_to_string(file).map_err(|e| CgroupError::read(file, e))?;
    let current: u64 = text.trim().parse().unwrap_or(u64::MAX);
    Ok(u64::try_from(limit).map_or(true, |limit| limit > current))
}

/// Whether a bound is higher than the one in a file; −1 is none.
fn is_above(file: &Path, bound: i64) -> Result<bool, CgroupError> {
    let text = fs::read_to_string(file).map_err(|e| CgroupError::read(file, e))?;
    Ok(exceeds(bound, &text))
}

/// Of `cpu.max` the first word counts; what is no number is no bound.
fn exceeds(bound: i64, in_force: &str) -> bool {
    let first = in_force.split_whitespace().next();
    let in_force: Option<i64> = first.and_then(|word| word.parse().ok());
    let in_force = in_force.filter(|number| *number >= 0);
    in_force.is_some_and(|in_force| bound < 0 || bound > in_force)
}

#[cfg(test)]
mod tests {
    use super::exceeds;

    #[test]
    fn bounds_are_compared_as_both_versions_write_them() {
        for (bound, in_force, above) in [
            (-1, "100\n", true),
            (-1, "-1\n", false),
            (-1, "max 100000\n", false),
            (200, "100 100000\n", true),
            (100, "100 100000\n", false),
            (50, "100\n", false),
            (50, "max\n", false),
            (50, "-1\n", false),
            (50, "9223372036854771712\n", false),
        ] {
            assert_eq!(exceeds(bound, in_force), above, "{bound} over {in_force:?}");
        }
    }
}
