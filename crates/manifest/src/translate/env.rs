//! Environment variables.

use std::collections::BTreeMap;

use burstlet_model::Secret;
use burstlet_model::spec::{EnvSource, EnvVar};

use super::Cx;
use super::downward::Facts;
use crate::bounds::{ENV_BYTES_MAX, ENV_VAR_BYTES_MAX, ENV_VARS_MAX};
use crate::check;
use crate::finding::{Rule, quote};
use crate::node::Node;
use burstlet_model::expand::{expand, verbatim};

/// A container's variables, and what of them is known before the start.
#[derive(Default)]
pub(super) struct Env {
    pub(super) vars: Vec<EnvVar>,
    known: BTreeMap<String, String>,
    /// Literal values as they are written, which is what exec probes see.
    written: BTreeMap<String, String>,
}

impl Env {
    /// Expands what is known before the start.
    pub(super) fn expand(&self, text: &str) -> (String, Vec<String>) {
        expand(text, |name| self.known.get(name).map(String::as_str))
    }

    /// Expands the command of an exec probe: from literal values only, as the kubelet does.
    pub(super) fn expand_command(&self, command: Vec<String>) -> Vec<String> {
        let lookup = |name: &str| self.written.get(name).map(String::as_str);
        command
            .into_iter()
            .map(|word| expand(&word, lookup).0)
            .collect()
    }

    fn add(&mut self, name: &str, value: EnvSource) {
        match &value {
            EnvSource::Literal(text) => {
                let (expanded, _) = self.expand(text);
                self.known.insert(name.to_owned(), expanded);
                self.written.insert(name.to_owned(), text.clone());
            }
            _ => {
                self.known.remove(name);
                self.written.remove(name);
            }
        }
        self.vars.push(EnvVar {
            name: name.to_owned(),
            value,
        });
    }
}

impl Cx<'_> {
    pub(super) fn env(&mut self, container: &Node<'_>, own: &str, facts: &Facts<'_>) -> Env {
        let items = container.items("env");
        let path = container.at("env");
        self.at_most(path.clone(), items.len(), ENV_VARS_MAX, "variables");
        let mut env = Env::default();
        let mut bytes = 0;
        for node in items {
            let Some(name) = self.required(&node, "name") else {
                continue;
            };
            if !check::is_env_name(name) {
                let message = "a variable's name is printable ASCII without '='";
                self.report.invalid(node.at("name"), message);
                continue;
            }
            let Some(value) = self.env_source(&node, own, facts) else {
                continue;
            };
            let size = name.len() + size(&value);
            bytes += size;
            self.at_most(
                node.path().to_owned(),
                size,
                ENV_VAR_BYTES_MAX,
                "bytes in one variable",
            );
            env.add(name, value);
        }
        self.at_most(path, bytes, ENV_BYTES_MAX, "bytes of variables");
        env
    }

    fn env_source(&mut self, node: &Node<'_>, own: &str, facts: &Facts<'_>) -> Option<EnvSource> {
        let sources = [
            node.has("value"),
            node.has("secretValue"),
            node.has("valueFrom"),
        ];
        if sources.iter().filter(|given| **given).count() > 1 {
            let message = "only one of value, secretValue and valueFrom can be given";
            self.report.invalid(node.path(), message);
            return None;
        }
        if let Some(secret) = node.whole_text("secretValue") {
            return Some(EnvSource::Secret(Secret::new(secret.to_owned())));
        }
        let Some(from) = node.get("valueFrom") else {
            let text = node.whole_text("value").unwrap_or_default();
            return Some(EnvSource::Literal(text.to_owned()));
        };
        match (from.get("fieldRef"), from.get("resourceFieldRef")) {
            (Some(field), None) => self.field_variable(&field, facts),
            (None, Some(resource)) => {
                let text = self.resource_field(&resource, Some(own), facts)?;
                Some(EnvSource::Literal(verbatim(&text)))
            }
            (Some(_), Some(_)) => {
                let message = "only one source can be given";
                self.report.invalid(from.path(), message);
                None
            }
            (None, None) => {
                // A source that is refused has been reported already.
                if from.is_empty() {
                    let way_out = "write fieldRef or resourceFieldRef";
                    self.report
                        .refuse(Rule::Required, from.path(), "a source is missing", way_out);
                }
                None
            }
        }
    }

    /// `subPathExpr`: every name must be known before the start.
    pub(super) fn expanded_path(&mut self, node: &Node<'_>, env: &Env) -> Option<String> {
        let text = node.text("subPathExpr")?;
        let (expanded, unknown) = env.expand(text);
        if unknown.is_empty() {
            return Some(expanded);
        }
        let names: Vec<_> = unknown.iter().map(|name| quote(name)).collect();
        let message = format!(
            "the value of {} is not known before the start",
            names.join(", ")
        );
        let way_out = "refer to variables of env with a value or a field of metadata";
        self.report
            .refuse(Rule::Invalid, node.at("subPathExpr"), message, way_out);
        None
    }
}

fn size(value: &EnvSource) -> usize {
    match value {
        EnvSource::Literal(text) => text.len(),
        EnvSource::Secret(secret) => secret.expose().len(),
        EnvSource::GroupIp | EnvSource::HostIp | EnvSource::NodeName | EnvSource::GroupUid => 64,
    }
}
