//! What commitments come to: fees that are due whether anything ran or not, and what need not be
//! paid on demand in return.

use std::collections::BTreeMap;

use burstlet_model::WallTime;

use crate::book::{Shelf, Unit};
use crate::money::Money;
use crate::rating::commitment::{HOUR_NS, hour_of, settle};
use crate::rating::{RatingError, Timeline, rate};
use crate::record::Moment;
use crate::sessions::{Session, Sessions, Window};

/// A commitment over the whole hours of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its name.
    pub id: String,
    /// Its book.
    pub book: String,
    /// The price whose use it covers.
    pub sku: String,
    /// What that price is for.
    pub unit: Unit,
    /// How many hours were settled.
    pub hours: u64,
    /// What was committed to, in smallest amounts times nanoseconds.
    pub committed: u128,
    /// What of it was used.
    pub covered: u128,
    /// What the commitment costs.
    pub fee: Money,
    /// What need not be paid on demand.
    pub credit: Money,
}

/// Settles the whole hours that lie within a window and are over, by the book that was in force
/// when each began.
///
/// # Errors
/// A session or a commitment cannot be rated.
pub fn commitments(
    sessions: &Sessions,
    shelf: &Shelf,
    now: Moment,
    window: Window,
) -> Result<Vec<Committed>, RatingError> {
    let books = shelf.books();
    if books
        .iter()
        .all(|shelved| shelved.book.commitments().is_empty())
    {
        return Ok(Vec::new());
    }
    let first = books.first().map_or(window.from, |shelved| shelved.from);
    let window = Window {
        from: next_hour(window.from.max(first)),
        to: hour_of(window.to.min(now.stamp.wall)).from,
    };
    let mut used = Used::new();
    for session in sessions.iter() {
        add(&mut used, session, shelf, now, window)?;
    }
    let mut sums: BTreeMap<(usize, usize), Committed> = BTreeMap::new();
    let mut hour = hour_of(window.from);
    while hour.from < window.to {
        settle_hour(&mut sums, &used, shelf, hour)?;
        hour = hour_of(hour.to);
    }
    Ok(sums.into_values().collect())
}

/// What was charged for in an hour by a book, by price.
type Used = BTreeMap<(WallTime, usize), BTreeMap<usize, u128>>;

fn next_hour(moment: WallTime) -> WallTime {
    hour_of(WallTime(moment.0.saturating_add(HOUR_NS - 1))).from
}

fn add(
    used: &mut Used,
    session: &Session,
    shelf: &Shelf,
    now: Moment,
    window: Window,
) -> Result<(), RatingError> {
    let timeline = Timeline::of(session, now);
    for hour in timeline.hours(window) {
        for charge in rate(&timeline, shelf, hour)?.charges {
            let hour = used.entry((hour.from, charge.book)).or_default();
            let sum = hour.entry(charge.sku).or_insert(0);
            *sum = sum.saturating_add(charge.quantity);
        }
    }
    Ok(())
}

fn settle_hour(
    sums: &mut BTreeMap<(usize, usize), Committed>,
    used: &Used,
    shelf: &Shelf,
    hour: Window,
) -> Result<(), RatingError> {
    let Some(index) = shelf.after(hour.from).checked_sub(1) else {
        return Ok(());
    };
    let book = &shelf.books()[index].book;
    let nothing = BTreeMap::new();
    let used = used.get(&(hour.from, index)).unwrap_or(&nothing);
    for settled in settle(book, used)? {
        let commitment = &book.commitments()[settled.commitment];
        let sku = &book.skus()[commitment.sku];
        let sum = sums
            .entry((index, settled.commitment))
            .or_insert_with(|| Committed {
                id: commitment.id.clone(),
                book: book.name().to_owned(),
                sku: sku.id.clone(),
                unit: sku.unit,
                hours: 0,
                committed: 0,
                covered: 0,
                fee: Money::ZERO,
                credit: Money::ZERO,
            });
        sum.hours += 1;
        sum.committed = sum.committed.saturating_add(settled.committed);
        sum.covered = sum.covered.saturating_add(settled.covered);
        sum.fee = sum.fee + settled.fee;
        sum.credit = sum.credit + settled.credit;
    }
    Ok(())
}
