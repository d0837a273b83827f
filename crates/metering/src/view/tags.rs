//! Which tags become labels, and how many of their values.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Fact, Record, SessionFact};

/// Tags that may become labels.
pub const TAG_LABELS_MAX: usize = 5;
/// Values of one tag that are told apart; later ones are counted together.
pub const TAG_VALUES_MAX: usize = 200;
/// What values beyond the bound are shown as.
pub const OTHER: &str = "__other__";

/// The tags that become labels, with the values seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tags {
    seen: BTreeMap<String, BTreeSet<String>>,
    overflown: u64,
}

impl Tags {
    /// The first few of the names; names of tags are compared without case.
    pub(super) fn new(allowed: impl IntoIterator<Item = String>) -> Self {
        let names = allowed.into_iter().take(TAG_LABELS_MAX);
        Self {
            seen: names
                .map(|name| (name.to_ascii_lowercase(), BTreeSet::new()))
                .collect(),
            overflown: 0,
        }
    }

    /// Begins with the values that were seen before, of the tags that are labels now.
    pub(super) fn begin_with(&mut self, before: &[(String, Vec<String>)], overflown: u64) {
        for (tag, values) in before {
            if let Some(seen) = self.seen.get_mut(tag) {
                seen.extend(values.iter().take(TAG_VALUES_MAX).cloned());
            }
        }
        self.overflown = overflown;
    }

    /// Every tag with the values seen so far.
    pub(super) fn seen(&self) -> Vec<(String, Vec<String>)> {
        let values = |seen: &BTreeSet<String>| seen.iter().cloned().collect();
        let all = self.seen.iter();
        all.map(|(tag, seen)| (tag.clone(), values(seen))).collect()
    }

    /// How many sessions of these records have a value beyond the bound.
    pub(super) fn overflows_of(&self, records: &[Record]) -> u64 {
        let mut again = self.clone();
        for record in records {
            if let Fact::Session {
                fact: SessionFact::Opened(opened),
                ..
            } = &record.fact
            {
                again.note(&opened.tags);
            }
        }
        again.overflown.saturating_sub(self.overflown)
    }

    /// Takes note of a new session's tags.
    pub(super) fn note(&mut self, tags: &BTreeMap<String, String>) {
        for (tag, value) in tags {
            let Some(values) = self.seen.get_mut(&tag.to_ascii_lowercase()) else {
                continue;
            };
            if values.len() < TAG_VALUES_MAX {
                values.insert(value.clone());
            } else if !values.contains(value) {
                self.overflown = self.overflown.saturating_add(1);
            }
        }
    }

    /// The labels of a session that was taken note of.
    pub(super) fn labels<'a>(
        &'a self,
        tags: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        tags.iter().filter_map(|(tag, value)| {
            let (name, values) = self.seen.get_key_value(&tag.to_ascii_lowercase())?;
            let value = if values.contains(value) { value } else { OTHER };
            Some((name.as_str(), value))
        })
    }

    /// How many sessions had a value beyond the bound.
    pub(super) const fn overflown(&self) -> u64 {
        self.overflown
    }
}
