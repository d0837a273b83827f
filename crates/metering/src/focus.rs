//! The export in FOCUS 1.4, the common form of bills: one row for each hour, session and price.
//!
//! The same ledger gives the same bytes, as CSV and as Parquet. A row's quantity times its price is its cost, exactly: the
//! quantity is the price's own unit with 18 fraction digits, and where an hour's share of a second
//! has more, what is rounded away in one hour is in the next, so that a session's rows sum to its
//! whole. What an earlier export said of a closed period is never changed, only corrected by rows
//! of their own.

mod column;
mod csv;
mod parquet;
mod row;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

use std::collections::BTreeMap;

use burstlet_model::ErrorKind;

use crate::book::Shelf;
use crate::money::Decimal;
use crate::rating::{RatingError, Timeline, rate};
use crate::record::Moment;
use crate::sessions::{Session, Sessions, Window};

pub use self::csv::csv;
pub use self::parquet::{WriteError, parquet};
pub(crate) use column::json as tags_json;
pub use column::{COLUMNS, Column};
pub use row::{Invoice, Row};

/// What the export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line for each row.
    Csv,
    /// A file of typed columns.
    Parquet,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A session cannot be rated.
    #[error(transparent)]
    Rating(#[from] RatingError),
    /// The rows cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ExportError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Rating(error) => error.kind(),
            Self::Write(error) => error.kind(),
        }
    }
}

/// The rows in a form.
///
/// # Errors
/// The form has no room for a number.
pub fn write(rows: &[Row], invoice: &Invoice, form: Form) -> Result<Vec<u8>, WriteError> {
    match form {
        Form::Csv => Ok(csv(rows, invoice).into_bytes()),
        Form::Parquet => parquet(rows, invoice),
    }
}

/// The rows of every session within a window, which is widened to whole hours. What lasts is
/// counted up to `now`.
///
/// # Errors
/// A session cannot be rated.
pub fn rows(
    sessions: &Sessions,
    shelf: &Shelf,
    now: Moment,
    window: Window,
) -> Result<Vec<Row>, RatingError> {
    let mut rows = Vec::new();
    for session in sessions.iter() {
        session_rows(&mut rows, session, shelf, now, window)?;
    }
    rows.sort_by(|a, b| (a.hour.from, &a.key).cmp(&(b.hour.from, &b.key)));
    Ok(rows)
}

/// The rows that turn what an earlier export said into what is so: what was said is taken back,
/// and what is so is said, both as corrections.
#[must_use]
pub fn corrections(before: &[Row], after: &[Row]) -> Vec<Row> {
    let index = |rows: &[Row]| -> BTreeMap<_, Row> {
        let keyed = rows
            .iter()
            .map(|row| ((row.hour.from, row.key.clone()), row.clone()));
        keyed.collect()
    };
    let (before, after) = (index(before), index(after));
    let mut rows = Vec::new();
    for (key, row) in &before {
        if after
            .get(key)
            .is_none_or(|new| new.quantity != row.quantity)
        {
            rows.push(row.taken_back());
        }
    }
    for (key, row) in &after {
        if before
            .get(key)
            .is_none_or(|old| old.quantity != row.quantity)
        {
            rows.push(row.as_correction());
        }
    }
    rows.sort_by(|a, b| (a.hour.from, &a.key, a.quantity).cmp(&(b.hour.from, &b.key, b.quantity)));
    rows
}

fn session_rows(
    rows: &mut Vec<Row>,
    session: &Session,
    shelf: &Shelf,
    now: Moment,
    window: Window,
) -> Result<(), RatingError> {
    let timeline = Timeline::of(session, now);
    let mut hours = timeline.hours(window).peekable();
    let Some(first) = hours.peek() else {
        return Ok(());
    };
    let past = Window {
        to: first.from,
        ..Window::ALL
    };
    let mut sums: BTreeMap<(usize, usize), u128> = BTreeMap::new();
    for charge in rate(&timeline, shelf, past)?.charges {
        sums.insert((charge.book, charge.sku), charge.quantity);
    }
    for hour in hours {
        for charge in rate(&timeline, shelf, hour)?.charges {
            let book = &shelf.books()[charge.book].book;
            let grains = book.skus()[charge.sku].unit.grains();
            let sum = sums.entry((charge.book, charge.sku)).or_insert(0);
            let begin = Decimal::floor_ratio(*sum, grains);
            *sum = sum.saturating_add(charge.quantity);
            let end = Decimal::floor_ratio(*sum, grains);
            if let Some(quantity) = begin.zip(end).map(|(begin, end)| end.minus(begin)) {
                rows.push(Row::new(session, book, charge.sku, hour, quantity));
            }
        }
    }
    Ok(())
}
