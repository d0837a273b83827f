//! Which groups may have processors of their own.

use super::{ContainerSpec, GroupSpec};
use crate::MilliCpu;

/// Thousandths of a processor.
const WHOLE: u64 = 1000;

impl GroupSpec {
    /// How many processors the group has alone, on a node that gives groups any: as many as it asks
    /// for, if each of its containers asks for whole ones, and may use neither more processors nor
    /// more memory than it asks for. (What a kubelet with static processors asks of a container.)
    ///
    /// None if the group says what it needs as a whole: nobody knows then who of it needs what.
    #[must_use]
    pub fn whole_processors(&self) -> Option<usize> {
        let all_whole = self.lasting_containers().all(|(_, c)| is_whole(c));
        if self.resources.is_some() || !all_whole {
            return None;
        }
        let count = self.requested().cpu?.0 / WHOLE;
        usize::try_from(count).ok().filter(|count| *count > 0)
    }
}

fn is_whole(container: &ContainerSpec) -> bool {
    let (requests, limits) = (container.resources.requests, container.resources.limits);
    let is_whole = |cpu: MilliCpu| cpu.0 > 0 && cpu.0.is_multiple_of(WHOLE);
    limits.cpu.is_some_and(is_whole)
        && limits.cpu == requests.cpu
        && limits.memory.is_some()
        && limits.memory == requests.memory
}
