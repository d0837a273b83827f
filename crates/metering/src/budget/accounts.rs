//! What the groups of each budget have spent: a fold over the ends of sessions.
//!
//! What a session that has ended comes to within a period never changes again, so that its part is
//! added once, when it ends; what lasts is rated when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use burstlet_model::WallTime;

use super::{Budget, Spending, State, Unit, evaluate};
use crate::book::{BilledStates, SECOND_NS, Shelf};
use crate::money::{Decimal, Money};
use crate::rating::{RatingError, running};
use crate::record::Moment;
use crate::sessions::{Session, Window};

/// Periods of one budget that are kept: those around the latest, as clocks are set now and then.
const PERIODS_KEPT: usize = 8;
/// Thousandths of a core times nanoseconds in a core-second.
const CORE_SECOND: u128 = 1000 * SECOND_NS as u128;

/// What closed sessions come to, for each budget.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    budgets: Arc<[Budget]>,
    /// By budget, then by the begin of the period.
    closed: Vec<BTreeMap<WallTime, Money>>,
}

impl Accounts {
    /// Nothing is spent yet.
    pub(crate) fn new(budgets: Vec<Budget>) -> Self {
        Self {
            closed: vec![BTreeMap::new(); budgets.len()],
            budgets: budgets.into(),
        }
    }

    /// A session ended, at this moment of its own boot.
    pub(crate) fn closed(
        &mut self,
        session: &Session,
        shelf: &Shelf,
        end: Moment,
    ) -> Result<(), RatingError> {
        for (budget, closed) in self.budgets.iter().zip(&mut self.closed) {
            if !covers(budget, session) {
                continue;
            }
            for period in periods(budget, session, end) {
                let spent = spending(budget, session, shelf, (end, period))?.spent;
                let sum = closed.entry(period.from).or_default();
                *sum = *sum + spent;
            }
            while closed.len() > PERIODS_KEPT {
                closed.pop_first();
            }
        }
        Ok(())
    }

    /// How every budget stands, with the sessions that last.
    pub(crate) fn states(
        &self,
        open: &[Arc<Session>],
        shelf: &Shelf,
        now: Moment,
    ) -> Result<Vec<State>, RatingError> {
        let mut states = Vec::with_capacity(self.budgets.len());
        for (budget, closed) in self.budgets.iter().zip(&self.closed) {
            let Some(period) = budget.period.at(now.stamp.wall) else {
                continue;
            };
            let mut sum = Spending {
                spent: closed.get(&period.from).copied().unwrap_or_default(),
                hourly: Money::ZERO,
            };
            for session in open.iter().filter(|session| covers(budget, session)) {
                let Spending { spent, hourly } = spending(budget, session, shelf, (now, period))?;
                sum.spent = sum.spent + spent;
                sum.hourly = sum.hourly + hourly;
            }
            states.push(State {
                standing: evaluate(budget, sum, now.stamp.wall, period),
                budget: budget.clone(),
                period,
                spending: sum,
                currency: shelf.currency().unwrap_or_default().to_owned(),
            });
        }
        Ok(states)
    }
}

fn covers(budget: &Budget, session: &Session) -> bool {
    let opened = session.opened();
    let namespace = opened.group.namespace.as_str();
    budget.scope.covers(namespace, &opened.tags)
}

/// The latest periods that a session has a part in, as many as are kept. One after the other need
/// not be: the wall clock may have been set.
fn periods(
    budget: &Budget,
    session: &Session,
    end: Moment,
) -> impl Iterator<Item = Window> + use<> {
    let mut periods = BTreeMap::new();
    for piece in session.pieces(end).filter(|piece| piece.ns > 0) {
        let mut at = WallTime(piece.from.0.saturating_add_unsigned(piece.ns - 1));
        for _ in 0..PERIODS_KEPT {
            let Some(period) = budget.period.at(at) else {
                break;
            };
            periods.insert(period.from, period);
            if period.from <= piece.from {
                break;
            }
            at = WallTime(period.from.0.saturating_sub(1));
        }
    }
    periods.into_values().rev().take(PERIODS_KEPT)
}

/// What a session spends of a budget within a period.
fn spending(
    budget: &Budget,
    session: &Session,
    shelf: &Shelf,
    (now, period): (Moment, Window),
) -> Result<Spending, RatingError> {
    if budget.unit == Unit::CoreSeconds {
        return Ok(core_seconds(session, now, period));
    }
    let running = running(session, shelf, now, period)?;
    Ok(Spending {
        spent: running.cost,
        hourly: running.hourly,
    })
}

