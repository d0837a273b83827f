//! Files of config, secret, downward and projected volumes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use burstlet_model::Secret;
use burstlet_model::spec::{DataFile, VolumeSource};

use super::Cx;
use super::downward::Facts;
use crate::bounds::VOLUME_DATA_BYTES_MAX;
use crate::check;
use crate::finding::{Rule, quote};
use crate::node::Node;

/// `defaultMode` if it is missing.
const FILE_MODE_DEFAULT: u32 = 0o644;
const FILE_MODE_MAX: u32 = 0o777;

impl Cx<'_> {
    pub(super) fn projected(&mut self, node: &Node<'_>, facts: &Facts<'_>) -> Option<VolumeSource> {
        let mode = self.mode(node, "defaultMode");
        let mut files = Vec::new();
        let mut secret = false;
        for source in node.items("sources") {
            if let Some(config) = source.get("configMap") {
                files.extend(self.config_data(&config, Some(mode)).unwrap_or_default());
            }
            if let Some(hidden) = source.get("secret") {
                secret = true;
                files.extend(self.secret_data(&hidden, Some(mode)).unwrap_or_default());
            }
            if let Some(downward) = source.get("downwardAPI") {
                files.extend(self.downward_files(&downward, mode, facts));
            }
        }
        let files = self.data_volume(node, files)?;
        Some(if secret {
            VolumeSource::SecretData(files)
        } else {
            VolumeSource::ConfigData(files)
        })
    }

    /// `data` is text, `binaryData` is base64.
    pub(super) fn config_data(
        &mut self,
        node: &Node<'_>,
        mode: Option<u32>,
    ) -> Option<Vec<DataFile>> {
        let mut contents = text_contents(node, "data");
        contents.extend(base64_contents(node, "binaryData"));
        self.keyed_files(node, contents, mode)
    }

    /// `data` is base64, `stringData` is text and decides over it.
    pub(super) fn secret_data(
        &mut self,
        node: &Node<'_>,
        mode: Option<u32>,
    ) -> Option<Vec<DataFile>> {
        let text = text_contents(node, "stringData");
        let mut contents = base64_contents(node, "data");
        contents.retain(|(key, _)| !text.iter().any(|(other, _)| other == key));
        contents.extend(text);
        self.keyed_files(node, contents, mode)
    }

    fn keyed_files(
        &mut self,
        node: &Node<'_>,
        contents: Vec<(String, Vec<u8>)>,
        mode: Option<u32>,
    ) -> Option<Vec<DataFile>> {
        let mode = mode.unwrap_or_else(|| self.mode(node, "defaultMode"));
        for (key, _) in &contents {
            if !check::is_data_key(key) {
                let message = format!(
                    "{} is not a key: letters, digits, '-', '_' and '.' are",
                    quote(key)
                );
                self.report.invalid(node.path(), message);
            }
        }
        let items = node.items("items");
        if items.len() == 0 {
            let files = contents.into_iter().map(|(path, data)| DataFile {
                path,
                mode,
                data: Secret::new(data),
            });
            return self.data_volume(node, files.collect());
        }
        let mut files = Vec::new();
        for item in items {
            files.extend(self.item_file(&item, &contents, mode));
        }
        self.data_volume(node, files)
    }

    fn item_file(
        &mut self,
        item: &Node<'_>,
        contents: &[(String, Vec<u8>)],
        mode: u32,
    ) -> Option<DataFile> {
        let key = self.required(item, "key")?;
        let Some((_, data)) = contents.iter().find(|(other, _)| other == key) else {
            let message = format!("there is no key {}", quote(key));
            self.report.invalid(item.at("key"), message);
            return None;
        };
        let path = self.file_path(item)?;
        Some(DataFile {
            path,
            mode: self.file_mode(item, "mode").unwrap_or(mode),
            data: Secret::new(data.clone()),
        })
    }

    pub(super) fn downward_files(
        &mut self,
        node: &Node<'_>,
        mode: u32,
        facts: &Facts<'_>,
    ) -> Vec<DataFile> {
        let mut files = Vec::new();
        for item in node.items("items") {
            let path = self.file_path(&item);
            let text = match (item.get("fieldRef"), item.get("resourceFieldRef")) {
                (Some(field), None) => self.field_file(&field, facts),
                (None, Some(resource)) => self.resource_field(&resource, None, facts),
                _ => {
                    let message = "one of fieldRef and resourceFieldRef is needed";
                    self.report.refuse(Rule::Required, item.path(), message, "");
                    None
                }
            };
            let mode = self.file_mode(&item, "mode").unwrap_or(mode);
            if let (Some(path), Some(text)) = (path, text) {
                files.push(DataFile {
                    path,
                    mode,
                    data: Secret::new(text.into_bytes()),
                });
            }
        }
        files
    }

    /// Checks the files of a volume together.
    pub(super) fn data_volume(
        &mut self,
        node: &Node<'_>,
        files: Vec<DataFile>,
    ) -> Option<Vec<DataFile>> {
        let bytes = files.iter().map(|file| file.data.expose().len()).sum();
        self.at_most(
            node.path().to_owned(),
            bytes,
            VOLUME_DATA_BYTES_MAX,
            "bytes of data",
        );
        let mut paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        paths.sort_unstable();
        let clash = paths.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            [a, b] if b.strip_prefix(a).is_some_and(|rest| rest.starts_with('/')) => Some(*a),
            _ => None,
        });
        if let Some(path) = clash {
            let message = format!("two files have the path {}", quote(path));
            self.report
                .refuse(Rule::Duplicate, node.path(), message, "");
            return None;
        }
        Some(files)
    }

    fn file_path(&mut self, item: &Node<'_>) -> Option<String> {
        let path = self.required(item, "path")?;
        if let Some(problem) = check::file_path(path) {
            self.report.invalid(item.at("path"), problem);
            return None;
        }
        Some(path.to_owned())
    }

    pub(super) fn mode(&mut self, node: &Node<'_>, name: &str) -> u32 {
        self.file_mode(node, name).unwrap_or(FILE_MODE_DEFAULT)
    }

    fn file_mode(&mut self, node: &Node<'_>, name: &str) -> Option<u32> {
        self.bounded(node, name, 0, FILE_MODE_MAX)
    }
}

fn text_contents(node: &Node<'_>, name: &str) -> Vec<(String, Vec<u8>)> {
    let entries = node.map(name).into_iter();
    entries
        .map(|(key, text)| (key.to_owned(), text.as_bytes().to_vec()))
        .collect()
}

/// The survey has seen to it that each value is base64.
fn base64_contents(node: &Node<'_>, name: &str) -> Vec<(String, Vec<u8>)> {
    let entries = node.map(name).into_iter();
    entries
        .filter_map(|(key, text)| Some((key.to_owned(), STANDARD.decode(text).ok()?)))
        .collect()
}
