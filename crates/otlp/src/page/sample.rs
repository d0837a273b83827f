//! A line with a number.

use std::collections::BTreeMap;

/// Labels by name.
pub(super) type Labels<'p> = BTreeMap<&'p str, String>;

/// The label of a bucket's bound.
const BOUND: &str = "le";

/// A series and its number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'p> {
    pub(super) name: &'p str,
    pub(super) labels: Labels<'p>,
    pub(super) value: f64,
}

impl<'p> Sample<'p> {
    pub(super) fn parse(line: &'p str) -> Result<Self, &'static str> {
        let end = line.find(['{', ' ']).ok_or("a sample without a number")?;
        let (name, rest) = line.split_at(end);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => parse_labels(rest)?,
            None => (Labels::new(), rest),
        };
        let value = rest.trim().parse().map_err(|_| "a number that is none")?;
        Ok(Self {
            name,
            labels,
            value,
        })
    }

    /// The labels without a bucket's bound, and the bound.
    pub(super) fn without_bound(&self) -> (Labels<'p>, Option<f64>) {
        let mut labels = self.labels.clone();
        let bound = labels.remove(BOUND);
        (labels, bound.and_then(|bound| bound.parse().ok()))
    }
}

/// The labels up to the closing brace, and what is behind it.
fn parse_labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"").ok_or("labels without an end")?;
        let (value, after) = unquote(quoted).ok_or("a label without an end")?;
        labels.insert(name, value);
        rest = after;
    }
}

/// The text up to the next quote that is not escaped, and what is behind it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => text.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => text.push(other),
        }
    }
    None
}
