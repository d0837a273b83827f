//! Canonical JSON to a [`GroupSpec`]: values are checked, defaults filled in, references resolved.

mod container;
mod devices;
mod downward;
mod env;
mod files;
mod group;
mod metadata;
mod mount;
mod network;
mod probe;
mod resources;
mod restart;
mod security;
mod tags;
mod volume;

use burstlet_model::spec::GroupSpec;
use serde_json::{Map, Value};

pub(crate) use self::group::SCHEDULING_ANNOTATION;
use self::metadata::Named;
use crate::bounds::MANIFEST_BYTES_MAX;
use crate::finding::{Finding, Refused, Report, Rule, quote};
use crate::matrix::DOCUMENT;
use crate::node::Node;
use crate::policy::{Context, Policy};
use crate::standard::{Door, Judgement, Standard, Violation};
use crate::survey::survey;

/// `apiVersion` of a group.
const GROUP_API: &str = "burstlet.dev/v1";
/// `kind` of a group.
const GROUP_KIND: &str = "ContainerGroup";

/// A manifest that can be run.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The specification.
    pub spec: GroupSpec,
    /// The canonical JSON of the `ContainerGroup`: name and namespace filled in, no more defaults.
    pub source: Value,
    /// What was warned about.
    pub findings: Vec<Finding>,
    /// What the audit trail is to tell.
    pub audited: Vec<Violation>,
}

/// Reads a manifest's JSON text.
///
/// # Errors
/// The text is too long, not JSON, or has a key twice.
pub fn parse(text: &str) -> Result<Value, Refused> {
    let mut report = Report::default();
    if text.len() > MANIFEST_BYTES_MAX {
        let message = format!("the manifest is longer than {MANIFEST_BYTES_MAX} bytes");
        report.refuse(Rule::TooLarge, "", message, "");
    } else {
        match burstlet_strict_json::parse(text.as_bytes()) {
            Ok(value) => return Ok(value),
            // The parser's message has the place, and of the text at most a key.
            Err(error) => report.invalid("", format!("the manifest is not JSON: {error}")),
        }
    }
    Err(Refused {
        findings: report.into_findings(),
    })
}

/// Translates a `ContainerGroup` or a `v1` Pod.
///
/// # Errors
/// At least one field is refused; the error has every finding, warnings too.
pub fn translate(manifest: &Value, context: &Context<'_>) -> Result<Translation, Refused> {
    let mut cx = Cx {
        context,
        report: Report::default(),
        standard: Standard::default(),
        judgement: Judgement::default(),
    };
    let translated = cx.document(manifest);
    let refused = cx.report.is_refused();
    let findings = cx.report.into_findings();
    let translated = match translated {
        Some((spec, source)) if !refused => Ok(Translation {
            spec,
            source,
            findings,
            audited: Vec::new(),
        }),
        _ => Err(Refused { findings }),
    };
    cx.judgement.over(translated)
}

impl Judgement {
    /// A translation with what the standards say of the manifest that it was made of.
    ///
    /// # Errors
    /// It was refused before, or is by this.
    pub fn over(self, translated: Result<Translation, Refused>) -> Result<Translation, Refused> {
        let (made, findings) = match translated {
            Ok(mut made) => {
                let findings = std::mem::take(&mut made.findings);
                (Some(made), findings)
            }
            Err(refused) => (None, refused.findings),
        };
        let mut report = Report::of(findings);
        for finding in self.refused.into_iter().chain(self.warned) {
            report.add_judged(finding);
        }
        let refused = report.is_refused();
        let findings = report.into_findings();
        match made {
            Some(made) if !refused => Ok(Translation {
                findings,
                audited: self.audited,
                ..made
            }),
            _ => Err(Refused { findings }),
        }
    }
}

/// What every part of the translation is given.
struct Cx<'c> {
    context: &'c Context<'c>,
    report: Report,
    /// What is enforced in the namespace of the group.
    standard: Standard,
    judgement: Judgement,
}

