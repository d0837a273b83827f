use crate::{Bytes, MilliCpu};

/// Amounts of what a machine has. `None` is "not stated", which differs from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceList {
    /// Processor time per time.
    pub cpu: Option<MilliCpu>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Writable layer, logs and disk-backed `emptyDir` together.
    pub ephemeral_storage: Option<Bytes>,
    /// Number of processes and threads.
    pub pids: Option<u64>,
}

fn both<T>(a: Option<T>, b: Option<T>, join: impl Fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(join(a, b)),
        (a, b) => a.or(b),
    }
}

impl ResourceList {
    fn join(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            cpu: both(self.cpu, other.cpu, |a, b| MilliCpu(join(a.0, b.0))),
            memory: both(self.memory, other.memory, |a, b| Bytes(join(a.0, b.0))),
            ephemeral_storage: both(self.ephemeral_storage, other.ephemeral_storage, |a, b| {
                Bytes(join(a.0, b.0))
            }),
            pids: both(self.pids, other.pids, &join),
        }
    }

    /// The sum of both, where not stated counts as zero; saturates.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.join(other, u64::saturating_add)
    }

    /// The larger of both, for each resource.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.join(other, Ord::max)
    }

    /// These amounts, and those of `fallback` where nothing is stated here.
    #[must_use]
    pub fn or(self, fallback: Self) -> Self {
        Self {
            cpu: self.cpu.or(fallback.cpu),
            memory: self.memory.or(fallback.memory),
            ephemeral_storage: self.ephemeral_storage.or(fallback.ephemeral_storage),
            pids: self.pids.or(fallback.pids),
        }
    }
}

/// What is set aside for a container and what it may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Set aside; where only a limit is stated the request equals it.
    pub requests: ResourceList,
    /// The most it may use.
    pub limits: ResourceList,
}

/// What of a container's resources changes only by starting it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResizePolicy {
    /// Requests and limits of processors.
    pub cpu_restarts: bool,
    /// Requests and limits of memory.
    pub memory_restarts: bool,
}

impl ResizePolicy {
    /// Whether what runs with `from` has to be started again to have `to`.
    #[must_use]
    pub fn restarts(self, from: &Resources, to: &Resources) -> bool {
        let cpu = |r: &Resources| (r.requests.cpu, r.limits.cpu);
        let memory = |r: &Resources| (r.requests.memory, r.limits.memory);
        (self.cpu_restarts && cpu(from) != cpu(to))
            || (self.memory_restarts && memory(from) != memory(to))
    }
}
