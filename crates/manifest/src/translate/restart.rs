//! What happens when a container ends: the group's policy, a container's own, and rules by exit codes.

use std::collections::BTreeSet;

use burstlet_model::spec::{Ends, OwnRestart, RestartAction, RestartPolicy, RestartRule};

use super::Cx;
use crate::bounds::{EXIT_CODES_MAX, RESTART_RULES_MAX};
use crate::finding::{Rule, quote};
use crate::node::Node;

const POLICIES: [(&str, RestartPolicy); 3] = [
    ("Always", RestartPolicy::Always),
    ("OnFailure", RestartPolicy::OnFailure),
    ("Never", RestartPolicy::Never),
];

const ACTIONS: [(&str, RestartAction); 2] = [
    ("Restart", RestartAction::Container),
    ("RestartAllContainers", RestartAction::All),
];

impl Cx<'_> {
    pub(super) fn restart_policy(&mut self, node: &Node<'_>) -> Option<RestartPolicy> {
        self.word(node, "restartPolicy", &POLICIES)
    }

    /// A container's own policy; rules go with one only.
    pub(super) fn own_restart(&mut self, node: &Node<'_>) -> Option<OwnRestart> {
        let policy = self.restart_policy(node);
        let items = node.items("restartPolicyRules");
        if items.len() > 0 && !node.has("restartPolicy") {
            let way_out = "say what happens where no rule does";
            let path = node.at("restartPolicy");
            self.report
                .refuse(Rule::Required, path, "it goes with rules", way_out);
        }
        let path = node.at("restartPolicyRules");
        self.at_most(path, items.len(), RESTART_RULES_MAX, "rules");
        let rules = items.filter_map(|rule| self.restart_rule(&rule)).collect();
        Some(OwnRestart {
            policy: policy?,
            rules,
        })
    }

    fn restart_rule(&mut self, node: &Node<'_>) -> Option<RestartRule> {
        self.required(node, "action");
        let action = self.word(node, "action", &ACTIONS);
        let Some(ends) = node.get("exitCodes") else {
            let path = node.at("exitCodes");
            self.report
                .refuse(Rule::Required, path, "it is missing", "");
            return None;
        };
        let ends = self.ends(&ends)?;
        Some(RestartRule {
            ends,
            action: action?,
        })
    }

    fn ends(&mut self, node: &Node<'_>) -> Option<Ends> {
        let codes = self.exit_codes(node);
        match self.required(node, "operator")? {
            "In" => Some(Ends::In(codes)),
            "NotIn" => Some(Ends::NotIn(codes)),
            other => {
                let message = format!("{} is none of In, NotIn", quote(other));
                self.report.invalid(node.at("operator"), message);
                None
            }
        }
    }

    fn exit_codes(&mut self, node: &Node<'_>) -> BTreeSet<i32> {
        let values = node.numbers("values");
        self.at_most(node.at("values"), values.len(), EXIT_CODES_MAX, "codes");
        let mut codes = BTreeSet::new();
        for (i, value) in values.into_iter().enumerate() {
            // What no process ends with is no error in Kubernetes either: it never matches.
            match i32::try_from(value) {
                Ok(code) => drop(codes.insert(code)),
                Err(_) => {
                    let message = format!("{value} is no exit code");
                    self.report.invalid(node.entry("values", i), message);
                }
            }
        }
        codes
    }
}
