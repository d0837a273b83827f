//! Name, namespace, labels and annotations; tags are in `tags.rs`.

use std::collections::BTreeMap;

use burstlet_model::{GroupName, Name, Namespace};

use super::Cx;
use crate::bounds::{ANNOTATIONS_BYTES_MAX, LABELS_MAX};
use crate::check;
use crate::finding::{Rule, quote};
use crate::node::Node;

const NAMESPACE_DEFAULT: &str = "default";
/// The most bytes of a name.
const NAME_BYTES_MAX: usize = 253;

/// What a group is called and how it is marked.
pub(super) struct Named {
    pub(super) name: GroupName,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
}

impl Cx<'_> {
    pub(super) fn metadata(&mut self, root: &Node<'_>) -> Option<Named> {
        let Some(node) = root.get("metadata") else {
            self.report
                .refuse(Rule::Required, "metadata.name", "the group has no name", "");
            return None;
        };
        let labels = self.labels(&node);
        let annotations = self.annotations(&node);
        let tags = self.tags(&node);
        let namespace = self.namespace(&node);
        let name = self.name(&node);
        Some(Named {
            name: GroupName {
                namespace: namespace?,
                name: name?,
            },
            labels,
            annotations,
            tags,
        })
    }

    fn namespace(&mut self, node: &Node<'_>) -> Option<Namespace> {
        let text = node.text("namespace").unwrap_or(NAMESPACE_DEFAULT);
        Namespace::new(text)
            .map_err(|error| self.report.invalid(node.at("namespace"), error))
            .ok()
    }

    fn name(&mut self, node: &Node<'_>) -> Option<Name> {
        if let Some(text) = node.text("name") {
            return Name::new(text)
                .map_err(|error| self.report.invalid(node.at("name"), error))
                .ok();
        }
        let Some(prefix) = node.text("generateName") else {
            let way_out = "write metadata.name, or metadata.generateName to have one made";
            let path = node.at("name");
            self.report
                .refuse(Rule::Required, path, "the group has no name", way_out);
            return None;
        };
        let suffix = self.context.name_suffix;
        let room = NAME_BYTES_MAX.saturating_sub(suffix.len());
        let cut = prefix
            .char_indices()
            .nth(room)
            .map_or(prefix.len(), |(end, _)| end);
        Name::new(format!("{}{suffix}", &prefix[..cut]))
            .map_err(|error| self.report.invalid(node.at("generateName"), error))
            .ok()
    }

    fn labels(&mut self, node: &Node<'_>) -> BTreeMap<String, String> {
        let entries = node.map("labels");
        self.at_most(node.at("labels"), entries.len(), LABELS_MAX, "labels");
        for (key, value) in &entries {
            if !check::is_qualified_key(key) {
                let path = node.entry("labels", quote(key));
                let message = "the key is not [PREFIX/]NAME of letters, digits, '-', '_' and '.'";
                self.report.invalid(path, message);
            } else if !check::is_label_value(value) {
                let path = node.entry("labels", quote(key));
                let message = "a label's value is at most 63 letters, digits, '-', '_' and '.', \
                               starting and ending with a letter or digit";
                self.report.invalid(path, message);
            }
        }
        owned(&entries)
    }

    fn annotations(&mut self, node: &Node<'_>) -> BTreeMap<String, String> {
        let entries = node.map("annotations");
        let bytes: usize = entries
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        self.at_most(
            node.at("annotations"),
            bytes,
            ANNOTATIONS_BYTES_MAX,
            "bytes of annotations",
        );
        for (key, _) in &entries {
            if !check::is_qualified_key(&key.to_ascii_lowercase()) {
                let path = node.entry("annotations", quote(key));
                let message = "the key is not [PREFIX/]NAME of letters, digits, '-', '_' and '.'";
                self.report.invalid(path, message);
            }
        }
        owned(&entries)
    }
}

fn owned(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    let entries = entries.iter().copied();
    entries
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
