//! The price of a group before it runs.

use burstlet_model::WallTime;

use super::{Charge, Rated, RatingError, Segment, Timeline, rate};
use crate::book::{Amounts, Book, SECOND_NS, Shelf};
use crate::money::{Decimal, Money};
use crate::record::{Opened, State};
use crate::sessions::Window;

/// What a group would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The amounts that are billed, which may be more than what is asked for.
    pub billed: Amounts,
    /// How long is billed.
    pub billed_ns: u64,
    /// By price.
    pub charges: Vec<Charge>,
    /// The sum.
    pub total: Money,
    /// What every further hour costs.
    pub hourly: Money,
}

/// A machine beside a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The machine, as an index into the book's.
    pub machine: usize,
    /// What the machine costs a day, used or not.
    pub machine_daily: Money,
    /// What the group costs when it runs all day.
    pub group_daily: Money,
    /// How many hours a day the group may run before the machine is cheaper, rounded down; at most
    /// 24, which says that the machine never is.
    pub hours: Decimal,
}

/// The price of a group that runs this long, all images being there.
///
/// # Errors
/// The price does not fit.
pub fn quote(book: &Book, opened: &Opened, duration_ns: u64) -> Result<Quote, RatingError> {
    let shelf = Shelf::always(book.clone());
    let amounts = Amounts::from(&opened.allocation);
    let rated = lasting(&shelf, opened, (State::Running, amounts), duration_ns)?;
    Ok(Quote {
        billed: book.billed(amounts),
        billed_ns: rated.time.total_ns(),
        total: rated.cost(),
        hourly: hourly(&shelf, opened, (State::Running, amounts))?,
        charges: rated.charges,
    })
}

/// The cheapest machine of the book that could hold the group, beside the group; nothing if the
/// book has no such machine or the group costs nothing.
///
/// # Errors
/// A price does not fit.
pub fn compare(book: &Book, opened: &Opened) -> Result<Option<Comparison>, RatingError> {
    let allocation = &opened.allocation;
    let holds = |cpu, memory| allocation.cpu.0 <= cpu && allocation.memory.0 <= memory;
    let machines = book.machines.iter().enumerate();
    let holding = machines.filter(|(_, machine)| holds(machine.cpu_milli, machine.memory));
    let Some((index, machine)) = holding.min_by_key(|(_, machine)| machine.hourly_price) else {
        return Ok(None);
    };
    let day = |hourly: Money| hourly.times(24).unwrap_or(hourly);
    let machine_daily = day(Money::from_decimal(machine.hourly_price));
    let running = (State::Running, Amounts::from(allocation));
    let hourly = hourly(&Shelf::always(book.clone()), opened, running)?;
    let whole_day = Decimal::from_raw(24 * Decimal::ONE.raw());
    Ok(machine_daily.ratio(hourly).map(|hours| Comparison {
        machine: index,
        machine_daily,
        group_daily: day(hourly),
        hours: hours.min(whole_day),
    }))
}

/// What every further hour costs that a group is in a state, with these amounts set aside, by the
/// one book of a shelf.
///
/// The 26th hour: what is rounded up is a whole number of steps by then, and any minimum is over.
pub(super) fn hourly(
    shelf: &Shelf,
    opened: &Opened,
    lasts: (State, Amounts),
) -> Result<Money, RatingError> {
    let hours = |hours: u64| lasting(shelf, opened, lasts, hours * 3600 * SECOND_NS);
    Ok(hours(26)?.cost() - hours(25)?.cost())
}

fn lasting(
    shelf: &Shelf,
    opened: &Opened,
    (state, amounts): (State, Amounts),
    ns: u64,
) -> Result<Rated, RatingError> {
    let segment = Segment {
        state,
        span: Window {
            from: WallTime(0),
            to: WallTime(i64::try_from(ns).unwrap_or(i64::MAX)),
        },
        amounts,
    };
    let timeline = Timeline {
        opened,
        segments: vec![segment],
        has_book: true,
    };
    rate(&timeline, shelf, Window::ALL)
}
