//! Billing tags: what a group has, and what the operator wants it to have.

use std::collections::{BTreeMap, BTreeSet};

use super::Cx;
use crate::bounds::{TAG_KEY_BYTES_MAX, TAG_VALUE_BYTES_MAX, TAGS_MAX};
use crate::check;
use crate::finding::{Rule, quote};
use crate::node::Node;
use crate::policy::one_of;

/// Annotations that are tags: a Pod has no field for them.
const ANNOTATION_PREFIX: &str = "tags.burstlet.dev/";

impl Cx<'_> {
    /// The tags of a group, checked.
    pub(super) fn tags(&mut self, node: &Node<'_>) -> BTreeMap<String, String> {
        let annotations = node.map("annotations");
        let annotated = annotations.iter().filter_map(|(name, value)| {
            let tag = name.strip_prefix(ANNOTATION_PREFIX)?;
            Some((tag, *value, node.entry("annotations", quote(name))))
        });
        let written = node.map("tags");
        let written = written
            .iter()
            .map(|(tag, value)| (*tag, *value, node.entry("tags", quote(tag))));
        let mut tags = BTreeMap::new();
        // A tag in its own field counts for more than one in an annotation.
        for (tag, value, path) in annotated.chain(written) {
            if let Some(problem) = problem(tag, value) {
                self.report.invalid(path, problem);
            }
            tags.insert(tag.to_owned(), value.to_owned());
        }
        if tags.len() > TAGS_MAX {
            let message = format!("{} tags; at most {TAGS_MAX} are taken", tags.len());
            self.report.invalid(node.at("tags"), message);
        }
        self.required_tags(node, &tags);
        tags
    }

    fn required_tags(&mut self, node: &Node<'_>, tags: &BTreeMap<String, String>) {
        let policy = self.context.policy;
        for (name, allowed) in &policy.required_tags {
            let values = tags
                .iter()
                .filter(|(tag, _)| tag.eq_ignore_ascii_case(name));
            let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
            let Some((rule, message)) = lack(name, allowed, &values) else {
                continue;
            };
            let way_out = match allowed.is_empty() {
                true => format!("set it, or the annotation {ANNOTATION_PREFIX}{name} of a Pod"),
                false => format!("set it to {}", one_of(allowed)),
            };
            let path = node.entry("tags", quote(name));
            let level = policy.lacking_tags;
            self.report.add(level, rule, path, message, way_out);
        }
    }
}

/// Why a required tag is not as it must be. One that differs in case only counts as the same.
fn lack(name: &str, allowed: &BTreeSet<String>, values: &[&str]) -> Option<(Rule, String)> {
    if values.iter().all(|value| value.is_empty()) {
        return Some((Rule::Required, format!("the operator wants a tag {name}")));
    }
    let odd = values.iter().find(|value| !allowed.contains(**value));
    let odd = odd.filter(|_| !allowed.is_empty())?;
    let message = format!("{} is no value that the operator allows", quote(odd));
    Some((Rule::NotAllowed, message))
}

fn problem(tag: &str, value: &str) -> Option<String> {
    if tag.is_empty() || tag.len() > TAG_KEY_BYTES_MAX {
        Some(format!("a tag's key has 1 to {TAG_KEY_BYTES_MAX} bytes"))
    } else if value.len() > TAG_VALUE_BYTES_MAX {
        Some(format!(
            "a tag's value has at most {TAG_VALUE_BYTES_MAX} bytes"
        ))
    } else if !check::is_one_line(tag) || !check::is_one_line(value) {
        Some("a tag has no control characters".to_owned())
    } else {
        None
    }
}
