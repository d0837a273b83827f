//! Who used and owes how much: sessions within a window, summed by whatever tells them apart.
//!
//! A pure function of sessions, books and window, computed anew for each question. Sums are exact,
//! and those of windows that touch add up.

mod committed;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

use std::collections::BTreeMap;

use burstlet_model::{GroupUid, WallTime};

pub use committed::{Committed, commitments};

use crate::book::{BilledStates, BookVersion, Shelf, Unit};
use crate::money::{Decimal, Money};
use crate::rating::{BilledTime, RatingError, Timeline, rate};
use crate::record::{Moment, Opened, Samples, State, Used};
use crate::sessions::{Quantities, Reading, Session, Sessions, Window};

/// What sessions are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// The namespace.
    Namespace,
    /// The group: namespace and name.
    Group,
    /// The group's uid.
    Uid,
    /// Who asked for it.
    Owner,
    /// The image of the first container.
    Image,
    /// The value of a tag; names of tags are compared without case.
    Tag(String),
}

impl Dimension {
    /// Reads `namespace`, `group`, `uid`, `owner`, `image` or `tag:<name>`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "namespace" => Some(Self::Namespace),
            "group" => Some(Self::Group),
            "uid" => Some(Self::Uid),
            "owner" => Some(Self::Owner),
            "image" => Some(Self::Image),
            _ => {
                let tag = word.strip_prefix("tag:").filter(|tag| !tag.is_empty())?;
                Some(Self::Tag(tag.to_owned()))
            }
        }
    }

    fn of(&self, session: &Session) -> String {
        let opened = session.opened();
        match self {
            Self::Namespace => opened.group.namespace.to_string(),
            Self::Group => opened.group.to_string(),
            Self::Uid => session.id().uid.to_string(),
            Self::Owner => opened.owner.clone(),
            Self::Image => opened.images.first().cloned().unwrap_or_default(),
            Self::Tag(name) => tag(opened, name).unwrap_or_default().to_owned(),
        }
    }
}

/// Which sessions count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of one namespace.
    pub namespace: Option<String>,
    /// Those of groups with this name.
    pub group: Option<String>,
    /// Those of one group.
    pub uid: Option<GroupUid>,
    /// Those with all of these tags.
    pub tags: BTreeMap<String, String>,
}

impl Filter {
    /// Whether it takes every session.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        *self == Self::default()
    }

    fn takes(&self, session: &Session) -> bool {
        let opened = session.opened();
        let same = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        same(&self.namespace, opened.group.namespace.as_str())
            && same(&self.group, opened.group.name.as_str())
            && self.uid.as_ref().is_none_or(|uid| *uid == session.id().uid)
            && self
                .tags
                .iter()
                .all(|(name, value)| tag(opened, name) == Some(value))
    }
}

fn tag<'a>(opened: &'a Opened, name: &str) -> Option<&'a str> {
    let mut tags = opened.tags.iter();
    let found = tags.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// What is charged at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkuSum {
    /// What the price is for.
    pub unit: Unit,
    /// The price.
    pub price: Decimal,
    /// In smallest amounts times nanoseconds.
    pub quantity: u128,
    /// What it costs.
    pub cost: Money,
}

/// What a price is found by: its book's name and version, and its own name.
pub type SkuKey = (String, BookVersion, String);

/// Sessions that cannot be told apart, summed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many there were in the window.
    pub sessions: u64,
    /// What the books' profiles bill.
    pub time: BilledTime,
    /// What was set aside, from the first pull on.
    pub requested: Quantities,
    /// Time in which a group was to run, in nanoseconds: from its admission to the end of its
    /// session, the time excepted in which it was being ended.
    pub asked_ns: u128,
    /// The part of it in which a main container ran.
    pub running_ns: u128,
    /// How often how much was used, to the hour.
    pub samples: Samples,
    /// The most memory at once of the sessions that lie in the window as a whole.
    pub memory_peak: u64,
    /// Processor time used, in microseconds.
    pub cpu_used_us: u128,
    /// Memory used over time, in byte nanoseconds; from samples.
    pub memory_used_byte_ns: u128,
    /// Bytes sent.
    pub sent: u128,
    /// Bytes received.
    pub received: u128,
    /// Time without a price.
    pub unrated_ns: u128,
    /// By price.
    pub skus: BTreeMap<SkuKey, SkuSum>,
    /// What it costs.
    pub cost: Money,
}

