//! Limits into control files, through `cgroups-rs`' controllers.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
    match cgroup
        .hierarchy
        .directory(Controller::Devices, cgroup.path())
    {
        Some(dir) if cgroup.capabilities.device_list => crate::devices::apply(&dir, limits.devices),
        _ => Ok(()),
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
    let v2 = cgroup.hierarchy.is_v2();
    let controller = CpuController::new(dir.to_owned(), PathBuf::new(), v2);
    let (share, share_file, quota_file) = if v2 {
        (cpu_weight(limits.cpu_request), "cpu.weight", "cpu.max")
    } else {
        (
            cpu_shares(limits.cpu_request),
            "cpu.shares",
            "cpu.cfs_quota_us",
        )
    };
    controller
        .set_shares(share)
        .map_err(|e| write_error(&dir.join(share_file), &share, &e))?;
    let quota = cpu_quota_us(limits.cpu_limit);
    controller
        .set_cfs_quota(quota)
        .map_err(|e| write_error(&dir.join(quota_file), &quota, &e))
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
