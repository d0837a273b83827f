//! Groups that have room and ask for other room: less is others' at once, more is waited for where it
//! is not free.

use burstlet_model::GroupUid;
use burstlet_model::spec::ResourceList;

use super::{Ask, Queue, Rank, Turn, lack, minus, numbers};

/// Why a group that has room gets no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLittle {
    /// `cpu` or `memory`.
    pub resource: &'static str,
    /// What the group asks for in all, in the resource's own unit.
    pub requested: u64,
    /// What others have, or asked for before it.
    pub used: u64,
    /// What there is in all.
    pub capacity: u64,
}

impl TooLittle {
    /// Whether it would not even fit if there was nobody else.
    #[must_use]
    pub const fn is_for_good(&self) -> bool {
        self.requested > self.capacity
    }
}

impl Queue {
    /// Gives a group that has room, or waits for it, what it asks for by now. What it asks for less
    /// of is others' at once.
    ///
    /// # Errors
    /// It has room, and there is not enough for it to have more: it keeps what it had. When enough
    /// becomes free that is kept for it, until it asks again or [`Queue::stay`]s as it is. Groups that
    /// grow come before those that wait: they run.
    pub fn resize(
        &mut self,
        uid: &GroupUid,
        rank: Rank,
        requested: ResourceList,
    ) -> Result<(), TooLittle> {
        let wants = requested.or(self.capacity.default_request);
        let before = self.withdraw(uid);
        if let Some(ask) = self.waiting.values_mut().find(|ask| ask.uid == *uid) {
            ask.wants.amounts = wants;
        } else if let Some(has) = self.admitted.get(uid).map(|tenant| tenant.has) {
            let turn = before.unwrap_or_else(|| self.turn(rank));
            if let Some(short) = self.too_little(turn, has, wants) {
                if !short.is_for_good() {
                    let (uid, wants) = (uid.clone(), wants.into());
                    self.growing.insert(turn, Ask { uid, wants });
                }
                // What was kept for what it asked for before may be enough for others.
                self.admit();
                return Err(short);
            }
            if let Some(tenant) = self.admitted.get_mut(uid) {
                tenant.has = wants;
            }
        }
        self.admit();
        Ok(())
    }

    /// A group that asked for more does not any longer.
    pub fn stay(&mut self, uid: &GroupUid) {
        self.withdraw(uid);
        self.admit();
    }

    /// Whether somebody with room waits for more.
    #[must_use]
    pub fn is_anybody_growing(&self) -> bool {
        !self.growing.is_empty()
    }

    pub(super) fn withdraw(&mut self, uid: &GroupUid) -> Option<Turn> {
        let mut growing = self.growing.iter();
        let turn = growing.find(|(_, ask)| ask.uid == *uid).map(|(t, _)| *t);
        turn.inspect(|turn| drop(self.growing.remove(turn)))
    }

    /// What is free behind the growing ones before `turn`, or all of them: each has what it asked for
    /// as soon as all of that is free.
    pub(super) fn free_after(&self, turn: Option<Turn>) -> ResourceList {
        let mut free = self.free();
        let comes_before = |(t, _): &(&Turn, &Ask)| turn.is_none_or(|turn| **t < turn);
        for (_, ask) in self.growing.iter().take_while(comes_before) {
            let tenant = self.admitted.get(&ask.uid);
            let has = tenant.map(|tenant| tenant.has).unwrap_or_default();
            let more = minus(ask.wants.amounts, has);
            if lack(more, free).is_none() {
                free = minus(free, more);
            }
        }
        free
    }

    /// What a group lacks to have `wants` instead of `has`. Only of what it wants more of: what it
    /// has it keeps, though the machine offers less by now.
    fn too_little(&self, turn: Turn, has: ResourceList, wants: ResourceList) -> Option<TooLittle> {
        let more = minus(wants, has);
        let free = self.free_after(Some(turn));
        let all = numbers(wants).into_iter().zip(numbers(self.room));
        let all = all.zip(numbers(more).into_iter().zip(numbers(free)));
        all.filter_map(|(((resource, wants), (_, room)), ((_, more), (_, free)))| {
            let (wants, room, more, free) = (wants?, room?, more?, free?);
            let short = TooLittle {
                resource,
                requested: wants,
                used: room.saturating_sub(free).saturating_sub(wants - more),
                capacity: room,
            };
            (more > 0 && (more > free || short.is_for_good())).then_some(short)
        })
        .max_by_key(TooLittle::is_for_good)
    }
}
