//! Room on the machine: a queue, not an error.
//!
//! What the operator does not reserve is given to groups by their requests, in order of priority
//! and age. A group that does not fit now waits, and so does every later one that asks for
//! anything: order is kept, so that a large group is never starved by small ones. Two kinds of
//! group are exempt, because they can neither delay nor be delayed: those that ask for nothing,
//! and those that this machine could not hold even when empty. Groups on demand come before spot
//! groups, which are ended where one of them would wait ([`Queue::outbid`]).
//!
//! With its room a group has the devices that it asked for, and nobody else has them as long as it does
//! ([`Queue::lease`]).

mod growth;
mod pools;
mod shortage;
mod spot;
mod wants;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

pub use growth::TooLittle;
use pools::Pools;
use shortage::lack;
pub use shortage::{Lack, Shortage};
pub use wants::Wants;
use wants::{Stock, minus, numbers};

use burstlet_model::spec::{DeviceRequest, GroupSpec, ResourceList, Scheduling};
use burstlet_model::{Bytes, Device, ExtendedResource, GroupUid, Lease, MilliCpu};

/// What the machine offers, as the operator configured it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// What the machine has. A resource that is `None` is not counted.
    pub machine: ResourceList,
    /// What of it is the host's and Burstlet's own, never given away.
    pub reserved: ResourceList,
    /// How much of the rest is given away, in percent: 100 is never oversold.
    pub overcommit_percent: u32,
    /// What a group counts as asking for where it states nothing.
    pub default_request: ResourceList,
    /// Devices that are given to one group at a time, by their resource, in the order in which they are
    /// given. No node is of two of them.
    pub devices: BTreeMap<ExtendedResource, Vec<Device>>,
    /// How many groups may wait, beside those for which spot groups are ended.
    pub waiting_max: usize,
}

/// Where a group stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Waits for room.
    Waiting {
        /// Counted from 1, and from 10 on rounded down to its first digit: otherwise everybody behind
        /// would have to be told of each who leaves.
        position: u32,
        /// Why it does not start now.
        why: Shortage,
    },
    /// Has its room.
    Admitted,
    /// Had its room, and has to leave it to others.
    Outbid,
}

/// What decides who comes first, beside age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rank {
    /// On demand comes before spot.
    pub scheduling: Scheduling,
    /// Larger comes first.
    pub priority: i32,
}

impl From<&GroupSpec> for Rank {
    fn from(spec: &GroupSpec) -> Self {
        Self {
            scheduling: spec.scheduling,
            priority: spec.priority,
        }
    }
}

/// As many groups wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// What is used of the machine's room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomUse {
    /// What groups can have in all.
    pub allocatable: ResourceList,
    /// What admitted groups asked for.
    pub requested: ResourceList,
    /// The same of devices, by their resource.
    pub devices: BTreeMap<ExtendedResource, DeviceUse>,
    /// Groups that have their room.
    pub admitted: usize,
    /// Groups that wait.
    pub waiting: usize,
}

/// What is used of the devices of a resource. There may be fewer than groups have, since the operator
/// has named them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceUse {
    /// How many groups can have in all.
    pub allocatable: u64,
    /// How many groups have.
    pub requested: u64,
}

/// Who has room and who waits. Pure: whoever changes it tells the groups.
#[derive(Debug)]
pub struct Queue {
    capacity: Capacity,
    room: ResourceList,
    pools: Pools,
    admitted: HashMap<GroupUid, Tenant>,
    waiting: BTreeMap<Turn, Ask>,
    /// Groups with room that asked for more than was free: that is theirs once it is.
    growing: BTreeMap<Turn, Ask>,
    next_age: u64,
}

/// A group that has room.
#[derive(Clone, Debug)]
struct Tenant {
    turn: Turn,
    has: ResourceList,
    /// What of devices it asked for, and was given.
    devices: Option<DeviceRequest>,
    /// It is being ended, so that others have its room.
    is_leaving: bool,
}

impl Tenant {
    const fn place(&self) -> Place {
        match self.is_leaving {
            true => Place::Outbid,
            false => Place::Admitted,
        }
    }
}

