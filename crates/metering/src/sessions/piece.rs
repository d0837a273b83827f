//! A piece of a session, and what was set aside in it: integers that add up.

use std::iter::Sum;
use std::ops::Add;

use burstlet_model::WallTime;

use crate::record::{Allocation, State};

/// A time of a session in which nothing changed, with the label that says where it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The state.
    pub state: State,
    /// What was set aside.
    pub allocation: &'a Allocation,
    /// The label of its first nanosecond.
    pub from: WallTime,
    /// How long after the opening of its session it begins, by the boot clock.
    pub offset_ns: u64,
    /// How long it is.
    pub ns: u64,
}

/// A time between two labels: the first belongs to it, the second does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its begin.
    pub from: WallTime,
    /// Its end.
    pub to: WallTime,
}

impl Window {
    /// All of time.
    pub const ALL: Self = Self {
        from: WallTime(i64::MIN),
        to: WallTime(i64::MAX),
    };

    /// What is in both; nothing if that is empty.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        let both = Self {
            from: self.from.max(other.from),
            to: self.to.min(other.to),
        };
        (both.from < both.to).then_some(both)
    }

    /// How long it is; nothing if it ends before it begins.
    #[must_use]
    pub const fn ns(self) -> u64 {
        if self.to.0 <= self.from.0 {
            return 0;
        }
        self.to.0.abs_diff(self.from.0)
    }
}

/// Amounts times durations, per resource. Exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantities {
    /// Time, in nanoseconds.
    pub ns: u128,
    /// Processor, in millicore nanoseconds.
    pub cpu_milli_ns: u128,
    /// Memory, in byte nanoseconds.
    pub memory_byte_ns: u128,
    /// Ephemeral storage, in byte nanoseconds.
    pub ephemeral_byte_ns: u128,
    /// Graphics processors, in device nanoseconds.
    pub gpu_ns: u128,
    /// Published ports, in port nanoseconds.
    pub port_ns: u128,
    /// Volumes, in byte nanoseconds.
    pub volume_byte_ns: u128,
}

impl<'a> Piece<'a> {
    /// The part of it that counts in `window`, if any does.
    #[must_use]
    pub fn within(self, window: Window) -> Option<Self> {
        let begin = i128::from(self.from.0);
        let end = begin + i128::from(self.ns);
        let from = begin.max(i128::from(window.from.0));
        let to = match window.to.0 {
            i64::MAX => end,
            to => end.min(i128::from(to)),
        };
        // Both lie within the piece, so the differences fit.
        let skipped = u64::try_from(from - begin).ok()?;
        let ns = u64::try_from(to - from).ok().filter(|ns| *ns > 0)?;
        Some(Piece {
            from: WallTime(i64::try_from(from).ok()?),
            offset_ns: self.offset_ns.saturating_add(skipped),
            ns,
            ..self
        })
    }

    /// What was set aside in it.
    #[must_use]
    pub fn quantities(&self) -> Quantities {
        let ns = u128::from(self.ns);
        let of = |amount: u64| u128::from(amount) * ns;
        Quantities {
            ns,
            cpu_milli_ns: of(self.allocation.cpu.0),
            memory_byte_ns: of(self.allocation.memory.0),
            ephemeral_byte_ns: of(self.allocation.ephemeral.0),
            gpu_ns: of(self.allocation.gpus.into()),
            port_ns: of(self.allocation.ports.into()),
            volume_byte_ns: of(self.allocation.volumes.0),
        }
    }
}

/// Saturating, as nothing real comes near the bound: 2¹²⁸ byte nanoseconds are a tebibyte for
/// ten billion years.
impl Add for Quantities {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            ns: self.ns.saturating_add(other.ns),
            cpu_milli_ns: self.cpu_milli_ns.saturating_add(other.cpu_milli_ns),
            memory_byte_ns: self.memory_byte_ns.saturating_add(other.memory_byte_ns),
            ephemeral_byte_ns: self
                .ephemeral_byte_ns
                .saturating_add(other.ephemeral_byte_ns),
            gpu_ns: self.gpu_ns.saturating_add(other.gpu_ns),
            port_ns: self.port_ns.saturating_add(other.port_ns),
            volume_byte_ns: self.volume_byte_ns.saturating_add(other.volume_byte_ns),
        }
    }
}

impl Sum for Quantities {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}
