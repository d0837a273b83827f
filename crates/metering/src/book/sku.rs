//! What is charged for: prices with the groups that they are for.

use std::collections::BTreeMap;

use super::profile::BilledStates;
use super::unit::{Meter, Unit};
use crate::money::Decimal;

/// What a group is, as far as prices tell groups apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attribute {
    /// The operating system, as OCI spells it.
    Os,
    /// The processor architecture, as OCI spells it.
    Arch,
    /// `on-demand` or `spot`.
    Scheduling,
    /// The isolation tier.
    Isolation,
    /// The accelerators' model.
    GpuModel,
}

impl Attribute {
    /// Every attribute with the word that a book has for it.
    pub const ALL: [(&'static str, Self); 5] = [
        ("arch", Self::Arch),
        ("gpu_model", Self::GpuModel),
        ("isolation", Self::Isolation),
        ("os", Self::Os),
        ("scheduling", Self::Scheduling),
    ];

    /// The attribute of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, attribute)| *attribute)
    }

    /// Its name in a book.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, attribute)| *attribute == self);
        found.map_or("", |(name, _)| *name)
    }
}

/// A group's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attributes<'a> {
    /// See [`Attribute::Os`].
    pub os: &'a str,
    /// See [`Attribute::Arch`].
    pub arch: &'a str,
    /// See [`Attribute::Scheduling`].
    pub scheduling: &'a str,
    /// See [`Attribute::Isolation`].
    pub isolation: &'a str,
    /// See [`Attribute::GpuModel`].
    pub gpu_model: &'a str,
}

impl<'a> Attributes<'a> {
    /// One of them.
    #[must_use]
    pub const fn get(&self, attribute: Attribute) -> &'a str {
        match attribute {
            Attribute::Os => self.os,
            Attribute::Arch => self.arch,
            Attribute::Scheduling => self.scheduling,
            Attribute::Isolation => self.isolation,
            Attribute::GpuModel => self.gpu_model,
        }
    }
}

/// Something with a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sku {
    /// Its name, unique in the book.
    pub id: String,
    /// What is counted.
    pub meter: Meter,
    /// Of the prices of one line the one that fits a group best is charged.
    pub line: String,
    /// What the price is for.
    pub unit: Unit,
    /// The price for one unit.
    pub price: Decimal,
    /// What each group has for nothing, in the meter's smallest amounts.
    pub included: u64,
    /// The states in which it is charged, where they are not the profile's.
    pub states: Option<BilledStates>,
    /// What a group must be for this price.
    pub matching: BTreeMap<Attribute, String>,
}

impl Sku {
    /// Whether the price is for such a group.
    #[must_use]
    pub fn fits(&self, group: &Attributes<'_>) -> bool {
        let mut conditions = self.matching.iter();
        conditions.all(|(attribute, wanted)| group.get(*attribute) == wanted)
    }

    /// Whether some group would fit both this and another price of the same line equally well.
    pub(super) fn rivals(&self, other: &Self) -> bool {
        let contradicts = |(attribute, wanted): (&Attribute, &String)| {
            other
                .matching
                .get(attribute)
                .is_some_and(|theirs| theirs != wanted)
        };
        self.line == other.line
            && self.matching.len() == other.matching.len()
            && !self.matching.iter().any(contradicts)
    }
}

/// For each line the price that fits the group best, which is the one with the most conditions, as
/// indices into `skus`, lines in the order of their names.
#[must_use]
pub(crate) fn select(skus: &[Sku], group: &Attributes<'_>) -> Vec<usize> {
    let mut best: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, sku) in skus.iter().enumerate().filter(|(_, sku)| sku.fits(group)) {
        let chosen = best.entry(&sku.line).or_insert(index);
        if skus[*chosen].matching.len() < sku.matching.len() {
            *chosen = index;
        }
    }
    best.into_values().collect()
}
