//! Kubernetes' Pod Security Standards, as of 1.36: which manifests each level admits.
//!
//! A level is a set of [`CONTROLS`]; a control looks at a few fields and names each place that it
//! forbids. `privileged` has none, `baseline` stops what is known to lead out of a pod, `restricted`
//! asks for what hardens one. What becomes of a violation is up to the [`Modes`] of its namespace:
//! refused, warned about, written into the audit trail.
//!
//! The controls are the standard's own, whatever this node would make of a field. What an operator
//! allows besides is an exception from `baseline` (`exception.rs`); `restricted` knows none.

mod container;
mod control;
mod exception;
mod group;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::finding::{Finding, Level, Rule};
use crate::node::Node;
use crate::policy::Policy;

pub use control::{CONTROLS, Control};

/// A level of the standards; each holds what the one before it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standard {
    /// Everything is admitted.
    Privileged,
    /// What is known to lead out of a pod is not.
    #[default]
    Baseline,
    /// What does not harden itself is not.
    Restricted,
}

impl Standard {
    /// Every level, the widest first.
    pub const ALL: [Self; 3] = [Self::Privileged, Self::Baseline, Self::Restricted];

    /// Kubernetes' word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// What becomes of violations: one level for each way to take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// What this level does not admit is refused.
    pub enforce: Standard,
    /// What this one does not admit runs, with a warning.
    pub warn: Standard,
    /// What this one does not admit runs, and the audit trail tells of it.
    pub audit: Standard,
}

impl Modes {
    /// Enforces a level, and says nothing more.
    #[must_use]
    pub const fn enforcing(enforce: Standard) -> Self {
        Self {
            enforce,
            warn: Standard::Privileged,
            audit: Standard::Privileged,
        }
    }
}

/// The way that manifests come in by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// The API: the manifest says it all, and is judged when it is translated.
    #[default]
    Direct,
    /// A cluster: its pod is judged as the cluster has it ([`Policy::judge`]), since what is made of
    /// it no longer shows what it asked for.
    Kubernetes,
}

/// The levels of one door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standards {
    /// Which door.
    pub door: Door,
    /// Of every namespace that is not named.
    pub modes: Modes,
    /// Of those that are.
    pub namespaces: BTreeMap<String, Modes>,
}

impl Standards {
    /// One level, enforced everywhere.
    #[must_use]
    pub const fn enforcing(door: Door, level: Standard) -> Self {
        Self {
            door,
            modes: Modes::enforcing(level),
            namespaces: BTreeMap::new(),
        }
    }

    /// What to ask the operator for, and where he sets it.
    pub(crate) fn way_out(&self, level: &str) -> String {
        let of_all = match self.door {
            Door::Direct => "policy.direct",
            Door::Kubernetes => "policy.kubernetes",
        };
        format!("ask the operator for {level}, by {of_all} or policy.namespaces")
    }

    /// The levels of a namespace.
    #[must_use]
    pub fn of(&self, namespace: &str) -> Modes {
        *self.namespaces.get(namespace).unwrap_or(&self.modes)
    }
}

impl Default for Standards {
    fn default() -> Self {
        Self::enforcing(Door::Direct, Standard::default())
    }
}

/// Violations that the audit trail has of one manifest, at most.
pub const AUDITED_MAX: usize = 32;

/// A place in a manifest that a control forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The control's id.
    pub control: &'static str,
    /// The field's path: `spec.containers[1].securityContext.privileged`.
    pub path: String,
    /// What is the matter, for people.
    pub message: String,
    /// What the field says, as far as an exception must know it.
    pub(crate) value: String,
}

impl Violation {
    /// What is told of it, with what can be done about it.
    fn finding(&self, level: Level, standard: Standard, way_out: &str) -> Finding {
        Finding {
            path: self.path.clone(),
            level,
            rule: Rule::PodSecurity,
            control: self.control,
            message: format!(
                "{} (Pod Security {}: {})",
                self.message,
                standard.as_str(),
                self.control
            ),
            way_out: way_out.to_owned(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.control, self.path)
    }
}

/// What the levels of a namespace come to, for one manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What is refused.
    pub refused: Vec<Finding>,
    /// What is warned about; nothing that is refused.
    pub warned: Vec<Finding>,
    /// What the audit trail is to tell, at most [`AUDITED_MAX`].
    pub audited: Vec<Violation>,
}

impl Policy {
    /// Judges a manifest, a pod as its cluster has it or a group, by the levels of its namespace.
    #[must_use]
    pub fn judge(&self, namespace: &str, manifest: &Value) -> Judgement {
        let modes = self.standards.of(namespace);
        let of = |standard| self.unexcepted(standard, manifest);
        let refused = of(modes.enforce);
        let mut warned = of(modes.warn);
        warned.retain(|violation| !refused.contains(violation));
        let wider = self.standards.way_out("a wider level");
        let findings = |violations: &[Violation], level, standard| {
            let way_out = match level {
                Level::Refused => wider.as_str(),
                // It runs as it is.
                Level::Warned => "",
            };
            let all = violations.iter();
            all.map(|violation| violation.finding(level, standard, way_out))
                .collect()
        };
        let mut audited = of(modes.audit);
        audited.truncate(AUDITED_MAX);
        Judgement {
            refused: findings(&refused, Level::Refused, modes.enforce),
            warned: findings(&warned, Level::Warned, modes.warn),
            audited,
        }
    }

    /// The violations that nobody has allowed.
    fn unexcepted(&self, standard: Standard, manifest: &Value) -> Vec<Violation> {
        let mut all = violations(standard, manifest);
        all.retain(|violation| !self.excepts(standard, violation, manifest));
        all
    }
}

/// Every place of a manifest that a level forbids.
#[must_use]
pub fn violations(level: Standard, manifest: &Value) -> Vec<Violation> {
    let root = Node::root(manifest);
    let Some(spec) = root.get("spec") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for control in control::of(level) {
        let mut look = control::Look {
            control: control.id,
            metadata: root.get("metadata"),
            spec: &spec,
            found: &mut found,
        };
        (control.check)(&mut look);
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
