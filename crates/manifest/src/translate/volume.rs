//! Volumes, and where containers mount them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use burstlet_model::Secret;
use burstlet_model::spec::{DataFile, HostPathType, Medium, Volume, VolumeMount, VolumeSource};

use super::Cx;
use super::container::{PULL_POLICIES, default_pull};
use super::downward::Facts;
use super::env::Env;
use super::resources::bytes;
use crate::bounds::{MOUNTS_MAX, VOLUME_DATA_BYTES_MAX, VOLUMES_MAX};
use crate::check;
use crate::finding::{Rule, quote};
use crate::node::Node;

const SOURCES: [&str; 8] = [
    "emptyDir",
    "configMap",
    "secret",
    "projected",
    "downwardAPI",
    "image",
    "nfs",
    "hostPath",
];
/// `defaultMode` if it is missing.
const FILE_MODE_DEFAULT: u32 = 0o644;
const FILE_MODE_MAX: u32 = 0o777;

impl Cx<'_> {
    pub(super) fn volumes(
        &mut self,
        spec: &Node<'_>,
        facts: &Facts<'_>,
        user_namespace: bool,
    ) -> Vec<Volume> {
        let items = spec.items("volumes");
        self.at_most(spec.at("volumes"), items.len(), VOLUMES_MAX, "volumes");
        let mut volumes: Vec<Volume> = Vec::new();
        for node in items {
            let Some(name) = self.required(&node, "name") else {
                continue;
            };
            if !check::is_dns_label(name) {
                self.report
                    .invalid(node.at("name"), "a volume's name is a DNS label");
            }
            if volumes.iter().any(|other| other.name == name) {
                let message = "the name is that of another volume";
                self.report
                    .refuse(Rule::Duplicate, node.at("name"), message, "");
            }
            // A refused volume keeps its place, so that mounts of it are not refused as well.
            let source = self.volume_source(&node, facts, user_namespace);
            volumes.push(Volume {
                name: name.to_owned(),
                source: source.unwrap_or(EMPTY),
            });
        }
        volumes
    }

    fn volume_source(
        &mut self,
        node: &Node<'_>,
        facts: &Facts<'_>,
        user_namespace: bool,
    ) -> Option<VolumeSource> {
        let given: Vec<_> = SOURCES.into_iter().filter(|name| node.has(name)).collect();
        let source = match given.as_slice() {
            [one] => *one,
            // Kubernetes' default; if there was a source that is refused, this does not count.
            [] => return Some(EMPTY),
            many => {
                let message = format!("only one of {} can be given", many.join(", "));
                self.report.invalid(node.path(), message);
                return None;
            }
        };
        let volume = node.get(source)?;
        match source {
            "emptyDir" => self.empty_dir(&volume),
            "configMap" => self
                .config_data(&volume, None)
                .map(VolumeSource::ConfigData),
            "secret" => self
                .secret_data(&volume, None)
                .map(VolumeSource::SecretData),
            "projected" => self.projected(&volume, facts),
            "downwardAPI" => {
                let mode = self.mode(&volume, "defaultMode");
                let files = self.downward_files(&volume, mode, facts);
                self.data_volume(&volume, files)
                    .map(VolumeSource::ConfigData)
            }
            "image" => self.image_volume(&volume),
            "nfs" => self.nfs(&volume, user_namespace),
            _ => self.host_path(&volume),
        }
    }

    fn empty_dir(&mut self, node: &Node<'_>) -> Option<VolumeSource> {
        let medium = match node.text("medium") {
            None => Medium::Disk,
            Some("Memory") => Medium::Memory,
            Some(other) => {
                let message = format!("{} is not a medium", quote(other));
                let way_out = "leave it out for the disk, or write Memory";
                self.report
                    .refuse(Rule::Invalid, node.at("medium"), message, way_out);
                return None;
            }
        };
        let size_limit = match node.text("sizeLimit").map(bytes).transpose() {
            Ok(limit) => limit.filter(|limit| limit.0 > 0),
            Err(problem) => {
                self.report.invalid(node.at("sizeLimit"), problem);
                None
            }
        };
        Some(VolumeSource::EmptyDir { medium, size_limit })
    }

    fn image_volume(&mut self, node: &Node<'_>) -> Option<VolumeSource> {
        let text = self.required(node, "reference")?;
        let reference = self.image_ref(node.at("reference"), text)?;
        let pull_policy = self
            .word(node, "pullPolicy", &PULL_POLICIES)
            .unwrap_or_else(|| default_pull(&reference));
        Some(VolumeSource::Image {
            reference,
            pull_policy,
        })
    }

    fn nfs(&mut self, node: &Node<'_>, user_namespace: bool) -> Option<VolumeSource> {
        if user_namespace {
            let message = "an NFS mount cannot be mapped into a user namespace: its files would \
                           belong to nobody";
            let way_out = "write hostUsers: true, where the operator allows it";
            self.report
                .refuse(Rule::Invalid, node.path(), message, way_out);
        }
        let server = self.required(node, "server");
        let path = self.required(node, "path");
        let (server, path) = (server?, path?);
        if !check::is_host(server) {
            self.report
                .invalid(node.at("server"), "not a host name or address");
        }
        if let Some(problem) = check::absolute_path(path) {
            self.report.invalid(node.at("path"), problem);
        }
        Some(VolumeSource::Nfs {
            server: server.to_owned(),
            path: path.to_owned(),
            read_only: node.flag("readOnly").unwrap_or(false),
        })
    }

    fn host_path(&mut self, node: &Node<'_>) -> Option<VolumeSource> {
        let kinds = [
            ("Directory", HostPathType::Directory),
            ("DirectoryOrCreate", HostPathType::DirectoryOrCreate),
            ("File", HostPathType::File),
            ("FileOrCreate", HostPathType::FileOrCreate),
            ("Socket", HostPathType::Socket),
            ("CharDevice", HostPathType::CharDevice),
            ("BlockDevice", HostPathType::BlockDevice),
        ];
        let kind = self
            .word(node, "type", &kinds)
            .unwrap_or(HostPathType::Unchecked);
        let path = self.required(node, "path")?;
        if let Some(problem) = check::absolute_path(path) {
            self.report.invalid(node.at("path"), problem);
            return None;
        }
        let path = tidy(path);
        if !self.context.policy.allows_host_path(&path) {
            let message = format!("the host's path {} is not allowed", quote(&path));
            self.needs_leave(node.at("path"), message, "host_paths");
        }
        Some(VolumeSource::HostPath { path, kind })
    }

    fn projected(&mut self, node: &Node<'_>, facts: &Facts<'_>) -> Option<VolumeSource> {
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
    fn config_data(&mut self, node: &Node<'_>, mode: Option<u32>) -> Option<Vec<DataFile>> {
        let mut contents = text_contents(node, "data");
        contents.extend(base64_contents(node, "binaryData"));
        self.keyed_files(node, contents, mode)
    }

    /// `data` is base64, `stringData` is text and decides over it.
    fn secret_data(&mut self, node: &Node<'_>, mode: Option<u32>) -> Option<Vec<DataFile>> {
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

    fn downward_files(&mut self, node: &Node<'_>, mode: u32, facts: &Facts<'_>) -> Vec<DataFile> {
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
    fn data_volume(&mut self, node: &Node<'_>, files: Vec<DataFile>) -> Option<Vec<DataFile>> {
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

    fn mode(&mut self, node: &Node<'_>, name: &str) -> u32 {
        self.file_mode(node, name).unwrap_or(FILE_MODE_DEFAULT)
    }

    fn file_mode(&mut self, node: &Node<'_>, name: &str) -> Option<u32> {
        self.bounded(node, name, 0, FILE_MODE_MAX)
    }

    pub(super) fn mounts(
        &mut self,
        container: &Node<'_>,
        volumes: &[Volume],
        env: &Env,
    ) -> Vec<VolumeMount> {
        let items = container.items("volumeMounts");
        self.at_most(
            container.at("volumeMounts"),
            items.len(),
            MOUNTS_MAX,
            "mounts",
        );
        let mut mounts: Vec<VolumeMount> = Vec::new();
        for node in items {
            let Some(mount) = self.mount(&node, volumes, env) else {
                continue;
            };
            if mounts
                .iter()
                .any(|other| other.mount_path == mount.mount_path)
            {
                let message = "something else is mounted there";
                self.report
                    .refuse(Rule::Duplicate, node.at("mountPath"), message, "");
            }
            mounts.push(mount);
        }
        mounts
    }

    fn mount(&mut self, node: &Node<'_>, volumes: &[Volume], env: &Env) -> Option<VolumeMount> {
        let name = self.required(node, "name");
        let path = self.required(node, "mountPath");
        let sub_path = self.sub_path(node, env);
        let read_only = node.flag("readOnly").unwrap_or(false);
        let recursive = self.recursive_read_only(node, read_only);
        let (name, path) = (name?, path?);
        let Some(volume) = volumes.iter().position(|volume| volume.name == name) else {
            let message = format!("there is no volume {}", quote(name));
            self.report.invalid(node.at("name"), message);
            return None;
        };
        if let Some(problem) = check::absolute_path(path) {
            self.report.invalid(node.at("mountPath"), problem);
            return None;
        }
        let mount_path = tidy(path);
        let reserved = |dir: &str| {
            mount_path
                .strip_prefix(dir)
                .is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        if mount_path == "/" || mount_path == "/dev" || reserved("/proc") || reserved("/sys") {
            let message = format!("nothing can be mounted at {}", quote(&mount_path));
            self.report.invalid(node.at("mountPath"), message);
            return None;
        }
        Some(VolumeMount {
            volume,
            mount_path,
            sub_path,
            read_only,
            recursive_read_only: recursive,
        })
    }

    fn sub_path(&mut self, node: &Node<'_>, env: &Env) -> Option<String> {
        if node.text("subPath").is_some() && node.text("subPathExpr").is_some() {
            let message = "only one of subPath and subPathExpr can be given";
            self.report.invalid(node.at("subPathExpr"), message);
            return None;
        }
        let (field, path) = match node.text("subPath") {
            Some(text) => ("subPath", text.to_owned()),
            None => ("subPathExpr", self.expanded_path(node, env)?),
        };
        if let Some(problem) = check::relative_path(&path) {
            self.report.invalid(node.at(field), problem);
            return None;
        }
        Some(path)
    }

    fn recursive_read_only(&mut self, node: &Node<'_>, read_only: bool) -> bool {
        let words = [("Disabled", false), ("IfPossible", true), ("Enabled", true)];
        let recursive = self
            .word(node, "recursiveReadOnly", &words)
            .unwrap_or(false);
        if recursive && !read_only {
            let message = "it needs readOnly: true";
            self.report.invalid(node.at("recursiveReadOnly"), message);
        }
        recursive
    }
}

const EMPTY: VolumeSource = VolumeSource::EmptyDir {
    medium: Medium::Disk,
    size_limit: None,
};

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

/// Without doubled and closing slashes and `.`.
fn tidy(path: &str) -> String {
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    format!("/{}", parts.join("/"))
}
