//! Which entries of a profile count for one container on one host.

use std::collections::{BTreeMap, BTreeSet};

use super::arch::Arch;
use super::condition::Condition;
use super::profile::{Action, Entry, Profile, Scope};

/// A kernel's version, as far as profiles tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// 6 of 6.18.
    pub major: u32,
    /// 18 of 6.18.
    pub minor: u32,
}

/// What a profile is applied to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) arch: Arch,
    pub(super) kernel: KernelVersion,
    /// Names without `CAP_`.
    pub(super) capabilities: BTreeSet<String>,
}

/// What becomes of one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// The first whose conditions hold decides; each has at least one condition.
    pub(super) rules: Vec<Rule>,
    /// Else this.
    pub(super) otherwise: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
}

/// A profile for one target.
#[derive(Debug)]
pub(super) struct Selected {
    /// By number. Calls that are not here have the profile's default.
    pub(super) decisions: BTreeMap<u32, Decision>,
    /// Names that no system call of any architecture has, as far as is known here. The default
    /// applies to them.
    pub(super) unknown: BTreeSet<String>,
}

impl KernelVersion {
    /// Reads `6.18`, or the beginning of `6.18.1-generic`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (major, rest) = text.split_once('.')?;
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        Some(Self {
            major: major.parse().ok()?,
            minor: rest.get(..end)?.parse().ok()?,
        })
    }
}

/// Selects what counts and sorts it by number.
pub(super) fn select(profile: &Profile, target: &Target) -> Selected {
    let mut selected = Selected {
        decisions: BTreeMap::new(),
        unknown: BTreeSet::new(),
    };
    // Calls that an earlier entry has decided without a condition.
    let mut decided = BTreeSet::new();
    for entry in profile.entries.iter().filter(|entry| target.has(entry)) {
        for name in &entry.names {
            let Some(number) = target.arch.number(name) else {
                selected.report(name);
                continue;
            };
            if decided.contains(&number) {
                continue;
            }
            let decision = selected.decisions.entry(number).or_insert(Decision {
                rules: Vec::new(),
                otherwise: profile.default,
            });
            if entry.conditions.is_empty() {
                decision.otherwise = entry.action;
                decided.insert(number);
            } else {
                decision.rules.push(Rule {
                    conditions: entry.conditions.clone(),
                    action: entry.action,
                });
            }
        }
    }
    selected
}

impl Target {
    fn has(&self, entry: &Entry) -> bool {
        self.is_included(&entry.includes) && !self.is_excluded(&entry.excludes)
    }

    fn is_included(&self, scope: &Scope) -> bool {
        (scope.arches.is_empty() || scope.arches.contains(self.arch.profile_name()))
            && scope.capabilities.is_subset(&self.capabilities)
            && scope.min_kernel.is_none_or(|kernel| self.kernel >= kernel)
    }

    /// Any of what is named excludes.
    fn is_excluded(&self, scope: &Scope) -> bool {
        scope.arches.contains(self.arch.profile_name())
            || !scope.capabilities.is_disjoint(&self.capabilities)
            || scope.min_kernel.is_some_and(|kernel| self.kernel >= kernel)
    }
}

impl Selected {
    fn report(&mut self, name: &str) {
        let elsewhere = [Arch::X86_64, Arch::Aarch64];
        if elsewhere.iter().all(|arch| arch.number(name).is_none()) {
            self.unknown.insert(name.to_owned());
        }
    }
}
