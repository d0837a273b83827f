//! Which processors are whose.

use std::collections::BTreeMap;

use super::{ProcessorSet, Topology};
use crate::GroupUid;

/// The processors that groups run on: those that one group has alone, and those that all others share.
#[derive(Clone, Debug)]
pub struct ProcessorPool {
    all: ProcessorSet,
    /// Never given to one group alone.
    kept: ProcessorSet,
    topology: Topology,
    owners: BTreeMap<GroupUid, ProcessorSet>,
}

impl ProcessorPool {
    /// Nobody has any alone yet, and `keep` are never given to one group alone; at least one.
    #[must_use]
    pub fn new(all: ProcessorSet, keep: usize, topology: Topology) -> Self {
        let keep = keep.clamp(1, all.len().max(1));
        let kept = topology.choose(&all, keep);
        Self {
            kept: kept.unwrap_or_default(),
            all,
            topology,
            owners: BTreeMap::new(),
        }
    }

    /// What a group would have that asks for `count`: something of what is free beside what it has, or
    /// a part of that. `None` if there is not enough.
    #[must_use]
    pub fn choose(&self, uid: &GroupUid, count: usize) -> Option<ProcessorSet> {
        let none = ProcessorSet::default();
        let has = self.owners.get(uid).unwrap_or(&none);
        match count.checked_sub(has.len()) {
            None => self.topology.choose(has, count),
            Some(more) => Some(has.with(&self.topology.choose(&self.free(), more)?)),
        }
    }

    /// Takes note of what a group has alone: of nothing if there is nothing any more.
    pub fn set(&mut self, uid: &GroupUid, own: ProcessorSet) {
        match own.is_empty() {
            true => self.owners.remove(uid),
            false => self.owners.insert(uid.clone(), own),
        };
    }

    /// What a group has alone.
    #[must_use]
    pub fn of(&self, uid: &GroupUid) -> Option<&ProcessorSet> {
        self.owners.get(uid)
    }

    /// Those that have any alone.
    pub fn owners(&self) -> impl Iterator<Item = (&GroupUid, &ProcessorSet)> {
        self.owners.iter()
    }

    /// What everybody else runs on. Never nothing: where groups had everything alone before the machine
    /// or the operator's wish changed, those are shared that would be by now.
    #[must_use]
    pub fn shared(&self) -> ProcessorSet {
        let shared = self.all.without(&self.owned());
        match shared.is_empty() {
            true => self.kept.clone(),
            false => shared,
        }
    }

    /// All of them.
    #[must_use]
    pub const fn all(&self) -> &ProcessorSet {
        &self.all
    }

    fn free(&self) -> ProcessorSet {
        self.all.without(&self.kept).without(&self.owned())
    }

    fn owned(&self) -> ProcessorSet {
        let none = ProcessorSet::default();
        self.owners.values().fold(none, |sum, own| sum.with(own))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::processors::choose::tests::two_nodes;

    fn uid(name: &str) -> GroupUid {
        GroupUid::new(name).unwrap()
    }

    fn set(list: &str) -> ProcessorSet {
        list.parse().unwrap()
    }

    /// Gives a group so many, if there are so many.
    fn ask(pool: &mut ProcessorPool, name: &str, count: usize) -> Option<String> {
        let own = pool.choose(&uid(name), count)?;
        let list = own.to_string();
        pool.set(&uid(name), own);
        Some(list)
    }

    #[test]
    fn what_one_has_nobody_else_gets_until_it_is_given_back() {
        let mut pool = ProcessorPool::new(set("0-3"), 1, Topology::default());
        assert_eq!(ask(&mut pool, "a", 2).as_deref(), Some("1-2"));
        assert_eq!(ask(&mut pool, "b", 2), None);
        assert_eq!(ask(&mut pool, "b", 1).as_deref(), Some("3"));
        assert_eq!(pool.shared(), set("0"));
        assert_eq!(ask(&mut pool, "c", 1), None, "one is always shared");
        // Asked again it has what it had.
        assert_eq!(ask(&mut pool, "a", 2).as_deref(), Some("1-2"));
        pool.set(&uid("a"), ProcessorSet::default());
        assert_eq!(pool.shared(), set("0-2"));
        assert_eq!(ask(&mut pool, "c", 1).as_deref(), Some("1"));
    }

    #[test]
    fn who_asks_for_other_amounts_keeps_what_it_can() {
        let mut pool = ProcessorPool::new(set("0-7"), 2, two_nodes(2));
        assert_eq!(pool.shared(), set("0-7"));
        for (count, own) in [(1, "2"), (3, "2,4-5"), (2, "4-5"), (6, "2-7"), (1, "2")] {
            assert_eq!(ask(&mut pool, "a", count).as_deref(), Some(own), "{count}");
        }
        assert_eq!(ask(&mut pool, "a", 7), None);
        assert_eq!(pool.of(&uid("a")), Some(&set("2")));
    }

    #[test]
    fn something_is_shared_whatever_groups_had_before() {
        let mut pool = ProcessorPool::new(set("0-1"), 1, Topology::default());
        pool.set(&uid("a"), set("0"));
        pool.set(&uid("b"), set("1-5"));
        assert_eq!(pool.shared(), set("0"));
        assert_eq!(ask(&mut pool, "c", 1), None);
    }

    proptest! {
        /// Whatever groups ask for, in whichever order: no processor has two owners, those that are kept
        /// are shared, everybody has as many as it asked for, and nobody is refused while enough is free.
        #[test]
        fn never_two_owners_and_never_too_few_shared(
            keep in 0_usize..6,
            asks in prop::collection::vec((0_usize..5, 0_usize..9), 1..40),
        ) {
            let mut pool = ProcessorPool::new(set("0-15"), keep, two_nodes(4));
            for (who, count) in asks {
                let name = ["a", "b", "c", "d", "e"][who];
                let had = pool.of(&uid(name)).map_or(0, ProcessorSet::len);
                let lendable = 16 - keep.max(1);
                let others = 16 - pool.shared().len() - had;
                let given = ask(&mut pool, name, count);
                prop_assert_eq!(given.is_some(), count <= lendable - others);
                let has = pool.of(&uid(name)).map_or(0, ProcessorSet::len);
                prop_assert_eq!(has, if given.is_some() { count } else { had });
                let sum: usize = pool.owners().map(|(_, own)| own.len()).sum();
                prop_assert_eq!(sum + pool.shared().len(), 16);
                prop_assert!(pool.shared().len() >= keep.max(1));
            }
        }
    }
}
