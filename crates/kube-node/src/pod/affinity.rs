//! Node selectors, as the scheduler reads them: a node matches if one of the terms does, a term if
//! all of it does, and an empty term matches nothing.

use serde_json::Value;

use super::needs::{items, text};

/// The only field of a node that a selector may name.
const NAME: &str = "metadata.name";

/// Whether a node with this `metadata` is one of those selected.
pub(crate) fn matches(selector: &Value, metadata: &Value) -> bool {
    let label = |key: &str| metadata["labels"][key].as_str();
    let field = |key: &str| metadata["name"].as_str().filter(|_| key == NAME);
    let mut terms = items(selector.get("nodeSelectorTerms"));
    terms.any(|term| {
        let (labels, fields) = (term.get("matchExpressions"), term.get("matchFields"));
        let is_empty = items(labels).chain(items(fields)).next().is_none();
        !is_empty
            && items(labels).all(|wanted| holds(wanted, label))
            && items(fields).all(|wanted| holds(wanted, field))
    })
}

/// Whether a requirement holds of a value. One with a word that nobody knows holds of none.
fn holds<'v>(wanted: &Value, value: impl Fn(&str) -> Option<&'v str>) -> bool {
    let value = value(text(wanted, "key").unwrap_or_default());
    let is_listed = || value.is_some_and(|v| items(wanted.get("values")).any(|w| w == v));
    match text(wanted, "operator") {
        Some("In") => is_listed(),
        Some("NotIn") => !is_listed(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        Some("Gt") => compared(wanted, value).is_some_and(|(value, bound)| value > bound),
        Some("Lt") => compared(wanted, value).is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

/// Both as whole numbers, if they are.
fn compared(wanted: &Value, value: Option<&str>) -> Option<(i64, i64)> {
    let bound = items(wanted.get("values")).next()?.as_str()?;
    Some((value?.parse().ok()?, bound.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(terms: &Value, expected: bool) {
        let metadata = json!({"name": "edge-1", "labels": {"disk": "fast", "cores": "8"}});
        let selector = json!({"nodeSelectorTerms": terms});
        assert_eq!(matches(&selector, &metadata), expected, "{terms}");
    }

    fn one(key: &str, operator: &str, values: &[&str]) -> Value {
        json!({"key": key, "operator": operator, "values": values})
    }

    #[test]
    fn every_operator() {
        for (key, operator, values, expected) in [
            ("disk", "In", &["slow", "fast"][..], true),
            ("disk", "In", &["slow"], false),
            ("zone", "In", &["a"], false),
            ("disk", "NotIn", &["slow"], true),
            ("disk", "NotIn", &["fast"], false),
            ("zone", "NotIn", &["a"], true),
            ("disk", "Exists", &[], true),
            ("zone", "Exists", &[], false),
            ("disk", "DoesNotExist", &[], false),
            ("zone", "DoesNotExist", &[], true),
            ("cores", "Gt", &["7"], true),
            ("cores", "Gt", &["8"], false),
            ("cores", "Lt", &["9"], true),
            ("disk", "Lt", &["9"], false),
            ("zone", "Gt", &["7"], false),
            ("disk", "Like", &["fast"], false),
        ] {
            let term = json!([{"matchExpressions": [one(key, operator, values)]}]);
            check(&term, expected);
        }
    }

    #[test]
    fn terms_are_alternatives_and_their_parts_are_not() {
        let (fast, slow) = (one("disk", "In", &["fast"]), one("disk", "In", &["slow"]));
        check(&json!([]), false);
        check(&json!([{}]), false);
        check(&json!([{"matchExpressions": [fast, slow]}]), false);
        check(
            &json!([{"matchExpressions": [slow]}, {"matchExpressions": [fast]}]),
            true,
        );
        for (name, expected) in [("edge-1", true), ("edge-2", false)] {
            let field = one("metadata.name", "In", &[name]);
            check(&json!([{"matchFields": [field]}]), expected);
            check(
                &json!([{"matchFields": [field], "matchExpressions": [fast]}]),
                expected,
            );
        }
    }
}