fn core_seconds(session: &Session, now: Moment, period: Window) -> Spending {
    let counts = |state| BilledStates::Aci.bills(state);
    let pieces = session.pieces(now).filter(|piece| counts(piece.state));
    let within = pieces.filter_map(|piece| piece.within(period));
    let spent: u128 = within.map(|piece| piece.quantities().cpu_milli_ns).sum();
    let lasts = session.closed().is_none() && session.boot_id() == now.boot_id;
    let goes_on = lasts && counts(session.state());
    let milli = u128::from(session.allocation().cpu.0) * u128::from(goes_on);
    // A core-second is a whole number of the parts of money; what does not fit is more than any limit.
    let amount = |milli_ns| Money::charge(milli_ns, Decimal::ONE, CORE_SECOND);
    Spending {
        spent: amount(spent).unwrap_or(Money::MAX),
        hourly: amount(milli * 3600 * u128::from(SECOND_NS)).unwrap_or(Money::MAX),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::budget::{Action, Period, Scope, Threshold};
    use crate::fixture::{S, Teller, opened};
    use crate::record::{Close, SessionFact, State as SessionState};

    /// The fixture's clock begins at 08:00 of a day.
    const TO_MIDNIGHT: u64 = 16 * 3600 * S - S;

    fn budget(scope: Scope, unit: Unit) -> Budget {
        Budget {
            name: "b".to_owned(),
            scope,
            unit,
            limit: Decimal::parse("100").unwrap(),
            period: Period::Day,
            thresholds: vec![Threshold {
                percent: 100,
                action: Action::RefuseNew,
            }],
        }
    }

    fn teller() -> Teller {
        let tag = Scope::Tag {
            key: "CostCenter".to_owned(),
            value: "42".to_owned(),
        };
        let budgets = vec![
            budget(Scope::All, Unit::CoreSeconds),
            budget(Scope::Namespace("team-b".to_owned()), Unit::CoreSeconds),
            budget(tag, Unit::Money),
        ];
        let mut teller = Teller::new();
        teller.view = std::mem::take(&mut teller.view).with_budgets(budgets);
        teller
    }

    fn spent(teller: &Teller) -> Vec<(String, String)> {
        let states = teller.view.budgets(teller.now()).unwrap();
        let show = |state: &State| {
            (
                state.spending.spent.to_string(),
                state.spending.hourly.to_string(),
            )
        };
        states.iter().map(show).collect()
    }

    fn pairs(expected: [(&str, &str); 3]) -> Vec<(String, String)> {
        let owned = |(spent, hourly): (&str, &str)| (spent.to_owned(), hourly.to_owned());
        expected.map(owned).to_vec()
    }

    #[test]
    fn what_lasts_and_what_is_over_count_in_the_period_that_they_are_in() {
        let mut teller = teller();
        teller.wait(TO_MIDNIGHT - 10 * S);
        for (uid, namespace) in [("0-a", "team-a"), ("0-b", "team-b")] {
            teller.of(uid, opened(namespace, "job", "42"));
            teller.of(uid, SessionFact::Entered(SessionState::Running));
        }
        teller.wait(4 * S);
        // Half a core each, and 2^30 bytes.
        let hour = "0.0500563022336";
        assert_eq!(
            spent(&teller),
            pairs([("4", "3600"), ("2", "1800"), ("0.000055618113592889", hour)])
        );
        teller.of("0-a", SessionFact::Closed(Close::Succeeded));
        assert_eq!(spent(&teller)[0], ("4".to_owned(), "1800".to_owned()));
        teller.wait(9 * S);
        let after_midnight = spent(&teller);
        assert_eq!(
            after_midnight[..2],
            pairs([("1.5", "1800"), ("1.5", "1800"), ("", "")])[..2],
            "three seconds of the new day"
        );
        teller.of("0-b", SessionFact::Closed(Close::Failed));
        let over = spent(&teller);
        assert_eq!(over[0], ("1.5".to_owned(), "0".to_owned()));
        assert_eq!(
            over[2].0, after_midnight[2].0,
            "it ended, and costs the same"
        );
    }

    #[test]
    fn a_limit_that_is_reached_keeps_new_groups_out() {
        let mut teller = teller();
        teller.of("0-b", opened("team-b", "job", "42"));
        teller.of("0-b", SessionFact::Entered(SessionState::Running));
        teller.wait(200 * S - 1);
        let refuses = |teller: &Teller| {
            let states = teller.view.budgets(teller.now()).unwrap();
            let refuses = |state: &State| state.standing.action.is_some_and(Action::refuses);
            states.iter().map(refuses).collect::<Vec<_>>()
        };
        assert_eq!(refuses(&teller), [false, false, false]);
        let states = teller.view.budgets(teller.now()).unwrap();
        assert!(states[0].standing.next_ns.unwrap() <= 2, "it is told when");
        teller.wait(1);
        assert_eq!(refuses(&teller), [true, true, false]);
        assert_eq!(
            teller.view.budgets(teller.now()).unwrap()[0].told(),
            "budget b: 100.000000 of 100 core-seconds spent this day"
        );
    }
}
