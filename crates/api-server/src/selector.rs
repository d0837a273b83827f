//! Label selectors, in Kubernetes' syntax: `app=web,tier!=cache,env in (a,b),!old`.

use std::collections::BTreeMap;

/// The most bytes of a selector.
const SELECTOR_BYTES_MAX: usize = 4096;

/// Which labels are wanted; the empty selector takes everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

/// Why a text is not a selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{part:?} is not a label requirement: write KEY, !KEY, KEY=VALUE, KEY!=VALUE, KEY in (A,B) or KEY notin (A,B)"
)]
pub(crate) struct SelectorError {
    part: String,
}

impl Selector {
    /// Reads a selector.
    pub(crate) fn parse(text: &str) -> Result<Self, SelectorError> {
        let error = |part: &str| SelectorError {
            part: part.chars().take(80).collect(),
        };
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(error(text));
        }
        let parts = split(text).into_iter().filter(|part| !part.is_empty());
        let requirements = parts
            .map(|part| requirement(part).ok_or_else(|| error(part)))
            .collect::<Result<_, _>>()?;
        Ok(Self { requirements })
    }

    /// Whether these labels are wanted. As in Kubernetes, what must not have a value may be absent.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| match requirement {
                Requirement::Exists(key) => labels.contains_key(key),
                Requirement::Absent(key) => !labels.contains_key(key),
                Requirement::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
                Requirement::NotIn(key, values) => {
                    !labels.get(key).is_some_and(|v| values.contains(v))
                }
            })
    }
}

/// At commas that are not between parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .collect()
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(name) = part.strip_prefix('!').filter(|name| !name.contains('=')) {
        return Some(Requirement::Absent(key(name)?));
    }
    if let Some((name, wanted)) = part.split_once("!=") {
        return Some(Requirement::NotIn(key(name)?, vec![value(wanted)?]));
    }
    if let Some((name, wanted)) = part.split_once('=') {
        let wanted = wanted.strip_prefix('=').unwrap_or(wanted);
        return Some(Requirement::In(key(name)?, vec![value(wanted)?]));
    }
    let Some((words, list)) = part.split_once('(') else {
        return Some(Requirement::Exists(key(part)?));
    };
    let values: Option<Vec<_>> = list.strip_suffix(')')?.split(',').map(value).collect();
    let mut words = words.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(name), Some("in"), None) => Some(Requirement::In(key(name)?, values?)),
        (Some(name), Some("notin"), None) => Some(Requirement::NotIn(key(name)?, values?)),
        _ => None,
    }
}

fn key(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|b| is_word(b) || b == b'/')).then(|| text.to_owned())
}

fn value(text: &str) -> Option<String> {
    let text = text.trim();
    text.bytes().all(is_word).then(|| text.to_owned())
}

const fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn selects() {
        let labels = [("app", "web"), ("env", "a"), ("x.io/y", "1")];
        let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (selector, matches) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("app=web", true),
            ("app==web", true),
            ("app = web , env=a", true),
            ("app=db", false),
            ("app!=web", false),
            ("other!=x", true),
            ("env in (a,b)", true),
            ("env in (b)", false),
            ("env notin (b, c),app=web", true),
            ("other notin (b)", true),
            ("x.io/y=1", true),
            ("app=web,env=b", false),
            ("app=", false),
        ] {
            let parsed = Selector::parse(selector).unwrap();
            assert_eq!(parsed.matches(&labels), matches, "{selector}");
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "=a",
            "a b",
            "a in b",
            "a in (b",
            "a on (b)",
            "a=b c",
            "!",
            "(a)",
            "a in (b c)",
        ] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
        assert!(Selector::parse(&"a".repeat(5000)).is_err());
    }
}
