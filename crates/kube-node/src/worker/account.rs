//! What the API server is told of a pod's cost, and when that is looked at again.

use burstlet_model::GroupUid;
use serde_json::Value;
use tokio::time::Instant;

use crate::costs::{Costs, Turns};
use crate::pod::conditions::cost::{Said, occasion};

/// What is said of one pod.
#[derive(Default)]
pub(super) struct Account {
    said: Option<Said>,
    due: Option<Instant>,
}

/// Who knows what pods cost, whose turn it is, and when he is asked.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) costs: Option<&'a Costs>,
    pub(super) turns: &'a Turns,
    pub(super) now: Instant,
}

impl Account {
    /// When it is to be looked at though nothing has changed.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What is to be said of it.
    pub(super) const fn said(&self) -> Option<&Said> {
        self.said.as_ref()
    }

    /// Looks at what a pod costs, if that is to be said of one that is told to be in `phase`, and of
    /// which the API server `has` this.
    pub(super) fn look(&mut self, asked: Asked<'_>, uid: &GroupUid, has: &Value, phase: &str) {
        let Some(costs) = asked.costs else { return };
        let now = asked.now;
        let is_due = self.due.is_some_and(|at| at <= now);
        let found = occasion(has, phase, self.said.as_ref(), is_due);
        if let Some(occasion) = found
            && let Some(cost) = costs.of(uid)
        {
            self.said = Some(Said::new(occasion, &cost));
        }
        self.due = match phase {
            "Running" if is_due || self.due.is_none() => Some(asked.turns.next(now)),
            "Running" => self.due,
            _ => None,
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::costs::Cost;

    /// Says how often it was asked.
    fn costs(asked: &Arc<AtomicUsize>) -> Costs {
        let asked = Arc::clone(asked);
        Costs::new(move |_| {
            let times = asked.fetch_add(1, Ordering::Relaxed) + 1;
            Some(Cost {
                rough: times.to_string(),
                sum: times.to_string(),
                hourly: "1".to_owned(),
            })
        })
    }

    #[test]
    fn it_is_asked_for_when_it_is_to_be_said() {
        let (times, turns) = (Arc::default(), Turns::default());
        let costs = costs(&times);
        let uid = "u-1".parse().unwrap();
        let mut account = Account::default();
        let began = Instant::now();
        let mut look = |second: u64, phase: &str, has: &str| {
            let asked = Asked {
                costs: Some(&costs),
                turns: &turns,
                now: began + Duration::from_secs(second),
            };
            account.look(asked, &uid, &json!({"phase": has}), phase);
            (account.due(), times.load(Ordering::Relaxed))
        };
        let due = |second: u64| Some(began + Duration::from_secs(second));
        assert_eq!(look(0, "Pending", ""), (None, 0));
        assert_eq!(look(10, "Running", "Pending"), (due(70), 1));
        assert_eq!(look(11, "Running", "Pending"), (due(70), 1));
        assert_eq!(look(69, "Running", "Running"), (due(70), 1));
        assert_eq!(look(75, "Running", "Running"), (due(135), 2));
        assert_eq!(look(80, "Failed", "Running"), (None, 3));
        assert_eq!(look(81, "Failed", "Running"), (None, 3));
        assert!(account.said().is_some());
    }

    #[test]
    fn nothing_is_said_where_it_is_not_wanted() {
        let mut account = Account::default();
        let asked = Asked {
            costs: None,
            turns: &Turns::default(),
            now: Instant::now(),
        };
        let has = json!({"phase": "Pending"});
        account.look(asked, &"u-1".parse().unwrap(), &has, "Running");
        assert_eq!((account.due(), account.said()), (None, None));
    }
}
