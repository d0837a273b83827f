//! The section of what definitions may ask for. Its keys are written about in
//! `runtime-config/burstlet.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use burstlet_manifest::bounds::TAGS_MAX;
use burstlet_manifest::{Door, Modes, Standard, Standards};
use burstlet_model::Namespace;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::value::AbsolutePath;

/// Namespaces that may have levels of their own.
const NAMESPACES_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an independent permission of the operator"
)]
pub(crate) struct Policy {
    pub(crate) kubernetes: Levels,
    pub(crate) direct: Levels,
    pub(crate) namespaces: BTreeMap<String, OfNamespace>,
    pub(crate) privileged: bool,
    pub(crate) host_network: bool,
    pub(crate) host_ports: bool,
    pub(crate) cluster_network: bool,
    pub(crate) host_users: bool,
    pub(crate) unconfined_seccomp: bool,
    pub(crate) capabilities: Vec<String>,
    pub(crate) host_paths: Vec<AbsolutePath>,
    pub(crate) sysctls: Vec<String>,
    pub(crate) required_tags: BTreeMap<String, Vec<String>>,
    pub(crate) seccomp_profiles: AbsolutePath,
    pub(crate) container_pids: u32,
    pub(crate) group_pids: u32,
}

/// Levels of the Pod Security Standards, as far as they are given: one, which is enforced, or a table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Levels {
    enforce: Option<Standard>,
    warn: Option<Standard>,
    audit: Option<Standard>,
}

/// What a namespace has instead of what all others have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OfNamespace {
    pub(crate) kubernetes: Levels,
    pub(crate) direct: Levels,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            kubernetes: Levels::enforcing(Standard::Baseline),
            direct: Levels::enforcing(Standard::Baseline),
            namespaces: BTreeMap::new(),
            privileged: false,
            host_network: false,
            host_ports: false,
            cluster_network: false,
            host_users: false,
            unconfined_seccomp: false,
            capabilities: Vec::new(),
            host_paths: Vec::new(),
            sysctls: Vec::new(),
            required_tags: BTreeMap::new(),
            seccomp_profiles: AbsolutePath::constant("/etc/burstlet/seccomp"),
            container_pids: 1024,
            group_pids: 4096,
        }
    }
}

impl Policy {
    /// Checks what no single value can know.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.required_tags.len() > TAGS_MAX {
            return Err(format!(
                "[policy] required_tags has more than {TAGS_MAX} tags, which is what a group may have"
            ));
        }
        let mut names = BTreeSet::new();
        for name in self.required_tags.keys() {
            if name.is_empty() || !names.insert(name.to_ascii_lowercase()) {
                return Err(format!(
                    "[policy] required_tags has {name:?} twice, or empty"
                ));
            }
        }
        if self.namespaces.len() > NAMESPACES_MAX {
            return Err(format!(
                "[policy] has more than {NAMESPACES_MAX} namespaces"
            ));
        }
        for name in self.namespaces.keys() {
            Namespace::new(name.as_str())
                .map_err(|error| format!("[policy.namespaces.{name:?}] {error}"))?;
        }
        Ok(())
    }

    /// The levels of a door.
    pub(crate) fn standards(&self, door: Door) -> Standards {
        let named = self.namespaces.keys();
        Standards {
            door,
            modes: self.modes(door, None),
            namespaces: named
                .map(|name| (name.clone(), self.modes(door, Some(name.as_str()))))
                .collect(),
        }
    }

    /// Where paths of the host may lead for groups of a namespace. Where a door leaves it to others,
    /// what is not listed may be anywhere.
    pub(crate) fn host_roots(&self, namespace: &str) -> impl Iterator<Item = &Path> {
        let doors = [Door::Direct, Door::Kubernetes];
        let is_open = |door| self.modes(door, Some(namespace)).enforce == Standard::Privileged;
        let all = doors.into_iter().any(is_open).then_some(Path::new("/"));
        self.host_paths.iter().map(|path| &**path).chain(all)
    }

    fn modes(&self, door: Door, namespace: Option<&str>) -> Modes {
        let of = namespace.and_then(|name| self.namespaces.get(name));
        let of = of.copied().unwrap_or_default();
        let (all, of) = match door {
            Door::Direct => (self.direct, of.direct),
            Door::Kubernetes => (self.kubernetes, of.kubernetes),
        };
        of.over(all.over(Modes::enforcing(Standard::default())))
    }
}

impl Levels {
    const fn enforcing(level: Standard) -> Self {
        Self {
            enforce: Some(level),
            warn: None,
            audit: None,
        }
    }

    /// These, and where one is not given what it would be without them.
    fn over(self, modes: Modes) -> Modes {
        Modes {
            enforce: self.enforce.unwrap_or(modes.enforce),
            warn: self.warn.unwrap_or(modes.warn),
            audit: self.audit.unwrap_or(modes.audit),
        }
    }
}

/// The table's form.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    enforce: Option<Word>,
    warn: Option<Word>,
    audit: Option<Word>,
}

struct Word(Standard);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        level(&String::deserialize(deserializer)?)
            .map(Word)
            .map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LevelsVisitor)
    }
}

struct LevelsVisitor;

impl<'de> Visitor<'de> for LevelsVisitor {
    type Value = Levels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a level, or a table of enforce, warn and audit")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Levels, E> {
        level(text).map(Levels::enforcing).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Levels, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        let standard = |word: Option<Word>| word.map(|word| word.0);
        Ok(Levels {
            enforce: standard(table.enforce),
            warn: standard(table.warn),
            audit: standard(table.audit),
        })
    }
}

fn level(text: &str) -> Result<Standard, String> {
    let known = Standard::ALL
        .into_iter()
        .find(|level| level.as_str() == text);
    known.ok_or_else(|| {
        let all = Standard::ALL.map(Standard::as_str).join(", ");
        format!("{text:?} is none of {all}")
    })
}

/// When a group has no user namespace of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UserNamespaces {
    /// Where it says so, or a pod asks for what cannot be had with one, and that is allowed.
    #[default]
    Prefer,
    /// Never.
    Require,
    /// Where a pod does not ask for one; other groups as by `Prefer`.
    AsAsked,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GroupIsolation {
    pub(crate) user_namespaces: UserNamespaces,
}
