//! What a pod costs, for who looks at it with the cluster's own tools. Said with the write that says
//! that it runs, again from time to time while it does, and a last time with its end.

use serde_json::Value;

use super::Condition;
use crate::costs::Cost;
use crate::pod::needs::items;

/// Ours: the pod costs something, or has.
const COST: &str = "burstlet.dev/Cost";

/// When of a pod's life its cost is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It goes on.
    Lasts,
    /// It has come to its end: this is all.
    Ended,
}

/// What is said of a pod's cost, until there is something else to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    occasion: Occasion,
    message: Box<str>,
}

impl Said {
    pub(crate) fn new(occasion: Occasion, cost: &Cost) -> Self {
        let Cost { rough, sum, hourly } = cost;
        let message = match occasion {
            Occasion::Lasts => format!("about {rough} so far, {hourly} an hour"),
            Occasion::Ended => format!("{sum} in all"),
        };
        Self {
            occasion,
            message: message.into(),
        }
    }

    pub(super) fn condition(&self) -> Condition {
        let (is_so, reason) = match self.occasion {
            Occasion::Lasts => (true, "Runs"),
            Occasion::Ended => (false, "Ended"),
        };
        Condition {
            kind: COST,
            is_so,
            reason: reason.to_owned(),
            message: self.message.to_string(),
        }
    }
}

/// Whether the cost of a pod is to be looked at, which is about to be told as being in `phase`: the API
/// server `has` this of it, and `said` was decided on before. By itself it is only said again when that
/// `is_due`; what begins and what ends is written anyway.
pub(crate) fn occasion(
    has: &Value,
    phase: &str,
    said: Option<&Said>,
    is_due: bool,
) -> Option<Occasion> {
    let is_news = has["phase"] != phase;
    match phase {
        "Running" => {
            let begins = is_news && said.is_none();
            (begins || is_due).then_some(Occasion::Lasts)
        }
        "Succeeded" | "Failed" => {
            let is_over = said.is_some_and(|said| said.occasion == Occasion::Ended);
            let lasted = || items(has.get("conditions")).any(lasts);
            (!is_over && (is_news || lasted())).then_some(Occasion::Ended)
        }
        _ => None,
    }
}

fn lasts(condition: &Value) -> bool {
    condition["type"] == COST && condition["status"] == "True"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(occasion: Occasion) -> Said {
        let cost = Cost {
            rough: "0.012 EUR".to_owned(),
            sum: "0.012345 EUR".to_owned(),
            hourly: "0.03 EUR".to_owned(),
        };
        Said::new(occasion, &cost)
    }

    #[test]
    fn it_is_said_what_it_costs_and_in_the_end_what_it_has() {
        for (occasion, is_so, reason, message) in [
            (
                Occasion::Lasts,
                true,
                "Runs",
                "about 0.012 EUR so far, 0.03 EUR an hour",
            ),
            (Occasion::Ended, false, "Ended", "0.012345 EUR in all"),
        ] {
            let Condition {
                kind,
                is_so: found,
                reason: word,
                message: text,
            } = said(occasion).condition();
            assert_eq!((kind, found), (COST, is_so));
            assert_eq!((&*word, &*text), (reason, message));
        }
    }

    #[test]
    fn it_is_said_with_what_is_written_anyway_and_when_it_is_due() {
        use Occasion::{Ended, Lasts};
        let has = |phase: &str, cost: Option<&str>| {
            let condition = cost.map(|status| json!({"type": COST, "status": status}));
            json!({"phase": phase, "conditions": condition.into_iter().collect::<Vec<_>>()})
        };
        let (new, runs) = (has("Pending", None), has("Running", Some("True")));
        let (ended, silent) = (has("Failed", Some("False")), has("Failed", None));
        for (has, phase, before, is_due, expected) in [
            // What waits costs nothing.
            (&json!({}), "Pending", None, false, None),
            (&new, "Pending", None, true, None),
            // With the write that says that it runs, and not anew until that is shown.
            (&new, "Running", None, false, Some(Lasts)),
            (&new, "Running", Some(Lasts), false, None),
            (&runs, "Running", Some(Lasts), false, None),
            (&runs, "Running", Some(Lasts), true, Some(Lasts)),
            // An agent that was started anew waits until it is due.
            (&runs, "Running", None, false, None),
            (&runs, "Running", None, true, Some(Lasts)),
            // Once more with the end, and never again.
            (&runs, "Succeeded", Some(Lasts), false, Some(Ended)),
            (&runs, "Failed", None, false, Some(Ended)),
            (&new, "Failed", None, false, Some(Ended)),
            (&runs, "Failed", Some(Ended), true, None),
            (&ended, "Failed", Some(Ended), true, None),
            (&ended, "Failed", None, true, None),
            // Somebody else has said that it ended.
            (
                &has("Failed", Some("True")),
                "Failed",
                None,
                false,
                Some(Ended),
            ),
            // It ended before anybody asked what it costs.
            (&silent, "Failed", None, true, None),
        ] {
            let before = before.map(said);
            let found = occasion(has, phase, before.as_ref(), is_due);
            assert_eq!(found, expected, "{has} {phase} {before:?} {is_due}");
        }
    }
}
