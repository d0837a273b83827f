//! From time to money: what a session costs, as a pure function of its states, the books and a
//! window.
//!
//! Each session is walked once, piece by piece; a piece lies within one state, one allocation and
//! one book. Its time is what the profile bills up to its end less what it bills up to its
//! beginning, so pieces sum to the whole, windows that touch sum to the window that they make, and
//! a price that changes while a session runs counts from its very nanosecond on.

pub mod commitment;
pub mod quote;
mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Add;

use burstlet_model::{ErrorKind, WallTime};

pub use running::{Running, running};

use crate::book::{Amounts, Attributes, BilledStates, Book, Shelf, Sku, select};
use crate::money::{Money, MoneyError};
use crate::record::{Moment, Opened, Scheduling, State};
use crate::sessions::{Piece, Session, Window};
use commitment::{HOUR_NS, hour_of};

/// Why a session has no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// The numbers do not fit.
    #[error("charge for {sku} of the price book {book}")]
    Charge {
        /// The book.
        book: String,
        /// The price.
        sku: String,
        /// Why.
        source: MoneyError,
    },
}

impl RatingError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// A span of a session in which neither state nor allocation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The state.
    pub state: State,
    /// When: its length is the boot clock's, its begin what the wall clock said then. Where that
    /// clock was set, segments need not follow each other.
    pub span: Window,
    /// What was set aside.
    pub amounts: Amounts,
}

/// A session as rating sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline<'a> {
    /// What was frozen when it opened.
    pub opened: &'a Opened,
    /// Its life, in order; an open session ends at its last proof of life.
    pub segments: Vec<Segment>,
    /// See [`Session::has_book`].
    pub has_book: bool,
}

impl<'a> Timeline<'a> {
    /// A session of the ledger; what lasts goes up to `now`.
    #[must_use]
    pub fn of(session: &'a Session, now: Moment) -> Self {
        let segment = |piece: Piece<'_>| Segment {
            state: piece.state,
            span: Window {
                from: piece.from,
                to: WallTime(piece.from.0.saturating_add_unsigned(piece.ns)),
            },
            amounts: Amounts::from(piece.allocation),
        };
        Self {
            opened: session.opened(),
            segments: session.pieces(now).map(segment).collect(),
            has_book: session.has_book(),
        }
    }
}

impl Timeline<'_> {
    /// From its earliest nanosecond to its latest; nothing if it has none.
    #[must_use]
    pub fn span(&self) -> Option<Window> {
        let spans = || self.segments.iter().map(|segment| segment.span);
        let from = spans().map(|span| span.from).min()?;
        let to = spans().map(|span| span.to).max()?;
        Some(Window { from, to })
    }

    /// The hours of a window that it has a part in, in order and each as a whole.
    pub fn hours(&self, window: Window) -> impl Iterator<Item = Window> {
        let mut hours = BTreeSet::new();
        let within = |segment: &Segment| segment.span.and(window);
        for span in self.segments.iter().filter_map(within) {
            let last = WallTime(span.to.0.saturating_sub(1));
            let (first, last) = (hour_of(span.from).from.0, hour_of(last).from.0);
            hours.extend((first..=last).step_by(HOUR_NS as usize));
        }
        hours.into_iter().map(|hour| hour_of(WallTime(hour)))
    }
}

/// A charge: one price of one book for one session within a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The book, as an index into the shelf's.
    pub book: usize,
    /// The price, as an index into the book's.
    pub sku: usize,
    /// From the earliest moment charged to the latest.
    pub span: Window,
    /// What is charged for, in smallest amounts times nanoseconds.
    pub quantity: u128,
    /// What it costs.
    pub cost: Money,
}

/// What billed time was spent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BilledTime {
    /// Getting images.
    pub pull_ns: u64,
    /// Being set up, running, being ended.
    pub run_ns: u64,
    /// Waiting to be started again.
    pub backoff_ns: u64,
}

impl BilledTime {
    fn count(&mut self, state: State, ns: u64) {
        let class = match state {
            State::Pulling => &mut self.pull_ns,
            State::BackOff => &mut self.backoff_ns,
            _ => &mut self.run_ns,
        };
        *class = class.saturating_add(ns);
    }

    /// All of it.
    #[must_use]
    pub const fn total_ns(&self) -> u64 {
        let executing = self.pull_ns.saturating_add(self.run_ns);
        executing.saturating_add(self.backoff_ns)
    }
}

impl Add for BilledTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            pull_ns: self.pull_ns.saturating_add(other.pull_ns),
            run_ns: self.run_ns.saturating_add(other.run_ns),
            backoff_ns: self.backoff_ns.saturating_add(other.backoff_ns),
        }
    }
}

/// What one session comes to within a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rated {
    /// By book, then in the order of the book's prices.
    pub charges: Vec<Charge>,
    /// What the books' profiles bill.
    pub time: BilledTime,
    /// Time that would be billed if there were a book for it.
    pub unrated_ns: u64,
}

impl Rated {
    /// The sum.
    #[must_use]
    pub fn cost(&self) -> Money {
        self.charges.iter().map(|charge| charge.cost).sum()
    }
}

