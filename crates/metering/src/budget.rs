//! Budgets: what may be spent in a period, and what happens as it is.
//!
//! ```text
//! ends of sessions ─► accounts ─┐
//!                               ├─► what was spent ─► standing ─► actions, by who asked
//! sessions that last ───────────┘
//! ```
//!
//! Judgement only: everything follows from the ledger's records and the moment of the question, so
//! that a later agent comes to the same answer. Asked again with more spent, the answer never asks
//! for less within a period.

mod accounts;
mod period;
mod standing;

use std::collections::BTreeMap;

pub(crate) use accounts::Accounts;
pub use period::Period;
pub use standing::{Spending, Standing, evaluate};

use crate::money::Decimal;
use crate::sessions::Window;

/// Whose spending counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// That of a namespace.
    Namespace(String),
    /// That of the groups with a tag; names of tags are compared without case.
    Tag {
        /// The tag's name.
        key: String,
        /// Its value.
        value: String,
    },
}

impl Scope {
    /// Whether a group's spending counts.
    #[must_use]
    pub fn covers(&self, namespace: &str, tags: &BTreeMap<String, String>) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(name) => name == namespace,
            Self::Tag { key, value } => tags
                .iter()
                .any(|(name, found)| name.eq_ignore_ascii_case(key) && found == value),
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Money, by the price books.
    Money,
    /// Cores that were set aside, times seconds, from the first pull on; no book is needed.
    CoreSeconds,
}

/// What happens at a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is told.
    Tell,
    /// New groups are refused.
    RefuseNew,
    /// New groups are refused, and those that are there ended.
    Stop {
        /// How long they have to end by themselves, in seconds.
        grace_s: u32,
    },
}

impl Action {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tell => "tell",
            Self::RefuseNew => "refuse-new",
            Self::Stop { .. } => "stop",
        }
    }

    /// Whether it keeps new groups out.
    #[must_use]
    pub const fn refuses(self) -> bool {
        matches!(self, Self::RefuseNew | Self::Stop { .. })
    }

    /// The larger the stronger: of two stops the one that waits less.
    const fn strength(self) -> u64 {
        match self {
            Self::Tell => 0,
            Self::RefuseNew => 1,
            Self::Stop { grace_s } => u64::MAX - grace_s as u64,
        }
    }
}

/// A part of a budget at which something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// In percent of the limit; may be above 100.
    pub percent: u32,
    /// What happens.
    pub action: Action,
}

/// What may be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// Whose spending counts.
    pub scope: Scope,
    /// What is counted.
    pub unit: Unit,
    /// The most that should be spent in a period.
    pub limit: Decimal,
    /// When it begins anew.
    pub period: Period,
    /// In any order.
    pub thresholds: Vec<Threshold>,
}

/// A budget at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The budget.
    pub budget: Budget,
    /// The period that the moment is in.
    pub period: Window,
    /// What was spent in it.
    pub spending: Spending,
    /// What follows from that.
    pub standing: Standing,
    /// The books' currency; empty without a book.
    pub currency: String,
}

impl State {
    /// What amounts are in: the currency, or `core-seconds`.
    #[must_use]
    pub fn unit(&self) -> &str {
        match self.budget.unit {
            Unit::Money => &self.currency,
            Unit::CoreSeconds => "core-seconds",
        }
    }

    /// How it stands, in a sentence's part.
    #[must_use]
    pub fn told(&self) -> String {
        format!(
            "budget {}: {} of {} {} spent this {}",
            self.budget.name,
            self.spending.spent.rounded(6),
            self.budget.limit,
            self.unit(),
            self.budget.period.as_str(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_what_they_name() {
        let tags = BTreeMap::from([("CostCenter".to_owned(), "42".to_owned())]);
        let tag = |key: &str, value: &str| Scope::Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        assert!(Scope::All.covers("a", &tags));
        assert!(Scope::Namespace("a".to_owned()).covers("a", &tags));
        assert!(!Scope::Namespace("b".to_owned()).covers("a", &tags));
        assert!(tag("costcenter", "42").covers("a", &tags));
        assert!(!tag("costcenter", "43").covers("a", &tags));
    }
}
