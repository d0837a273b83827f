//! Room that is taken back: spot groups are ended where groups on demand would wait for room.
//!
//! Whoever runs and wants more is looked at in turn, then whoever waits on demand. What becomes free anyway
//! counts, and so does what those leave behind who are being ended already. Of the others so few are ended
//! as make enough room, and none if not even all of them would: nobody is ended in vain. As the queue
//! keeps its order, nobody is ended for a group behind one that has to wait; one that only wants more
//! holds nobody up.

mod space;

use burstlet_model::GroupUid;
use burstlet_model::spec::{ResourceList, Scheduling};

use super::{Queue, Turn, minus, numbers};
use space::{Part, Space, amounts, give};

/// What a share of what is lacking is counted in.
const WHOLE_SHARE: u128 = 1 << 32;

/// Somebody to whom the room is given that others leave.
#[derive(Clone, Debug)]
struct Claim<'q> {
    turn: Turn,
    wants: Part<'q>,
    /// He runs, and wants so much more.
    is_growing: bool,
}

/// What follows from all claims.
#[derive(Debug, Default)]
struct Settled<'q> {
    /// Who is ended.
    ended: Vec<&'q GroupUid>,
    /// Who has room when they are gone, and those who are leaving already.
    served: Vec<Turn>,
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
        let claims = self.claims();
        let ended = settle(&claims, self.space(), candidates).ended;
        let ended: Vec<GroupUid> = ended.into_iter().cloned().collect();
        for uid in &ended {
            if let Some(tenant) = self.admitted.get_mut(uid) {
                tenant.is_leaving = true;
            }
        }
        ended
    }

    /// Whether a group that waits has room when those have ended who are ended for it and for those
    /// before it.
    pub(super) fn is_served(&self, turn: Turn) -> bool {
        let settled = settle(&self.claims(), self.space(), self.candidates());
        settled.served.contains(&turn)
    }

    /// Whether a group has room that others may be given.
    #[must_use]
    pub fn may_be_outbid(&self, uid: &GroupUid) -> bool {
        let tenant = self.admitted.get(uid);
        tenant.is_some_and(|tenant| tenant.turn.scheduling == Scheduling::Spot)
    }

    /// What those want who grow, and those who wait on demand, in order, as far as they could ever have
    /// it.
    fn claims(&self) -> Vec<Claim<'_>> {
        let growing = self.growing.iter().filter_map(|(turn, ask)| {
            let tenant = self.admitted.get(&ask.uid).filter(|t| !t.is_leaving)?;
            let more = minus(ask.wants.amounts, tenant.has);
            let wants = Part {
                amounts: amounts(more),
                devices: None,
            };
            Some((turn, wants, true))
        });
        let room = self.stock_in_all();
        let waiting = self.waiting.iter();
        let asks = waiting.filter(|(turn, ask)| {
            turn.scheduling == Scheduling::OnDemand
                && !ask.wants.is_nothing()
                && room.lack(&ask.wants).is_none()
        });
        let waiting = asks.map(|(turn, ask)| (turn, Part::from(&ask.wants), false));
        let all = growing.chain(waiting);
        all.map(|(turn, wants, is_growing)| Claim {
            turn: *turn,
            wants,
            is_growing,
        })
        .collect()
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

    /// The room without those that are leaving.
    fn space(&self) -> Space {
        let (leaving, staying): (Vec<_>, Vec<_>) =
            self.admitted.values().partition(|tenant| tenant.is_leaving);
        let staying = staying.into_iter();
        let used = staying.fold(ResourceList::default(), |sum, t| sum.plus(t.has));
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

/// Which of the candidates are ended so that those with a claim, one after the other, have room. Spot
/// groups have what is free, and end nobody.
fn settle<'q>(
    claims: &[Claim<'_>],
    mut space: Space,
    mut candidates: Vec<Candidate<'q>>,
) -> Settled<'q> {
    // Those of the lowest priority first, and of these the youngest.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.turn));
    let mut settled = Settled::default();
    for claim in claims {
        let ends_others = match claim.turn.scheduling {
            Scheduling::OnDemand => candidates.as_slice(),
            Scheduling::Spot => &[],
        };
        let Some(chosen) = enough(&claim.wants, &space, ends_others) else {
            match claim.is_growing {
                true => continue,
                false => break,
            }
        };
        candidates.retain(|candidate| !chosen.iter().any(|c| c.uid == candidate.uid));
        for candidate in chosen {
            space = space.without(&candidate.has);
            settled.ended.push(candidate.uid);
        }
        space = space.with(&claim.wants);
        settled.served.push(claim.turn);
    }
    settled
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
        let next = last.or_else(|| most_helpful(&now, wants, &left))?;
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

/// The candidate that has the greatest shares of what is lacking, the first of several; none if
/// nobody has any of it.
fn most_helpful(space: &Space, wants: &Part<'_>, candidates: &[Candidate<'_>]) -> Option<usize> {
    let short = space.short(wants);
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