/// Rates what of a session lies within a window.
///
/// # Errors
/// A charge does not fit.
pub fn rate(timeline: &Timeline<'_>, shelf: &Shelf, window: Window) -> Result<Rated, RatingError> {
    let mut walk = Walk::new(timeline.opened, shelf, window);
    for segment in &timeline.segments {
        for (book, span) in pieces(shelf, segment.span, timeline.has_book) {
            walk.piece(book, &Segment { span, ..*segment });
        }
    }
    walk.finish()
}

/// A group's attributes, as they were frozen.
#[must_use]
pub fn attributes(opened: &Opened) -> Attributes<'_> {
    Attributes {
        os: &opened.os,
        arch: &opened.arch,
        scheduling: match opened.scheduling {
            Scheduling::OnDemand => "on-demand",
            Scheduling::Spot => "spot",
        },
        isolation: &opened.isolation,
        gpu_model: &opened.allocation.gpu_model,
    }
}

/// Cuts a span where one book follows another. Before the first there is none, or that one.
fn pieces(
    shelf: &Shelf,
    span: Window,
    has_book: bool,
) -> impl Iterator<Item = (Option<usize>, Window)> {
    let mut from = span.from;
    std::iter::from_fn(move || {
        if from >= span.to {
            return None;
        }
        let next = shelf.books().get(shelf.after(from));
        let to = next.map_or(span.to, |book| book.from.min(span.to));
        let piece = Window { from, to };
        let book = shelf.in_force(from, has_book);
        from = to;
        Some((book, piece))
    })
}

/// A session being walked.
struct Walk<'a> {
    attributes: Attributes<'a>,
    shelf: &'a Shelf,
    window: Window,
    /// Time spent so far in each set of states.
    elapsed: [u64; BilledStates::COUNT],
    /// The prices that fit the group, by book.
    fitting: BTreeMap<usize, Vec<usize>>,
    sums: BTreeMap<(usize, usize), (Window, u128)>,
    rated: Rated,
}

impl<'a> Walk<'a> {
    fn new(opened: &'a Opened, shelf: &'a Shelf, window: Window) -> Self {
        Self {
            attributes: attributes(opened),
            shelf,
            window,
            elapsed: [0; BilledStates::COUNT],
            fitting: BTreeMap::new(),
            sums: BTreeMap::new(),
            rated: Rated::default(),
        }
    }

    fn piece(&mut self, book: Option<usize>, piece: &Segment) {
        if let Some(seen) = piece.span.and(self.window) {
            match book.and_then(|index| Some((index, self.shelf.books().get(index)?))) {
                Some((index, shelved)) => self.charge(index, &shelved.book, piece, seen),
                None if BilledStates::Aci.bills(piece.state) => {
                    let unrated = &mut self.rated.unrated_ns;
                    *unrated = unrated.saturating_add(seen.ns());
                }
                None => {}
            }
        }
        for states in BilledStates::SETS {
            if states.bills(piece.state) {
                let elapsed = &mut self.elapsed[states.index()];
                *elapsed = elapsed.saturating_add(piece.span.ns());
            }
        }
    }

    /// Adds to every price's sum what the seen part of a piece is billed.
    fn charge(&mut self, index: usize, book: &Book, piece: &Segment, seen: Window) {
        let billed = |elapsed: u64, states: BilledStates| {
            if !states.bills(piece.state) {
                return 0;
            }
            let skipped = piece.span.from.0.abs_diff(seen.from.0);
            let begin = elapsed.saturating_add(skipped);
            let end = begin.saturating_add(seen.ns());
            book.profile.billed_ns(end) - book.profile.billed_ns(begin)
        };
        let states = book.profile.states;
        let time = billed(self.elapsed[states.index()], states);
        self.rated.time.count(piece.state, time);
        let amounts = book.billed(piece.amounts);
        let fitting = self.fitting.entry(index);
        let fitting = fitting.or_insert_with(|| select(&book.skus, &self.attributes));
        for sku in fitting {
            let Sku {
                meter,
                included,
                states,
                ..
            } = &book.skus[*sku];
            let states = states.unwrap_or(book.profile.states);
            let time = billed(self.elapsed[states.index()], states);
            let amount = amounts.of(*meter).saturating_sub(*included);
            let quantity = u128::from(time) * u128::from(amount);
            if quantity > 0 {
                let sum = self.sums.entry((index, *sku)).or_insert((seen, 0));
                sum.0.from = sum.0.from.min(seen.from);
                sum.0.to = sum.0.to.max(seen.to);
                sum.1 = sum.1.saturating_add(quantity);
            }
        }
    }

    fn finish(self) -> Result<Rated, RatingError> {
        let mut rated = self.rated;
        for ((index, sku), (span, quantity)) in self.sums {
            let book = &self.shelf.books()[index].book;
            rated.charges.push(Charge {
                book: index,
                sku,
                span,
                quantity,
                cost: cost(book, &book.skus[sku], quantity)?,
            });
        }
        Ok(rated)
    }
}

/// What a quantity costs at a price of a book.
fn cost(book: &Book, sku: &Sku, quantity: u128) -> Result<Money, RatingError> {
    let cost = Money::charge(quantity, sku.price, sku.unit.grains());
    cost.map_err(|source| RatingError::Charge {
        book: book.name.clone(),
        sku: sku.id.clone(),
        source,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