/// The order of the queue: groups on demand first, then those of larger priority, then the older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    scheduling: Scheduling,
    priority: std::cmp::Reverse<i32>,
    age: u64,
}

#[derive(Debug)]
struct Ask {
    uid: GroupUid,
    wants: Wants,
}

impl Queue {
    /// An empty machine.
    #[must_use]
    pub fn new(mut capacity: Capacity) -> Self {
        Self {
            room: offered(&capacity),
            pools: Pools::new(std::mem::take(&mut capacity.devices)),
            capacity,
            admitted: HashMap::new(),
            waiting: BTreeMap::new(),
            growing: BTreeMap::new(),
            next_age: 0,
        }
    }

    /// Puts a group into the queue and lets in whoever fits. A group that is admitted at once is
    /// never refused, however long the queue is, nor one on demand that only waits for spot groups to
    /// end.
    ///
    /// # Errors
    /// It would have to wait, and as many wait as may.
    pub fn enter(
        &mut self,
        uid: &GroupUid,
        rank: Rank,
        wants: impl Into<Wants>,
    ) -> Result<(), QueueFull> {
        let turn = self.push(uid, rank, wants.into());
        let full = self.waiting.len() > self.capacity.waiting_max;
        if full && !self.is_served(turn) && self.waiting.remove(&turn).is_some() {
            return Err(QueueFull);
        }
        Ok(())
    }

    /// As [`Queue::enter`], for a group that was accepted before: the bound does not count.
    pub fn reenter(&mut self, uid: &GroupUid, rank: Rank, wants: impl Into<Wants>) {
        self.push(uid, rank, wants.into());
    }

    /// Gives room to a group that has it already, whether there is any or not: a group that runs
    /// is never stopped because the configuration shrank. One that `is_leaving` was outbid before.
    pub fn hold(&mut self, uid: &GroupUid, rank: Rank, wants: impl Into<Wants>, is_leaving: bool) {
        let wants = wants.into();
        self.forget(uid);
        let tenant = Tenant {
            turn: self.turn(rank),
            has: wants.amounts.or(self.capacity.default_request),
            devices: wants.devices,
            is_leaving,
        };
        self.admitted.insert(uid.clone(), tenant);
        self.admit();
    }

    /// Takes note of the devices that a group has already, before anybody is let in: they are its own
    /// until it leaves, though the operator may not name them any more.
    pub fn keep(&mut self, uid: &GroupUid, lease: Lease) {
        self.pools.keep(uid, lease);
    }

    /// The devices that a group with room has.
    #[must_use]
    pub fn lease(&self, uid: &GroupUid) -> Option<&Lease> {
        self.pools.of(uid)
    }

    /// Takes a group's room or place away and lets in whoever fits now.
    pub fn leave(&mut self, uid: &GroupUid) {
        self.forget(uid);
        self.pools.take_back(uid);
        self.admit();
    }

    /// Everybody who has room.
    pub fn tenants(&self) -> impl Iterator<Item = (&GroupUid, Place)> {
        let all = self.admitted.iter();
        all.map(|(uid, tenant)| (uid, tenant.place()))
    }

    /// Where a group stands; `None` if it neither has room nor waits.
    #[must_use]
    pub fn place(&self, uid: &GroupUid) -> Option<Place> {
        let has_room = self.place_of_tenant(uid);
        has_room.or_else(|| self.places().find(|(u, _)| *u == uid).map(|(_, p)| p))
    }

    /// Where a group with room stands; `None` if it has none.
    #[must_use]
    pub fn place_of_tenant(&self, uid: &GroupUid) -> Option<Place> {
        self.admitted.get(uid).map(Tenant::place)
    }

    /// Whether a group has its room.
    #[must_use]
    pub fn is_admitted(&self, uid: &GroupUid) -> bool {
        self.admitted.contains_key(uid)
    }

    /// Everybody who waits, in order.
    pub fn places(&self) -> impl Iterator<Item = (&GroupUid, Place)> {
        let (room, free) = (self.stock_in_all(), self.stock_after(None));
        self.waiting
            .values()
            .zip(1u32..)
            .map(move |(ask, position)| {
                let why = match (room.lack(&ask.wants), free.lack(&ask.wants)) {
                    (Some(lack), _) => Shortage::NeverFits(lack),
                    (None, Some(lack)) => Shortage::Short(lack),
                    (None, None) => Shortage::BehindOthers,
                };
                let position = rounded(position);
                (&ask.uid, Place::Waiting { position, why })
            })
    }

