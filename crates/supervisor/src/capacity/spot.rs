//! Room that is taken back: spot groups are ended where groups on demand would wait for room.
//!
//! Whoever waits on demand is looked at in turn. What becomes free anyway counts, and so does what
//! those leave behind who are being ended already. Of the others so few are ended as make enough room,
//! and none if not even all of them would: nobody is ended in vain. As the queue keeps its order,
//! nobody is ended for a group behind one that has to wait.

use burstlet_model::GroupUid;
use burstlet_model::spec::{DeviceRequest, ResourceList, Scheduling};

use super::pools::Counts;
use super::{Queue, Turn, Wants, lack, minus, numbers};

/// What a share of what is lacking is counted in.
const WHOLE_SHARE: u128 = 1 << 32;

/// Each resource in its own unit.
type Amounts = [u64; 4];
/// The same, and devices of the resource that somebody wants.
type Shares = [u64; 5];

/// What somebody has, or wants.
#[derive(Clone, Copy, Debug)]
struct Part<'q> {
    amounts: Amounts,
    devices: Option<&'q DeviceRequest>,
}

/// What groups can have, and what they have.
#[derive(Clone, Debug)]
struct Space {
    /// `None` is not counted.
    room: [Option<u64>; 4],
    used: Amounts,
    free_devices: Counts,
}

/// A group that may be ended.
#[derive(Clone, Copy, Debug)]
struct Candidate<'q> {
    uid: &'q GroupUid,
    turn: Turn,
    has: Part<'q>,
}

impl Queue {
    /// The spot groups that have to end now, so that groups on demand have room. They count as leaving
    /// from now on, and are not named again.
    pub fn outbid(&mut self) -> Vec<GroupUid> {
        let candidates = self.candidates();
        if candidates.is_empty() {
            return Vec::new();
        }
        let asks = self.on_demand();
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
    fn on_demand(&self) -> Vec<Part<'_>> {
        let room = self.stock_in_all();
        let waiting = self.waiting.iter();
        let asks = waiting.filter(|(turn, ask)| {
            turn.scheduling == Scheduling::OnDemand
                && !ask.wants.is_nothing()
                && room.lack(&ask.wants).is_none()
        });
        asks.map(|(_, ask)| Part::from(&ask.wants)).collect()
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
            has: Part {
                amounts: amounts(tenant.has),
                devices: tenant.devices.as_ref(),
            },
        })
        .collect()
    }

    /// The room without those that are leaving, and with what those take first that grow.
    fn space(&self) -> Space {
        let (leaving, staying): (Vec<_>, Vec<_>) =
            self.admitted.values().partition(|tenant| tenant.is_leaving);
        let staying = staying.into_iter();
        let mut used = staying.fold(ResourceList::default(), |sum, t| sum.plus(t.has));
        for ask in self.growing.values() {
            let more = self.admitted.get(&ask.uid).filter(|t| !t.is_leaving);
            let more = more.map(|tenant| minus(ask.wants.amounts, tenant.has));
            let fits = |more: &ResourceList| lack(*more, minus(self.room, used)).is_none();
            used = used.plus(more.filter(fits).unwrap_or_default());
        }
        let mut free_devices = self.pools.free();
        for devices in leaving.iter().filter_map(|tenant| tenant.devices.as_ref()) {
            give(&mut free_devices, devices);
        }
        Space {
            room: numbers(self.room).map(|(_, amount)| amount),
            used: amounts(used),
            free_devices,
        }
    }
}

/// Which of the candidates are ended so that those who ask, one after the other, have room.
fn victims<'q>(
    asks: &[Part<'_>],
    mut space: Space,
    mut candidates: Vec<Candidate<'q>>,
) -> Vec<&'q GroupUid> {
    // Those of the lowest priority first, and of these the youngest.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.turn));
    let mut named = Vec::new();
    for wants in asks {
        let Some(chosen) = enough(wants, &space, &candidates) else {
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
    wants: &Part<'_>,
    space: &Space,
    candidates: &[Candidate<'q>],
) -> Option<Vec<Candidate<'q>>> {
    let mut left = candidates.to_vec();
    let mut chosen: Vec<Candidate<'q>> = Vec::new();
    let mut now = space.clone();
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
    fn with(&self, part: &Part<'_>) -> Self {
        let mut space = self.clone();
        for (used, more) in space.used.iter_mut().zip(part.amounts) {
            *used = used.saturating_add(more);
        }
        if let Some(devices) = part.devices
            && let Some(free) = space.free_devices.get_mut(&devices.resource)
        {
            *free = free.saturating_sub(devices.count.into());
        }
        space
    }

    fn without(&self, part: &Part<'_>) -> Self {
        let mut space = self.clone();
        for (used, less) in space.used.iter_mut().zip(part.amounts) {
            *used = used.saturating_sub(less);
        }
        if let Some(devices) = part.devices {
            give(&mut space.free_devices, devices);
        }
        space
    }

    fn holds(&self, wants: &Part<'_>) -> bool {
        self.short(wants) == Shares::default()
    }

    /// How much more there would have to be. There may be less than nothing, where the operator offers
    /// less by now than groups have.
    fn short(&self, wants: &Part<'_>) -> Shares {
        let mut short = Shares::default();
        let amounts = short.iter_mut().zip(wants.amounts);
        for ((short, wanted), (room, used)) in amounts.zip(self.room.iter().zip(self.used)) {
            *short = match (wanted, room) {
                (0, _) | (_, None) => 0,
                (wanted, Some(room)) => wanted.saturating_add(used).saturating_sub(*room),
            };
        }
        if let Some(devices) = wants.devices {
            let free = self.free_devices.get(&devices.resource).copied();
            short[4] = u64::from(devices.count).saturating_sub(free.unwrap_or(0));
        }
        short
    }

    /// The candidate that has the greatest shares of what is lacking, the first of several; none if
    /// nobody has any of it.
    fn most_helpful(&self, wants: &Part<'_>, candidates: &[Candidate<'_>]) -> Option<usize> {
        let short = self.short(wants);
        let shares = |has: &Part<'_>| -> u128 {
            let has = has.beside(wants);
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

impl<'q> From<&'q Wants> for Part<'q> {
    fn from(wants: &'q Wants) -> Self {
        Self {
            amounts: amounts(wants.amounts),
            devices: wants.devices.as_ref(),
        }
    }
}

impl Part<'_> {
    /// What of it could be of use to who wants `wants`: of devices those of the same resource.
    fn beside(&self, wants: &Part<'_>) -> Shares {
        let same = self.devices.zip(wants.devices);
        let devices = same.filter(|(has, wants)| has.resource == wants.resource);
        let devices = devices.map_or(0, |(has, _)| has.count.into());
        let [cpu, memory, storage, pids] = self.amounts;
        [cpu, memory, storage, pids, devices]
    }
}

/// Counts devices as free that somebody leaves behind.
fn give(free: &mut Counts, devices: &DeviceRequest) {
    if let Some(free) = free.get_mut(&devices.resource) {
        *free = free.saturating_add(devices.count.into());
    }
}

/// Nothing where a list says nothing.
fn amounts(list: ResourceList) -> Amounts {
    numbers(list).map(|(_, amount)| amount.unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
