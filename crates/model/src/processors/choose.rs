//! Which of the free processors a group is given.
//!
//! Those that are near each other: all of one memory node where that has enough, and whole cores before
//! single threads of one, so that nobody else works on the other thread of a core if that can be had.
//! What does not make up a core is taken where a core is broken up already. Of equals those with the
//! lowest numbers are taken, so that the same question has the same answer.

use std::collections::BTreeMap;

use super::ProcessorSet;

/// Where a processor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// The memory node.
    pub node: u32,
    /// The core, by the lowest number of its processors.
    pub core: u32,
}

/// Where the machine's processors are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology(BTreeMap<u32, Seat>);

impl FromIterator<(u32, Seat)> for Topology {
    fn from_iter<I: IntoIterator<Item = (u32, Seat)>>(seats: I) -> Self {
        Self(seats.into_iter().collect())
    }
}

impl Topology {
    /// `count` of the free processors; `None` if there are fewer.
    pub(super) fn choose(&self, free: &ProcessorSet, count: usize) -> Option<ProcessorSet> {
        if free.len() < count {
            return None;
        }
        let mut nodes: Vec<ProcessorSet> = self.by(free, |seat| seat.node).collect();
        // The node that has enough and least beside that; else the fullest first.
        let fitting = nodes.iter().enumerate().filter(|(_, n)| n.len() >= count);
        if let Some((index, _)) = fitting.min_by_key(|(_, node)| node.len()) {
            nodes.swap(0, index);
        } else {
            nodes.sort_by_key(|node| std::cmp::Reverse(node.len()));
        }
        let mut chosen = ProcessorSet::default();
        for node in nodes {
            let left = count - chosen.len();
            chosen = chosen.with(&self.of_node(&node, left));
        }
        Some(chosen)
    }

    /// Up to `count` of the free processors of one node.
    fn of_node(&self, free: &ProcessorSet, count: usize) -> ProcessorSet {
        let (whole, broken): (Vec<_>, Vec<_>) = self
            .by(free, |seat| seat.core)
            .partition(|core| self.is_whole(core));
        let mut chosen = ProcessorSet::default();
        for core in &whole {
            if chosen.len() + core.len() <= count {
                chosen = chosen.with(core);
            }
        }
        let singles = broken.iter().chain(&whole).flat_map(ProcessorSet::iter);
        let singles: Vec<u32> = singles.filter(|single| !chosen.contains(*single)).collect();
        let left = count - chosen.len();
        chosen.with(&singles.into_iter().take(left).collect())
    }

    /// The processors of each kind apart, the kind of the lowest number first.
    fn by(
        &self,
        processors: &ProcessorSet,
        kind: impl Fn(Seat) -> u32,
    ) -> impl Iterator<Item = ProcessorSet> {
        let mut apart: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for processor in processors.iter() {
            let kind = kind(self.seat(processor));
            apart.entry(kind).or_default().push(processor);
        }
        apart.into_values().map(ProcessorSet::from_iter)
    }

    /// Whether these, which are of one core, are all of it.
    fn is_whole(&self, core: &ProcessorSet) -> bool {
        let first = core.iter().next().map(|processor| self.seat(processor));
        let all = self.0.values().filter(|seat| Some(**seat) == first);
        all.count() <= core.len()
    }

    /// One that nobody told of is a core of its own.
    fn seat(&self, processor: u32) -> Seat {
        let alone = Seat {
            node: 0,
            core: processor,
        };
        self.0.get(&processor).copied().unwrap_or(alone)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(super) mod tests {
    use super::*;

    /// Two nodes of `cores` each with two threads: 0 and 1 of the first core, 2 and 3 of the next.
    pub(in crate::processors) fn two_nodes(cores: u32) -> Topology {
        let all = 0..4 * cores;
        all.map(|processor| {
            let seat = Seat {
                node: processor / (2 * cores),
                core: processor / 2 * 2,
            };
            (processor, seat)
        })
        .collect()
    }

    #[test]
    fn whole_cores_of_one_node_come_first() {
        // Node 0 has 0-7, node 1 has 8-15.
        let topology = two_nodes(4);
        for (free, count, chosen) in [
            ("0-15", 0, Some("")),
            ("0-15", 1, Some("0")),
            ("0-15", 2, Some("0-1")),
            ("0-15", 3, Some("0-2")),
            // The thread of a core that somebody has a part of.
            ("1-15", 1, Some("1")),
            ("1-7", 2, Some("2-3")),
            ("1-7", 3, Some("1-3")),
            ("1,3,5", 2, Some("1,3")),
            // The node with the least that is enough.
            ("0-7,12-15", 4, Some("12-15")),
            ("0-7,12-15", 5, Some("0-4")),
            // More than a node has: the fuller one first.
            ("4-15", 9, Some("4,8-15")),
            ("0-15", 16, Some("0-15")),
            ("0-3", 5, None),
        ] {
            let given = topology.choose(&free.parse().unwrap(), count);
            let wanted = chosen.map(|list| list.parse().unwrap());
            assert_eq!(given, wanted, "{count} of {free}");
        }
    }

    #[test]
    fn without_a_topology_each_is_a_core() {
        let free = "1,4-6".parse().unwrap();
        let given = Topology::default().choose(&free, 2).unwrap();
        assert_eq!(given.to_string(), "1,4");
    }
}