    /// What is used.
    #[must_use]
    pub fn usage(&self) -> RoomUse {
        RoomUse {
            allocatable: self.room,
            requested: self.requested(),
            devices: self.pools.usage(),
            admitted: self.admitted.len(),
            waiting: self.waiting.len(),
        }
    }

    fn forget(&mut self, uid: &GroupUid) {
        self.admitted.remove(uid);
        self.waiting.retain(|_, ask| ask.uid != *uid);
        self.withdraw(uid);
    }

    fn push(&mut self, uid: &GroupUid, rank: Rank, mut wants: Wants) -> Turn {
        self.leave(uid);
        let turn = self.turn(rank);
        wants.amounts = wants.amounts.or(self.capacity.default_request);
        let uid = uid.clone();
        self.waiting.insert(turn, Ask { uid, wants });
        self.admit();
        turn
    }

    fn turn(&mut self, rank: Rank) -> Turn {
        let age = self.next_age;
        self.next_age += 1;
        Turn {
            scheduling: rank.scheduling,
            priority: std::cmp::Reverse(rank.priority),
            age,
        }
    }

    fn admit(&mut self) {
        let room = self.stock_in_all();
        let mut free = self.stock_after(None);
        let mut blocked = false;
        let mut entering = Vec::new();
        for (turn, ask) in &self.waiting {
            let is_behind = blocked && !ask.wants.is_nothing();
            if is_behind || room.lack(&ask.wants).is_some() {
                continue;
            }
            if free.lack(&ask.wants).is_none() {
                free.take(&ask.wants);
                entering.push(*turn);
            } else {
                blocked = true;
            }
        }
        for turn in entering {
            self.let_in(turn);
        }
    }

    /// Gives room to a group that waits, and its devices.
    fn let_in(&mut self, turn: Turn) {
        let Entry::Occupied(ask) = self.waiting.entry(turn) else {
            return;
        };
        let Ask { uid, wants } = ask.get();
        let devices = wants.devices.as_ref();
        if devices.is_some_and(|devices| !self.pools.lend(uid, devices)) {
            return;
        }
        let Ask { uid, wants } = ask.remove();
        let tenant = Tenant {
            turn,
            has: wants.amounts,
            devices: wants.devices,
            is_leaving: false,
        };
        self.admitted.insert(uid, tenant);
    }

    fn requested(&self) -> ResourceList {
        let sum = ResourceList::default();
        let all = self.admitted.values();
        all.fold(sum, |sum, tenant| sum.plus(tenant.has))
    }

    fn free(&self) -> ResourceList {
        minus(self.room, self.requested())
    }

    fn stock_in_all(&self) -> Stock {
        Stock {
            amounts: self.room,
            devices: self.pools.sizes(),
        }
    }

    /// What is free; see [`Queue::free_after`].
    fn stock_after(&self, turn: Option<Turn>) -> Stock {
        Stock {
            amounts: self.free_after(turn),
            devices: self.pools.free(),
        }
    }
}

/// A number without all but its first digit.
const fn rounded(number: u32) -> u32 {
    match number.checked_ilog10() {
        Some(digits) => {
            let unit = 10_u32.pow(digits);
            number / unit * unit
        }
        None => number,
    }
}

/// What groups can have in all: (machine − reserved) × overcommit.
fn offered(capacity: &Capacity) -> ResourceList {
    let rest = minus(capacity.machine, capacity.reserved);
    let percent = u128::from(capacity.overcommit_percent);
    let scale = |amount: u64| u64::try_from(u128::from(amount) * percent / 100).unwrap_or(u64::MAX);
    ResourceList {
        cpu: rest.cpu.map(|c| MilliCpu(scale(c.0))),
        memory: rest.memory.map(|m| Bytes(scale(m.0))),
        // Disk and pids do not come back by waiting: they are never oversold.
        ephemeral_storage: rest.ephemeral_storage,
        pids: rest.pids,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
