//! What is done as budgets are spent: which groups are warned, and which are ended.
//!
//! Judged from how the budgets stand and which sessions last, both of which the ledger tells; what
//! was told already is remembered while the agent lives, and told again by the next one.

use std::collections::BTreeMap;
use std::time::Duration;

use burstlet_metering::budget::{Action, State, Threshold};
use burstlet_metering::record::{self, Opened};
use burstlet_metering::sessions::Session;
use burstlet_model::{GroupUid, WallTime};

/// The share from which on it is no mere warning, in percent.
const WHOLE: u32 = 100;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// An operator reads it.
    Log(String),
    /// A group's owner reads it.
    Warn {
        uid: GroupUid,
        reason: &'static str,
        message: String,
    },
    /// A group is ended.
    End {
        uid: GroupUid,
        message: String,
        grace: Duration,
    },
}

/// Which thresholds were told of: for each budget in which period, and how many.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeMap<String, (WallTime, usize)>);

/// A session that lasts, as far as budgets are concerned.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    uid: GroupUid,
    opened: Opened,
    is_ending: bool,
}

impl From<&Session> for Live {
    fn from(session: &Session) -> Self {
        Self {
            uid: session.id().uid.clone(),
            opened: session.opened().clone(),
            is_ending: session.state() == record::State::Terminating,
        }
    }
}

/// What is to be done now. What was told counts as told.
pub(crate) fn orders(states: &[State], live: &[Live], told: &mut Told) -> Vec<Order> {
    let mut orders = Vec::new();
    for state in states {
        let covered = || live.iter().filter(|live| covers(state, live));
        for threshold in told.news(state) {
            let message = format!("{} ({} % reached)", state.told(), threshold.percent);
            orders.push(Order::Log(message.clone()));
            orders.extend(covered().map(|live| Order::Warn {
                uid: live.uid.clone(),
                reason: reason(threshold),
                message: message.clone(),
            }));
        }
        if let Some(Action::Stop { grace_s }) = state.standing.action {
            let lasting = covered().filter(|live| !live.is_ending);
            orders.extend(lasting.map(|live| Order::End {
                uid: live.uid.clone(),
                message: state.told(),
                grace: Duration::from_secs(grace_s.into()),
            }));
        }
    }
    orders
}

impl Told {
    /// The thresholds that were reached since the last time.
    fn news<'s>(&mut self, state: &'s State) -> &'s [Threshold] {
        let reached = &state.standing.reached;
        let now = (state.period.from, reached.len());
        let before = self.0.insert(state.budget.name.clone(), now);
        let known = before.filter(|(period, _)| *period == state.period.from);
        let known = known.map_or(0, |(_, count)| count);
        reached.get(known..).unwrap_or_default()
    }
}

fn covers(state: &State, live: &Live) -> bool {
    let namespace = live.opened.group.namespace.as_str();
    state.budget.scope.covers(namespace, &live.opened.tags)
}

const fn reason(threshold: &Threshold) -> &'static str {
    match threshold.percent < WHOLE {
        true => "BudgetWarning",
        false => "BudgetExceeded",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
