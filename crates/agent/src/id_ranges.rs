//! Host ids for the groups' user namespaces: a range of its own for each group, for its life.
//!
//! Which group has which range is written to the group's directory before the range is used, and
//! the range is free again only when that directory, and with it every file that it owned, is
//! gone. So no group ever finds files of another.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burstlet_model::GroupUid;

use crate::config::{IDS_PER_GROUP, Sandbox};
use crate::records::replace_durably;

const FILE: &str = "id-range";

/// The ranges of this agent.
#[derive(Debug)]
pub(crate) struct IdRanges {
    config: Sandbox,
    taken: Mutex<BTreeMap<u32, GroupUid>>,
}

/// Why a group has no range.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdRangeError {
    /// Every range is taken.
    #[error("all {0} ranges of host ids are taken: raise [sandbox] id_groups or delete groups")]
    Exhausted(u32),
    /// The range cannot be written down.
    #[error("write down the id range of group {uid}")]
    Write { uid: GroupUid, source: io::Error },
}

impl IdRanges {
    /// No range is taken yet.
    pub(crate) const fn new(config: Sandbox) -> Self {
        Self {
            config,
            taken: Mutex::new(BTreeMap::new()),
        }
    }

    /// Takes note of the range that a group of an earlier agent has. `dir` is the group's own
    /// directory. Blocks.
    pub(crate) fn recall(&self, uid: &GroupUid, dir: &Path) {
        let index = std::fs::read_to_string(dir.join(FILE))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if let Some(index) = index {
            self.lock().insert(index, uid.clone());
        }
    }

    /// The first host id of the group's range, taken now if it has none. Blocks.
    ///
    /// # Errors
    /// All ranges are taken, or the choice cannot be made durable.
    pub(crate) fn take(&self, uid: &GroupUid, dir: &Path) -> Result<u32, IdRangeError> {
        let index = {
            let mut taken = self.lock();
            if let Some((index, _)) = taken.iter().find(|(_, owner)| *owner == uid) {
                return Ok(self.base(*index));
            }
            let free = (0..self.config.id_groups).find(|index| !taken.contains_key(index));
            let index = free.ok_or(IdRangeError::Exhausted(self.config.id_groups))?;
            taken.insert(index, uid.clone());
            index
        };
        if let Err(source) = replace_durably(dir, FILE, index.to_string().as_bytes()) {
            self.lock().remove(&index);
            return Err(IdRangeError::Write {
                uid: uid.clone(),
                source,
            });
        }
        Ok(self.base(index))
    }

    /// Gives a group's range back. Only when its directory is gone.
    pub(crate) fn release(&self, uid: &GroupUid) {
        self.lock().retain(|_, owner| owner != uid);
    }

    fn base(&self, index: u32) -> u32 {
        self.config
            .id_base
            .saturating_add(index.saturating_mul(IDS_PER_GROUP))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, GroupUid>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn uid(text: &str) -> GroupUid {
        GroupUid::new(text).unwrap()
    }

    #[test]
    fn a_range_is_kept_for_life_and_over_restarts() {
        let root = tempfile::tempdir().unwrap();
        let dir = |name: &str| root.path().join(name);
        let config = Sandbox {
            id_base: 0x10_0000,
            id_groups: 2,
        };
        let ranges = IdRanges::new(config);
        let a = ranges.take(&uid("a"), &dir("a")).unwrap();
        let b = ranges.take(&uid("b"), &dir("b")).unwrap();
        assert_eq!((a, b), (0x10_0000, 0x11_0000));
        assert_eq!(ranges.take(&uid("a"), &dir("a")).unwrap(), a);
        assert!(matches!(
            ranges.take(&uid("c"), &dir("c")),
            Err(IdRangeError::Exhausted(2))
        ));

        let next_agent = IdRanges::new(config);
        next_agent.recall(&uid("b"), &dir("b"));
        assert_eq!(next_agent.take(&uid("b"), &dir("b")).unwrap(), b);
        assert_eq!(next_agent.take(&uid("c"), &dir("c")).unwrap(), a);
        next_agent.release(&uid("c"));
        assert_eq!(next_agent.take(&uid("d"), &dir("d")).unwrap(), a);
    }
}
