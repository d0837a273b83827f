//! Reading what a cgroup has used.

use std::io;
use std::path::{Path, PathBuf};

use burstlet_model::{BootTime, Bytes, Usage};

use crate::handle::self_and_descendants;
use crate::hierarchy::Controller;
use crate::{Cgroup, CgroupError, parse};

/// Counts what the cgroup's children did as well.
pub(crate) const V1_IO_FILE: &str = "blkio.throttle.io_service_bytes_recursive";

impl Cgroup {
    /// Reads the counters, which include those of the cgroups below. `at` is the caller's clock.
    ///
    /// # Errors
    /// The cgroup does not exist (kind `NotFound`), or a file is not as the kernel writes it.
    pub fn usage(&self, at: BootTime) -> Result<Usage, CgroupError> {
        let usage = if self.hierarchy.is_v2() {
            self.v2_usage()
        } else {
            self.v1_usage()
        };
        usage.map(|usage| Usage { at, ..usage })
    }

    /// Reads the processor time used, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> Result<u64, CgroupError> {
        let path = self.cpu_file()?;
        if self.hierarchy.is_v2() {
            return Ok(keyed(&path, "usage_usec")?.saturating_mul(1000));
        }
        number(&path)
    }

    /// Where all memory charged is.
    pub(crate) fn memory_file(&self) -> Result<PathBuf, CgroupError> {
        match self.hierarchy.is_v2() {
            true => self.file(Controller::Memory, "memory.current"),
            false => self.file(Controller::Memory, "memory.usage_in_bytes"),
        }
    }

    /// Where the processor time used is: a number of nanoseconds on v1, among others on v2.
    pub(crate) fn cpu_file(&self) -> Result<PathBuf, CgroupError> {
        match self.hierarchy.is_v2() {
            true => self.file(Controller::Cpu, "cpu.stat"),
            false => self.file(Controller::CpuAcct, "cpuacct.usage"),
        }
    }

    fn v2_usage(&self) -> Result<Usage, CgroupError> {
        let file = |name: &str| self.file(Controller::Cpu, name);
        let memory = number(&file("memory.current")?)?;
        let inactive = keyed(&file("memory.stat")?, "inactive_file")?;
        let peak = read_if_present(&file("memory.peak")?)?;
        let io = read_if_present(&file("io.stat")?)?;
        let io = io.as_deref().map(parse::v2_io).unwrap_or_default();
        Ok(Usage {
            cpu_ns: self.cpu_ns()?,
            memory_working_set: Bytes(memory.saturating_sub(inactive)),
            memory: Bytes(memory),
            memory_peak: peak.as_deref().and_then(parse::number).map(Bytes),
            oom_kills: keyed(&file("memory.events")?, "oom_kill")?,
            pids: number(&file("pids.current")?)?,
            io_read: io.read,
            io_written: io.written,
            ..Usage::default()
        })
    }

    fn v1_usage(&self) -> Result<Usage, CgroupError> {
        let file = |name: &str| self.file(Controller::Memory, name);
        let memory = number(&file("memory.usage_in_bytes")?)?;
        let inactive = keyed(&file("memory.stat")?, "total_inactive_file")?;
        let peak = number(&file("memory.max_usage_in_bytes")?)?;
        let io = match self.hierarchy.directory(Controller::BlkIo, self.path()) {
            Some(dir) => read_if_present(&dir.join(V1_IO_FILE))?,
            None => None,
        };
        let io = io.as_deref().map(parse::v1_io).unwrap_or_default();
        Ok(Usage {
            cpu_ns: self.cpu_ns()?,
            memory_working_set: Bytes(memory.saturating_sub(inactive)),
            memory: Bytes(memory),
            memory_peak: Some(Bytes(peak)),
            oom_kills: self.v1_oom_kills()?,
            pids: number(&self.file(Controller::Pids, "pids.current")?)?,
            io_read: io.read,
            io_written: io.written,
            ..Usage::default()
        })
    }

    /// v1 counts a kill only where the process was, not in the cgroups above.
    fn v1_oom_kills(&self) -> Result<u64, CgroupError> {
        let mut kills: u64 = 0;
        if let Some(dir) = self.hierarchy.directory(Controller::Memory, self.path()) {
            for dir in self_and_descendants(&dir)? {
                if let Some(text) = read_if_present(&dir.join("memory.oom_control"))? {
                    kills = kills.saturating_add(parse::keyed(&text, "oom_kill").unwrap_or(0));
                }
            }
        }
        Ok(kills)
    }

    fn file(&self, controller: Controller, name: &str) -> Result<PathBuf, CgroupError> {
        self.hierarchy
            .directory(controller, self.path())
            .map(|dir| dir.join(name))
            .ok_or_else(|| CgroupError::Missing(vec!["usage counters"]))
    }
}

/// Reads `path`, or `None` if it does not exist.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<String>, CgroupError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CgroupError::read(path, error)),
    }
}

fn read(path: &Path) -> Result<String, CgroupError> {
    std::fs::read_to_string(path).map_err(|e| CgroupError::read(path, e))
}

fn number(path: &Path) -> Result<u64, CgroupError> {
    parse::number(&read(path)?).ok_or_else(|| content(path, "number"))
}

fn keyed(path: &Path, key: &'static str) -> Result<u64, CgroupError> {
    parse::keyed(&read(path)?, key).ok_or_else(|| content(path, key))
}

pub(crate) fn content(path: &Path, field: &'static str) -> CgroupError {
    CgroupError::Content {
        path: path.to_owned(),
        field,
    }
}
