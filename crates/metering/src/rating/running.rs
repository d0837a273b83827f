//! What a group has cost so far, and what it costs while it goes on.

use std::ops::Add;
use std::sync::Arc;

use super::quote::hourly;
use super::{RatingError, Timeline, rate};
use crate::book::{Amounts, Shelf};
use crate::money::Money;
use crate::record::Moment;
use crate::sessions::{Session, Window};

/// What sessions come to at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// What they cost so far.
    pub cost: Money,
    /// The time that is billed, in nanoseconds.
    pub billed_ns: u128,
    /// What the next hour costs if they stay as they are.
    pub hourly: Money,
}

impl Add for Running {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            cost: self.cost + other.cost,
            billed_ns: self.billed_ns.saturating_add(other.billed_ns),
            hourly: self.hourly + other.hourly,
        }
    }
}

/// What a session comes to within a window, up to `now` while it lasts.
///
/// # Errors
/// It cannot be rated.
pub fn running(
    session: &Session,
    shelf: &Shelf,
    now: Moment,
    window: Window,
) -> Result<Running, RatingError> {
    let rated = rate(&Timeline::of(session, now), shelf, window)?;
    Ok(Running {
        cost: rated.cost(),
        billed_ns: rated.time.total_ns().into(),
        hourly: going_on(session, shelf, now)?,
    })
}

/// What the next hour of a session costs by the book in force; nothing of one that is over, or of
/// another boot.
fn going_on(session: &Session, shelf: &Shelf, now: Moment) -> Result<Money, RatingError> {
    let lasts = session.closed().is_none() && session.boot_id() == now.boot_id;
    let in_force = shelf.in_force(now.stamp.wall, session.has_book());
    let Some(index) = in_force.filter(|_| lasts) else {
        return Ok(Money::ZERO);
    };
    let amounts = Amounts::from(session.allocation());
    let shelf = Shelf::always(Arc::clone(&shelf.books()[index].book));
    hourly(&shelf, session.opened(), (session.state(), amounts))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::fixture::{S, Teller, id, opened};
    use crate::record::{Close, SessionFact, State};

    fn at(teller: &Teller) -> Running {
        let session = teller.view.sessions().get(&id("0-a")).unwrap();
        running(session, teller.view.shelf(), teller.now(), Window::ALL).unwrap()
    }

    #[test]
    fn a_group_costs_what_it_did_and_by_the_hour_what_it_does() {
        let mut teller = Teller::new();
        teller.of("0-a", opened("team-a", "job", "42"));
        teller.wait(7 * S);
        assert_eq!(at(&teller), Running::default(), "it waits for nothing");
        teller.of("0-a", SessionFact::Entered(State::Running));
        teller.wait(3600 * S);
        let lasts = at(&teller);
        assert_eq!(lasts.billed_ns, 3600 * u128::from(S));
        assert_eq!(lasts.cost, lasts.hourly, "it ran for an hour");
        // Half a core, and 2^30 bytes for an hour.
        assert_eq!(lasts.hourly.to_string(), "0.0250281511168");
        teller.of("0-a", SessionFact::Closed(Close::Succeeded));
        teller.wait(5 * S);
        let over = Running {
            hourly: Money::ZERO,
            ..lasts
        };
        assert_eq!(at(&teller), over);
    }
}