/// Sums by the values of the dimensions.
pub type Report = BTreeMap<Vec<String>, Sums>;

/// Sums the sessions that a filter takes within a window, told apart by `by`. What lasts is counted
/// up to `now`.
///
/// # Errors
/// A session cannot be rated.
pub fn report(
    sessions: &Sessions,
    shelf: &Shelf,
    (now, window): (Moment, Window),
    filter: &Filter,
    by: &[Dimension],
) -> Result<Report, RatingError> {
    let mut report = Report::new();
    for session in sessions.iter().filter(|session| filter.takes(session)) {
        if !has_part(session, now, window) {
            continue;
        }
        let key = by.iter().map(|dimension| dimension.of(session)).collect();
        let sums = report.entry(key).or_default();
        add(sums, session, shelf, (now, window))?;
    }
    Ok(report)
}

fn has_part(session: &Session, now: Moment, window: Window) -> bool {
    session
        .pieces(now)
        .any(|piece| piece.within(window).is_some())
}

fn add(
    sums: &mut Sums,
    session: &Session,
    shelf: &Shelf,
    (now, window): (Moment, Window),
) -> Result<(), RatingError> {
    let rated = rate(&Timeline::of(session, now), shelf, window)?;
    sums.sessions += 1;
    sums.time = sums.time + rated.time;
    sums.unrated_ns += u128::from(rated.unrated_ns);
    sums.cost = sums.cost + rated.cost();
    let pieces = session
        .pieces(now)
        .filter(|piece| BilledStates::Aci.bills(piece.state));
    let requested = pieces.filter_map(|piece| piece.within(window));
    sums.requested = sums.requested + requested.map(|piece| piece.quantities()).sum();
    add_presence(sums, session, (now, window));
    add_samples(sums, session, (now, window));
    add_used(
        sums,
        &used_until(session, window.from),
        &used_until(session, window.to),
    );
    for charge in rated.charges {
        let book = &shelf.books()[charge.book].book;
        let sku = &book.skus()[charge.sku];
        let key = (book.name().to_owned(), book.version(), sku.id.clone());
        let sum = sums.skus.entry(key).or_insert(SkuSum {
            unit: sku.unit,
            price: sku.price,
            quantity: 0,
            cost: Money::ZERO,
        });
        sum.quantity = sum.quantity.saturating_add(charge.quantity);
        sum.cost = sum.cost + charge.cost;
    }
    Ok(())
}

fn add_presence(sums: &mut Sums, session: &Session, (now, window): (Moment, Window)) {
    let pieces = session.pieces(now).filter_map(|piece| piece.within(window));
    for piece in pieces {
        let ns = u128::from(piece.ns);
        if piece.state != State::Terminating {
            sums.asked_ns += ns;
        }
        if piece.state == State::Running {
            sums.running_ns += ns;
        }
    }
}

fn add_samples(sums: &mut Sums, session: &Session, (now, window): (Moment, Window)) {
    sums.samples.add(&session.samples_within(window));
    let life = Timeline::of(session, now).span();
    if life.is_some_and(|life| life.from >= window.from && life.to <= window.to) {
        sums.memory_peak = sums.memory_peak.max(session.used().memory_peak);
    }
}

/// What had been used before a moment, as far as it was written down.
fn used_until(session: &Session, end: WallTime) -> Used {
    let readings = session.readings();
    let labelled = |reading: &&Reading| session.label(reading.at.boot) < end;
    let before = readings.iter().rev().find(labelled);
    before.map(|reading| reading.used).unwrap_or_default()
}

fn add_used(sums: &mut Sums, begin: &Used, end: &Used) {
    let since = |end: u64, begin: u64| u128::from(end.saturating_sub(begin));
    sums.cpu_used_us += since(end.cpu_us, begin.cpu_us);
    sums.memory_used_byte_ns += end.memory_byte_ns.saturating_sub(begin.memory_byte_ns);
    sums.sent += since(end.net_sent, begin.net_sent);
    sums.received += since(end.net_received, begin.net_received);
}
