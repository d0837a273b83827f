//! A view that begins where segments were retired, and what one comes to that has to be carried on.

use std::collections::BTreeSet;

use burstlet_model::{GroupUid, WallTime};
use ethnum::I256;

use super::series::{Amount, METRICS, Metric, Series};
use super::{View, ViewError};
use crate::carried::{Carried, Total};
use crate::money::Money;
use crate::record::SessionId;
use crate::sessions::{Oddities, Sessions};

impl View {
    /// Begins with what is carried on of segments that are gone.
    ///
    /// # Errors
    /// It has sums of metrics that this version does not know, or a record that has no price.
    pub(crate) fn carry(&mut self, carried: &Carried) -> Result<(), ViewError> {
        self.since = Some(carried.since);
        let [orphans, other_boot, backwards, late, overflown] = carried.counts;
        self.sessions.begin_with(Oddities {
            orphans,
            other_boot,
            backwards,
            late,
        });
        self.tags.begin_with(&carried.tags, overflown);
        for total in &carried.totals {
            let unknown = || ViewError::Metric {
                metric: total.metric.clone(),
            };
            let (series, amount) = amount(total).ok_or_else(unknown)?;
            self.closed.put(series, amount);
        }
        carried
            .records
            .iter()
            .try_for_each(|record| self.apply(record))
    }

    /// Forgets sessions whose sums are carried on: they stay in all totals.
    pub(crate) fn forget(&mut self, sessions: &[SessionId], since: WallTime) {
        self.since = Some(since);
        self.sessions.forget(sessions);
    }

    /// What must be carried on beside the records of the groups in `kept`: sums, counts, tags.
    ///
    /// # Errors
    /// A session cannot be rated.
    pub(crate) fn sum_up(
        &self,
        kept: &BTreeSet<GroupUid>,
        carried: &mut Carried,
    ) -> Result<(), ViewError> {
        let mut sums = self.closed.clone();
        for session in self.sessions.iter().filter(|s| kept.contains(&s.id().uid)) {
            if let Some((_, added)) = self.settled(session.id())? {
                sums.subtract(&added.sums);
            }
        }
        carried.totals = sums
            .iter()
            .map(|(series, sum)| total(series, sum))
            .collect();
        carried.tags = self.tags.seen();
        // The records that are carried on will be counted again.
        let mut again = Sessions::default();
        for record in &carried.records {
            again.apply(record);
        }
        let (all, again) = (self.sessions.oddities(), again.oddities());
        carried.counts = [
            all.orphans.saturating_sub(again.orphans),
            all.other_boot.saturating_sub(again.other_boot),
            all.backwards.saturating_sub(again.backwards),
            all.late.saturating_sub(again.late),
            self.tags
                .overflown()
                .saturating_sub(self.tags.overflows_of(&carried.records)),
        ];
        Ok(())
    }
}

fn total(series: &Series, amount: Amount) -> Total {
    let shown = METRICS.iter().find(|shown| shown.metric == series.metric);
    Total {
        metric: shown.map_or("", |shown| shown.name).to_owned(),
        labels: series.labels.clone(),
        value: match amount {
            Amount::Count(count) => I256::from(count),
            Amount::Cost(cost) => cost.grains(),
        },
    }
}

fn amount(total: &Total) -> Option<(Series, Amount)> {
    let shown = METRICS.iter().find(|shown| shown.name == total.metric)?;
    let amount = match shown.metric {
        Metric::Cost | Metric::TagCost => Amount::Cost(Money::from_grains(total.value)),
        _ => Amount::Count(u128::try_from(total.value).ok()?),
    };
    let labels = total.labels.clone();
    let metric = shown.metric;
    (labels.len() == shown.labels.len()).then_some((Series { metric, labels }, amount))
}
