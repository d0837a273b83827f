//! Groups' cgroups that are looked at every second. Their files stay open: finding a file by its
//! path takes the kernel several times as long as reading it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use burstlet_model::{Bytes, GroupUid};

use crate::usage::content;
use crate::{Cgroup, CgroupError, Cgroups, parse};

/// Bytes that are read of a file at most: what is wanted is a number, or in the first line.
const TEXT_BYTES_MAX: usize = 512;

/// The open files of many groups.
#[derive(Debug, Default)]
pub struct Gauges {
    open: HashMap<GroupUid, Gauge>,
}

/// What a group uses, at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// All memory charged.
    pub memory: Bytes,
    /// Processor time used, in nanoseconds, if that was asked for.
    pub cpu_ns: Option<u64>,
}

#[derive(Debug)]
struct Gauge {
    memory: Counter,
    cpu: Counter,
    is_v2: bool,
}

/// An open file of a cgroup.
#[derive(Debug)]
struct Counter {
    path: PathBuf,
    file: File,
}

impl Gauges {
    /// Reads what a group uses. A cgroup that was removed and made anew since is found again.
    ///
    /// # Errors
    /// As [`Cgroup::usage`].
    pub fn read(
        &mut self,
        cgroups: &Cgroups,
        uid: &GroupUid,
        with_cpu: bool,
    ) -> Result<Reading, CgroupError> {
        let known = self.open.get(uid).map(|gauge| gauge.read(with_cpu));
        if let Some(Ok(reading)) = known {
            return Ok(reading);
        }
        // What a removed cgroup's files say is an error.
        self.open.remove(uid);
        let gauge = Gauge::of(&cgroups.group(uid))?;
        let reading = gauge.read(with_cpu)?;
        self.open.insert(uid.clone(), gauge);
        Ok(reading)
    }

    /// Closes the files of all groups but these.
    pub fn keep(&mut self, uids: &HashSet<&GroupUid>) {
        self.open.retain(|uid, _| uids.contains(uid));
    }
}

impl Gauge {
    fn of(cgroup: &Cgroup) -> Result<Self, CgroupError> {
        let open = |path: PathBuf| match File::open(&path) {
            Ok(file) => Ok(Counter { path, file }),
            Err(error) => Err(CgroupError::read(&path, error)),
        };
        Ok(Self {
            memory: open(cgroup.memory_file()?)?,
            cpu: open(cgroup.cpu_file()?)?,
            is_v2: cgroup.hierarchy.is_v2(),
        })
    }

    fn read(&self, with_cpu: bool) -> Result<Reading, CgroupError> {
        let memory = self.memory.find(parse::number, "number")?;
        Ok(Reading {
            memory: Bytes(memory),
            cpu_ns: with_cpu.then(|| self.cpu_ns()).transpose()?,
        })
    }

    fn cpu_ns(&self) -> Result<u64, CgroupError> {
        if !self.is_v2 {
            return self.cpu.find(parse::number, "number");
        }
        let field = "usage_usec";
        let used = self.cpu.find(|text| parse::keyed(text, field), field)?;
        Ok(used.saturating_mul(1000))
    }
}

impl Counter {
    fn find(
        &self,
        parse: impl Fn(&str) -> Option<u64>,
        field: &'static str,
    ) -> Result<u64, CgroupError> {
        let mut bytes = [0; TEXT_BYTES_MAX];
        let read = self.file.read_at(&mut bytes, 0);
        let length = read.map_err(|error| CgroupError::read(&self.path, error))?;
        let text = bytes.get(..length).unwrap_or_default();
        let found = std::str::from_utf8(text).ok().and_then(parse);
        found.ok_or_else(|| content(&self.path, field))
    }
}
