//! `[processors]`.

use burstlet_model::MilliCpu;
use serde::Deserialize;

use super::Capacity;

/// Thousandths of a processor.
const WHOLE: u64 = 1000;

/// Whether groups may have processors alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Processors {
    pub(crate) exclusive: bool,
}

impl Processors {
    /// Checks what no single value can know.
    ///
    /// What is asked for in whole is counted with all else that is asked for. So those who share are
    /// left as much as they ask for only where nothing is oversold, and something only where something
    /// is reserved.
    pub(super) fn check(self, capacity: &Capacity) -> Result<(), String> {
        if !self.exclusive {
            return Ok(());
        }
        if capacity.reserved_cpu == MilliCpu(0) {
            return Err(
                "[processors] exclusive needs a [capacity] reserved_cpu: as many processors as it \
                 begins are never given to one group alone"
                    .to_owned(),
            );
        }
        if capacity.overcommit_percent > 100 {
            return Err(
                "[processors] exclusive and a [capacity] overcommit_percent above 100 exclude each \
                 other: what one group has alone cannot be sold twice"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// How many processors are never given to one group alone.
    pub(crate) fn kept(capacity: &Capacity) -> usize {
        usize::try_from(capacity.reserved_cpu.0.div_ceil(WHOLE)).unwrap_or(usize::MAX)
    }
}
