//! Room that is taken back: spot groups are ended where groups on demand would wait for room.
//!
//! Whoever waits on demand is looked at in turn. What becomes free anyway counts, and so does what
//! those leave behind who are being ended already. Of the others so few are ended as make enough room,
//! and none if not even all of them would: nobody is ended in vain. As the queue keeps its order,
//! nobody is ended for a group behind one that has to wait.

use burstlet_model::GroupUid;
use burstlet_model::spec::{ResourceList, Scheduling};

use super::{Queue, Turn, asks_nothing, lack, minus, numbers};

/// What a share of what is lacking is counted in.
const WHOLE_SHARE: u128 = 1 << 32;

/// Each resource in its own unit.
type Amounts = [u64; 4];

/// What groups can have, and what they have.
#[derive(Clone, Copy, Debug)]
struct Space {
    /// `None` is not counted.
    room: [Option<u64>; 4],
    used: Amounts,
}

/// A group that may be ended.
#[derive(Clone, Copy, Debug)]
struct Candidate<'q> {
    uid: &'q GroupUid,
    turn: Turn,
    has: Amounts,
}

impl Queue {
    /// The spot groups that have to end now, so that groups on demand have room. They count as leaving
    /// from now on, and are not named again.
    pub fn outbid(&mut self) -> Vec<GroupUid> {
        let asks = self.on_demand();
        let candidates = self.candidates();
        if asks.is_empty() || candidates.is_empty() {
            return Vec::new();
        }
        let named = victims(&asks, self.space(), candidates);
        let named: Vec<GroupUid> = named.into_iter().cloned().collect();
        for uid in &named {
            if let Some(tenant) = self.admitted.get_mut(uid) {
                tenant.is_leaving = true;
            }
        }
        named
    }

    /// Whether a group has room that others may be given.
    #[must_use]
    pub fn may_be_outbid(&self, uid: &GroupUid) -> bool {
        let tenant = self.admitted.get(uid);
        tenant.is_some_and(|tenant| tenant.turn.scheduling == Scheduling::Spot)
    }

    /// What those want who wait on demand, in order, as far as they could ever have it.
    fn on_demand(&self) -> Vec<Amounts> {
        let waiting = self.waiting.iter();
        let asks = waiting.filter(|(turn, ask)| {
            turn.scheduling == Scheduling::OnDemand
                && !asks_nothing(ask.wants)
                && lack(ask.wants, self.room).is_none()
        });
        asks.map(|(_, ask)| amounts(ask.wants)).collect()
    }

    /// The spot groups that are not leaving.
    fn candidates(&self) -> Vec<Candidate<'_>> {
        let spot = self
            .admitted
            .iter()
            .filter(|(_, tenant)| tenant.turn.scheduling == Scheduling::Spot && !tenant.is_leaving);
        spot.map(|(uid, tenant)| Candidate {
            uid,
            turn: tenant.turn,
            has: amounts(tenant.has),
        })
        .collect()
    }

    /// The room without those that are leaving, and with what those take first that grow.
    fn space(&self) -> Space {
        let staying = self.admitted.values().filter(|tenant| !tenant.is_leaving);
        let mut used = staying.fold(ResourceList::default(), |sum, t| sum.plus(t.has));
        for ask in self.growing.values() {
            let more = self.admitted.get(&ask.uid).filter(|t| !t.is_leaving);
            let more = more.map(|tenant| minus(ask.wants, tenant.has));
            let fits = |more: &ResourceList| lack(*more, minus(self.room, used)).is_none();
            used = used.plus(more.filter(fits).unwrap_or_default());
        }
        Space {
            room: numbers(self.room).map(|(_, amount)| amount),
            used: amounts(used),
        }
    }
}

/// Which of the candidates are ended so that those who ask, one after the other, have room.
fn victims<'q>(
    asks: &[Amounts],
    mut space: Space,
    mut candidates: Vec<Candidate<'q>>,
) -> Vec<&'q GroupUid> {
    // Those of the lowest priority first, and of these the youngest.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.turn));
    let mut named = Vec::new();
    for wants in asks {
        let Some(chosen) = enough(wants, space, &candidates) else {
            break;
        };
        candidates.retain(|candidate| !chosen.iter().any(|c| c.uid == candidate.uid));
        for candidate in chosen {
            space = space.without(&candidate.has);
            named.push(candidate.uid);
        }
        space = space.with(wants);
    }
    named
}

/// So few candidates that there is room without them; none if there is already. `None` if all of them
/// are too few.
///
/// One that is enough by itself, or makes up what is still lacking, is taken before a greater one, and
/// of several such the first. Of one resource they are the fewest that there are; of several, none of
/// them could be spared.
fn enough<'q>(
    wants: &Amounts,
    space: Space,
    candidates: &[Candidate<'q>],
) -> Option<Vec<Candidate<'q>>> {
    let mut left = candidates.to_vec();
    let mut chosen: Vec<Candidate<'q>> = Vec::new();
    let mut now = space;
    while !now.holds(wants) {
        let last = left.iter().position(|c| now.without(&c.has).holds(wants));
        let next = last.or_else(|| now.most_helpful(wants, &left))?;
        let candidate = left.remove(next);
        now = now.without(&candidate.has);
        chosen.push(candidate);
    }
    for index in (0..chosen.len()).rev() {
        let spared = now.with(&chosen[index].has);
        if spared.holds(wants) {
            now = spared;
            chosen.remove(index);
        }
    }
    Some(chosen)
}

impl Space {
    fn with(mut self, amounts: &Amounts) -> Self {
        for (used, more) in self.used.iter_mut().zip(amounts) {
            *used = used.saturating_add(*more);
        }
        self
    }

    fn without(mut self, amounts: &Amounts) -> Self {
        for (used, less) in self.used.iter_mut().zip(amounts) {
            *used = used.saturating_sub(*less);
        }
        self
    }

    fn holds(&self, wants: &Amounts) -> bool {
        self.short(wants) == Amounts::default()
    }

    /// How much more there would have to be. There may be less than nothing, where the operator offers
    /// less by now than groups have.
    fn short(&self, wants: &Amounts) -> Amounts {
        let mut short = Amounts::default();
        for (index, short) in short.iter_mut().enumerate() {
            let (room, used) = (self.room[index], self.used[index]);
            *short = match (wants[index], room) {
                (0, _) | (_, None) => 0,
                (wanted, Some(room)) => wanted.saturating_add(used).saturating_sub(room),
            };
        }
        short
    }

    /// The candidate that has the greatest shares of what is lacking, the first of several; none if
    /// nobody has any of it.
    fn most_helpful(&self, wants: &Amounts, candidates: &[Candidate<'_>]) -> Option<usize> {
        let short = self.short(wants);
        let shares = |has: &Amounts| -> u128 {
            let lacking = has.iter().zip(short).filter(|(_, short)| *short > 0);
            lacking
                .map(|(has, short)| u128::from((*has).min(short)) * WHOLE_SHARE / u128::from(short))
                .sum()
        };
        let helpful = candidates.iter().enumerate();
        let helpful = helpful.map(|(index, candidate)| (shares(&candidate.has), index));
        let (_, index) = helpful
            .filter(|(shares, _)| *shares > 0)
            .max_by_key(|(shares, index)| (*shares, std::cmp::Reverse(*index)))?;
        Some(index)
    }
}

/// Nothing where a list says nothing.
fn amounts(list: ResourceList) -> Amounts {
    numbers(list).map(|(_, amount)| amount.unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
