//! Capacity that is paid for whether it is used or not.
//!
//! A commitment is to an amount in every hour. What all sessions together used of it in an hour is
//! not charged on demand; what they used beyond it is; the commitment itself is charged whatever
//! they used. Hours are those of UTC, and an hour is settled as a whole.

use std::collections::BTreeMap;

use burstlet_model::WallTime;

use super::{RatingError, cost};
use crate::book::{Book, SECOND_NS, Sku};
use crate::money::Money;
use crate::sessions::Window;

/// Nanoseconds of an hour.
pub const HOUR_NS: i64 = 3600 * SECOND_NS as i64;

/// One commitment in one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which, as an index into the book's.
    pub commitment: usize,
    /// What is committed to, in smallest amounts times nanoseconds.
    pub committed: u128,
    /// What of it was used.
    pub covered: u128,
    /// What the commitment costs.
    pub fee: Money,
    /// What need not be paid on demand.
    pub credit: Money,
}

/// The hour that a moment is in.
#[must_use]
pub const fn hour_of(moment: WallTime) -> Window {
    let from = moment.0.div_euclid(HOUR_NS).saturating_mul(HOUR_NS);
    Window {
        from: WallTime(from),
        to: WallTime(from.saturating_add(HOUR_NS)),
    }
}

/// Settles an hour in which a book was in force. `used` has what all sessions together were charged
/// for, by the index of the price.
///
/// # Errors
/// A charge does not fit.
pub fn settle(book: &Book, used: &BTreeMap<usize, u128>) -> Result<Vec<Settled>, RatingError> {
    let commitments = book.commitments.iter().enumerate();
    let settled = commitments.map(|(index, commitment)| {
        let sku = &book.skus[commitment.sku];
        let committed = u128::from(commitment.amount) * u128::from(HOUR_NS.unsigned_abs());
        let covered = used
            .get(&commitment.sku)
            .copied()
            .unwrap_or(0)
            .min(committed);
        let at_commitment = Sku {
            price: commitment.price,
            ..sku.clone()
        };
        Ok(Settled {
            commitment: index,
            committed,
            covered,
            fee: cost(book, &at_commitment, committed)?,
            credit: cost(book, sku, covered)?,
        })
    });
    settled.collect()
}
