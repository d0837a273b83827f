//! What is wrong, or worth knowing, about a manifest: one [`Finding`] for each offending field, all
//! of them at once.

use std::fmt;

use burstlet_model::ErrorKind;

/// One thing found in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The JSON path of the field: `spec.containers[1].image`.
    pub path: String,
    /// How bad it is.
    pub level: Level,
    /// The rule that it breaks.
    pub rule: Rule,
    /// The control of the Pod Security Standards that it is about; empty if it is about none.
    pub control: &'static str,
    /// What is the matter, for people.
    pub message: String,
    /// What to write instead; empty if there is no way.
    pub way_out: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The manifest cannot be run as it is.
    Refused,
    /// The manifest runs, but not all of it counts.
    Warned,
}

impl Level {
    /// The stable word shown to people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "Refused",
            Self::Warned => "Warned",
        }
    }
}

/// The rule that a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Nobody knows such a field.
    UnknownField,
    /// The field is known, and Burstlet does not do it.
    Unsupported,
    /// Burstlet does it where the operator allows it, and here the operator does not.
    NotAllowed,
    /// The value is not one that the field can have.
    Invalid,
    /// Something is missing.
    Required,
    /// A bound is exceeded.
    TooLarge,
    /// Something that must be unique is there twice.
    Duplicate,
    /// The field has no effect here.
    Ignored,
    /// A level of the Pod Security Standards does not admit it.
    PodSecurity,
}

impl Rule {
    /// The stable word shown to people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownField => "UnknownField",
            Self::Unsupported => "Unsupported",
            Self::NotAllowed => "NotAllowed",
            Self::Invalid => "Invalid",
            Self::Required => "Required",
            Self::TooLarge => "TooLarge",
            Self::Duplicate => "Duplicate",
            Self::Ignored => "Ignored",
            Self::PodSecurity => "PodSecurity",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
        if !self.way_out.is_empty() {
            write!(f, " ({})", self.way_out)?;
        }
        Ok(())
    }
}

/// A manifest that cannot be run, with everything that was found in it, warnings too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest has {} refused: {}", count(.findings), first(.findings))]
pub struct Refused {
    /// What was found, in the order of the manifest; at least one is [`Level::Refused`].
    pub findings: Vec<Finding>,
}

impl Refused {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

fn refused(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|f| f.level == Level::Refused)
}

fn count(findings: &[Finding]) -> String {
    match refused(findings).count() {
        1 => "one field".to_owned(),
        many => format!("{many} fields"),
    }
}

fn first(findings: &[Finding]) -> String {
    refused(findings)
        .next()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The most findings that are kept of one manifest.
pub const FINDINGS_MAX: usize = 200;
/// The most characters of a client's text that a message repeats.
const QUOTE_CHARS_MAX: usize = 80;

/// `text` in quotes, escaped and cut, so that a message stays readable whatever a client sends.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Gathers findings.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    refused: bool,
}

impl Report {
    /// Goes on with findings that were made before.
    pub(crate) fn of(findings: Vec<Finding>) -> Self {
        let refused = findings.iter().any(|f| f.level == Level::Refused);
        Self { findings, refused }
    }

    pub(crate) fn refuse(
        &mut self,
        rule: Rule,
        path: impl Into<String>,
        message: impl Into<String>,
        way_out: impl Into<String>,
    ) {
        self.add(Level::Refused, rule, path, message, way_out);
    }

    pub(crate) fn warn(
        &mut self,
        rule: Rule,
        path: impl Into<String>,
        message: impl Into<String>,
        way_out: impl Into<String>,
    ) {
        self.add(Level::Warned, rule, path, message, way_out);
    }

    /// A value that the field cannot have.
    pub(crate) fn invalid(&mut self, path: impl Into<String>, message: impl fmt::Display) {
        self.refuse(Rule::Invalid, path, message.to_string(), "");
    }

    pub(crate) const fn is_refused(&self) -> bool {
        self.refused
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    pub(crate) fn add(
        &mut self,
        level: Level,
        rule: Rule,
        path: impl Into<String>,
        message: impl Into<String>,
        way_out: impl Into<String>,
    ) {
        self.push(Finding {
            path: path.into(),
            level,
            rule,
            control: "",
            message: message.into(),
            way_out: way_out.into(),
        });
    }

    /// Adds what a level of the Pod Security Standards says. What is refused already is not said
    /// twice: it is told which control it is about.
    pub(crate) fn add_judged(&mut self, judged: Finding) {
        let said = self
            .findings
            .iter_mut()
            .find(|said| said.level == Level::Refused && touches(&said.path, &judged.path));
        match said {
            Some(said) => said.control = judged.control,
            None => self.push(judged),
        }
    }

    fn push(&mut self, finding: Finding) {
        let is_refusal = finding.level == Level::Refused;
        self.refused |= is_refusal;
        // A refusal always finds a place, so that a flood of warnings cannot hide it.
        if self.findings.len() >= FINDINGS_MAX {
            let warned = self.findings.iter().rposition(|f| f.level == Level::Warned);
            match warned {
                Some(last) if is_refusal => drop(self.findings.remove(last)),
                _ => return,
            }
        }
        self.findings.push(finding);
    }
}

/// Whether one of two paths is the other, or leads to it.
fn touches(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let rest = long.strip_prefix(short);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
