//! What amounts are billed for what a group asked for: rounded to steps, or fitted into sizes.

use super::unit::Meter;
use crate::record::Allocation;

/// How much of everything a group holds, in each meter's smallest amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of ephemeral storage.
    pub ephemeral_storage: u64,
    /// Accelerators.
    pub gpus: u64,
    /// Ports published on the host.
    pub ports: u64,
    /// Bytes of lasting volumes.
    pub volumes: u64,
}

impl From<&Allocation> for Amounts {
    fn from(allocation: &Allocation) -> Self {
        Self {
            cpu_milli: allocation.cpu.0,
            memory: allocation.memory.0,
            ephemeral_storage: allocation.ephemeral.0,
            gpus: allocation.gpus.into(),
            ports: allocation.ports.into(),
            volumes: allocation.volumes.0,
        }
    }
}

impl Amounts {
    /// The amount that a meter counts.
    #[must_use]
    pub const fn of(&self, meter: Meter) -> u64 {
        match meter {
            Meter::Group => 1,
            Meter::Cpu => self.cpu_milli,
            Meter::Memory => self.memory,
            Meter::EphemeralStorage => self.ephemeral_storage,
            Meter::Gpu => self.gpus,
            Meter::Port => self.ports,
            Meter::Volume => self.volumes,
        }
    }
}

/// How an amount that lies between two steps is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// As the step above.
    Ceil,
    /// As the step below.
    Floor,
}

/// The steps in which an amount is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The distance between two steps, in the smallest amounts; at least one.
    pub every: u64,
    /// What happens in between.
    pub rounding: Rounding,
}

impl Step {
    /// Every smallest amount is a step.
    pub const NONE: Self = Self {
        every: 1,
        rounding: Rounding::Ceil,
    };

    /// The step that an amount is billed as.
    #[must_use]
    pub fn round(self, amount: u64) -> u64 {
        let every = self.every.max(1);
        let steps = match self.rounding {
            Rounding::Ceil => amount.div_ceil(every),
            Rounding::Floor => amount / every,
        };
        steps.saturating_mul(every)
    }
}

/// One processor size with the memory sizes that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// The least memory, in bytes.
    pub memory_min: u64,
    /// The most memory, in bytes.
    pub memory_max: u64,
    /// From the least to the most in steps of this many bytes.
    pub memory_step: u64,
}

impl Size {
    /// The memory size for a need; nothing if the size has too little.
    fn memory_for(&self, need: u64) -> Option<u64> {
        let above = need.saturating_sub(self.memory_min);
        let steps = above.div_ceil(self.memory_step.max(1));
        let memory = self
            .memory_min
            .checked_add(steps.checked_mul(self.memory_step)?)?;
        (memory <= self.memory_max).then_some(memory)
    }
}

/// The sizes that a group is fitted into, smallest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Memory added to what the group asks for, in bytes.
    pub overhead_memory: u64,
    /// By processor size.
    pub sizes: Vec<Size>,
}

impl Sizes {
    /// The smallest size that holds the amounts; nothing if none does.
    #[must_use]
    pub fn fit(&self, cpu_milli: u64, memory: u64) -> Option<(u64, u64)> {
        let memory = memory.saturating_add(self.overhead_memory);
        let large = self.sizes.iter().filter(|size| size.cpu_milli >= cpu_milli);
        let mut fitting = large.filter_map(|size| Some((size.cpu_milli, size.memory_for(memory)?)));
        fitting.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_round_as_they_say() {
        let half_gib_more = 3_u64 << 29;
        for (rounding, expected) in [
            (Rounding::Floor, 1_600_000_000),
            (Rounding::Ceil, 1_700_000_000),
        ] {
            let step = Step {
                every: 100_000_000,
                rounding,
            };
            assert_eq!(step.round(half_gib_more), expected);
            assert_eq!(step.round(expected), expected);
        }
        assert_eq!(Step::NONE.round(7), 7);
    }
}