impl Cx<'_> {
    fn document(&mut self, manifest: &Value) -> Option<(GroupSpec, Value)> {
        let Value::Object(manifest) = manifest else {
            self.report.invalid("", "a manifest is a JSON object");
            return None;
        };
        let pod = self.is_pod(manifest)?;
        let unknown = self.context.policy.unknown_fields;
        let canonical = survey(manifest, DOCUMENT, pod, unknown, &mut self.report);
        let mut canonical = Value::Object(canonical);
        let root = Node::root(&canonical);
        let named = self.metadata(&root);
        if let Some(named) = &named {
            let namespace = named.name.namespace.as_str();
            self.standard = self.context.policy.standards.of(namespace).enforce;
        }
        let spec = self.group(&root, named.as_ref());
        if let Some(named) = &named {
            self.judge(named, &canonical);
        }
        complete(&mut canonical, &named?);
        Some((spec?, canonical))
    }

    /// Whether the manifest is a Pod, or `None` if it is neither a Pod nor a group.
    fn is_pod(&mut self, manifest: &Map<String, Value>) -> Option<bool> {
        let text = |name| {
            manifest
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        match (text("apiVersion"), text("kind")) {
            (GROUP_API, GROUP_KIND) => return Some(false),
            ("v1", "Pod") => return Some(true),
            (_, "") => self.report.refuse(
                Rule::Required,
                "kind",
                "the manifest does not say what it is",
                format!("write 'kind: {GROUP_KIND}' and 'apiVersion: {GROUP_API}'"),
            ),
            (api, kind @ (GROUP_KIND | "Pod")) => {
                let wanted = if kind == "Pod" { "v1" } else { GROUP_API };
                let message = format!("{} is not an API version of {kind}", quote(api));
                let way_out = format!("write 'apiVersion: {wanted}'");
                self.report
                    .refuse(Rule::Invalid, "apiVersion", message, way_out);
            }
            (_, kind) => {
                let message = format!("{} cannot be run", quote(kind));
                let way_out = format!("give a {GROUP_KIND} or a Pod");
                self.report
                    .refuse(Rule::Unsupported, "kind", message, way_out);
            }
        }
        None
    }

    /// A whole number within `min..=max`.
    fn bounded(&mut self, node: &Node<'_>, name: &str, min: u32, max: u32) -> Option<u32> {
        let number = node.number(name)?;
        let fits = u32::try_from(number)
            .ok()
            .filter(|n| (min..=max).contains(n));
        if fits.is_none() {
            let message = format!("{number} is not within {min} to {max}");
            self.report.invalid(node.at(name), message);
        }
        fits
    }

    /// One of the words that `words` lists, each with what it stands for.
    fn word<T: Copy>(&mut self, node: &Node<'_>, name: &str, words: &[(&str, T)]) -> Option<T> {
        self.choose(node.text(name)?, words, || node.at(name))
    }

    /// The meaning of one of several words, given as an annotation.
    fn annotated<T: Copy>(
        &mut self,
        root: &Node<'_>,
        name: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let metadata = root.get("metadata")?;
        let annotations = metadata.map("annotations");
        let (_, text) = annotations.iter().find(|(key, _)| *key == name)?;
        self.choose(text, words, || metadata.entry("annotations", quote(name)))
    }

    fn choose<T: Copy>(
        &mut self,
        text: &str,
        words: &[(&str, T)],
        path: impl FnOnce() -> String,
    ) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("{} is none of {}", quote(text), all.join(", "));
            self.report.invalid(path(), message);
        }
        found.map(|(_, value)| *value)
    }

    /// Text that must be there.
    fn required<'n>(&mut self, node: &Node<'n>, name: &str) -> Option<&'n str> {
        let text = node.text(name);
        if text.is_none() && !node.is_refused(name) {
            self.report
                .refuse(Rule::Required, node.at(name), "it is missing", "");
        }
        text
    }

    /// Refuses a list that is too long.
    fn at_most(&mut self, path: String, count: usize, max: usize, what: &str) {
        if count > max {
            let message = format!("{count} {what}; at most {max} are taken");
            self.report.refuse(Rule::TooLarge, path, message, "");
        }
    }

    /// What a pod of a cluster asked for can no longer be seen here: it is judged by whoever has it.
    fn judge(&mut self, named: &Named, canonical: &Value) {
        let policy = self.context.policy;
        if policy.standards.door == Door::Direct {
            self.judgement = policy.judge(named.name.namespace.as_str(), canonical);
        }
    }

    /// Whether the operator allows something that the standards are about: by name, or by leaving
    /// everything to others.
    fn allows(&self, by_name: impl Fn(&Policy) -> bool) -> bool {
        self.standard == Standard::Privileged || by_name(self.context.policy)
    }

    /// Refuses what the operator does not allow.
    fn needs_leave(&mut self, path: String, message: impl Into<String>, key: &str) {
        let way_out = format!("ask the operator to set policy.{key}");
        self.report.refuse(Rule::NotAllowed, path, message, way_out);
    }
}

/// Fills in what the group is called.
fn complete(canonical: &mut Value, named: &Named) {
    let Some(document) = canonical.as_object_mut() else {
        return;
    };
    document.insert("apiVersion".to_owned(), GROUP_API.into());
    document.insert("kind".to_owned(), GROUP_KIND.into());
    if let Some(Value::Object(metadata)) = document.get_mut("metadata") {
        metadata.remove("generateName");
        metadata.insert("name".to_owned(), named.name.name.as_str().into());
        metadata.insert("namespace".to_owned(), named.name.namespace.as_str().into());
    }
}
