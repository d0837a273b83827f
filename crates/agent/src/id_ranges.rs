//! Host ids for the groups' user namespaces: a range of its own for each group, for its life.
//!
//! A range is named by its first host id. Which group has which range is written to the group's
//! directory before the range is used, is durable before anything of the group runs, and the range
//! is free again only when that directory, and with it every file that it owned, is gone. So no group ever finds files of another, and a range
//! stays what it was when the configuration gives out others.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burstlet_failpoint::{Point, pass, reach};
use burstlet_model::GroupUid;

use crate::config::{IDS_PER_GROUP, Sandbox};
use crate::records::{make_durable, replace};

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

    /// Takes note of the range that a group of an earlier agent has, whether it runs or rests.
    /// `dir` is the group's own directory. Blocks.
    pub(crate) fn recall(&self, uid: &GroupUid, dir: &Path) {
        if let Some(base) = written(dir) {
            self.lock().insert(base, uid.clone());
        }
    }

    /// The first host id of the group's range, taken now if it has none. Outlives the agent; see
    /// [`IdRanges::settle`]. `dir` is the group's own directory. Blocks.
    ///
    /// # Errors
    /// All ranges are taken, or the choice cannot be written down.
    pub(crate) fn take(&self, uid: &GroupUid, dir: &Path) -> Result<u32, IdRangeError> {
        let base = {
            let mut taken = self.lock();
            if let Some((base, _)) = taken.iter().find(|(_, owner)| *owner == uid) {
                return Ok(*base);
            }
            let mut all = (0..self.config.id_groups).map(|index| self.base(index));
            let base = all.find(|base| is_free(&taken, *base));
            let base = base.ok_or(IdRangeError::Exhausted(self.config.id_groups))?;
            taken.insert(base, uid.clone());
            base
        };
        let text = base.to_string();
        let write = pass(Point::IdsBegun).and_then(|()| replace(dir, FILE, text.as_bytes()));
        if let Err(source) = write {
            self.lock().remove(&base);
            return Err(IdRangeError::Write {
                uid: uid.clone(),
                source,
            });
        }
        reach(Point::IdsTaken);
        Ok(base)
    }

    /// Makes durable which range the group has. Blocks.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) fn settle(uid: &GroupUid, dir: &Path) -> Result<(), IdRangeError> {
        let settled = pass(Point::IdsSettle).and_then(|()| make_durable(dir, FILE));
        settled.map_err(|source| IdRangeError::Write {
            uid: uid.clone(),
            source,
        })
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

/// The range that is written in a group's directory. None begins among the host's own ids.
fn written(dir: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(dir.join(FILE)).ok()?;
    let base = text.trim().parse().ok()?;
    (base >= IDS_PER_GROUP).then_some(base)
}

/// Whether nothing that is taken overlaps the range.
fn is_free(taken: &BTreeMap<u32, GroupUid>, base: u32) -> bool {
    let first = base.saturating_sub(IDS_PER_GROUP - 1);
    let last = base.saturating_add(IDS_PER_GROUP - 1);
    taken.range(first..=last).next().is_none()
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
        let dir = |name: &str| {
            let dir = root.path().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            dir
        };
        let config = Sandbox {
            id_base: 0x10_0000,
            id_groups: 2,
        };
        let ranges = IdRanges::new(config);
        let a = ranges.take(&uid("a"), &dir("a")).unwrap();
        let b = ranges.take(&uid("b"), &dir("b")).unwrap();
        IdRanges::settle(&uid("b"), &dir("b")).unwrap();
        assert_eq!((a, b), (0x10_0000, 0x11_0000));
        assert_eq!(ranges.take(&uid("a"), &dir("a")).unwrap(), a);
        assert!(matches!(
            ranges.take(&uid("c"), &dir("c")),
            Err(IdRangeError::Exhausted(2))
        ));

        // The next agent knows of `b` before anybody asks for it; `a` is gone.
        let next_agent = IdRanges::new(config);
        next_agent.recall(&uid("b"), &dir("b"));
        assert_eq!(next_agent.take(&uid("c"), &dir("c")).unwrap(), a);
        assert_eq!(next_agent.take(&uid("b"), &dir("b")).unwrap(), b);
        next_agent.release(&uid("c"));
        assert_eq!(next_agent.take(&uid("d"), &dir("d")).unwrap(), a);
    }

    #[test]
    fn another_configuration_moves_nobody() {
        let root = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let dir = root.path().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            dir
        };
        let config = |id_base| Sandbox {
            id_base,
            id_groups: 3,
        };
        let before = IdRanges::new(config(0x10_0000));
        let a = before.take(&uid("a"), &dir("a")).unwrap();
        let after = IdRanges::new(config(0x10_8000));
        after.recall(&uid("a"), &dir("a"));
        assert_eq!(after.take(&uid("a"), &dir("a")).unwrap(), a);
        // The first range would overlap that of `a`.
        assert_eq!(after.take(&uid("b"), &dir("b")).unwrap(), 0x11_8000);
    }

    #[test]
    fn no_range_lies_among_the_hosts_own_ids() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(FILE), "0").unwrap();
        assert_eq!(written(root.path()), None);
    }
}
