//! The series of single groups: while they live, and for a while after.

use std::collections::{BTreeMap, VecDeque};

use burstlet_model::{GroupName, GroupUid, WallTime};

use crate::money::Money;
use crate::rating::Rated;

/// How long a group's series stay after its end: long enough for every scraper to see them twice.
pub const RETAINED_SECONDS: u64 = 900;
/// Groups whose series stay after their end: with names as pods have them, the page is still smaller
/// than 2 MB.
pub const RETAINED_GROUPS_MAX: usize = 8000;

/// What a group's sessions come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupSums {
    pub(super) name: GroupName,
    pub(super) billed_ns: u128,
    pub(super) cost: Money,
    /// When its last session ended, if none lasts.
    ended: Option<WallTime>,
}

impl GroupSums {
    pub(super) fn new(name: GroupName) -> Self {
        Self {
            name,
            billed_ns: 0,
            cost: Money::ZERO,
            ended: None,
        }
    }

    pub(super) fn add(&mut self, rated: &Rated) {
        self.billed_ns = self.billed_ns.saturating_add(rated.time.total_ns().into());
        self.cost = self.cost + rated.cost();
    }

    pub(super) fn subtract(&mut self, rated: &Rated) {
        self.billed_ns = self.billed_ns.saturating_sub(rated.time.total_ns().into());
        self.cost = self.cost - rated.cost();
    }
}

/// The groups that have series: the closed sessions of each, summed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    by_uid: BTreeMap<GroupUid, GroupSums>,
    /// In the order in which they ended.
    ended: VecDeque<(WallTime, GroupUid)>,
    dropped: u64,
}

impl Groups {
    /// Whether the group has series.
    pub(super) fn knows(&self, uid: &GroupUid) -> bool {
        self.by_uid.contains_key(uid)
    }

    /// A session of the group began.
    pub(super) fn began(&mut self, uid: &GroupUid, name: &GroupName) {
        let sums = self.by_uid.entry(uid.clone());
        let sums = sums.or_insert_with(|| GroupSums::new(name.clone()));
        sums.ended = None;
    }

    /// A session of the group ended, and came to this.
    pub(super) fn ended(&mut self, uid: &GroupUid, at: WallTime, rated: &Rated) {
        if let Some(sums) = self.by_uid.get_mut(uid) {
            sums.add(rated);
            sums.ended = Some(at);
            self.ended.push_back((at, uid.clone()));
        }
        self.forget_beyond(RETAINED_GROUPS_MAX, |_| true);
    }

    /// What was said of an ended session was not all.
    pub(super) fn amend(&mut self, uid: &GroupUid, before: &Rated, after: &Rated) {
        if let Some(sums) = self.by_uid.get_mut(uid) {
            sums.subtract(before);
            sums.add(after);
        }
    }

    /// Forgets the groups that ended long ago.
    pub(super) fn age(&mut self, now: WallTime) {
        let keep = i64::try_from(RETAINED_SECONDS * 1_000_000_000).unwrap_or(i64::MAX);
        self.forget_beyond(0, |ended| now.0.saturating_sub(ended.0) > keep);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&GroupUid, &GroupSums)> {
        self.by_uid.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.by_uid.len()
    }

    /// Groups whose series went before their time.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Forgets the groups that ended first, as long as there are more than `most` and the next
    /// one's end is `old`. A group that was started again since is not one of them.
    fn forget_beyond(&mut self, most: usize, old: impl Fn(WallTime) -> bool) {
        while self.ended.len() > most {
            let Some((at, uid)) = self.ended.pop_front_if(|(at, _)| old(*at)) else {
                return;
            };
            if self
                .by_uid
                .get(&uid)
                .is_some_and(|sums| sums.ended == Some(at))
            {
                self.by_uid.remove(&uid);
                self.dropped += u64::from(most > 0);
            }
        }
    }
}
