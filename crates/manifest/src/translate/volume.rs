//! Volumes, and where containers mount them.

use burstlet_model::Bytes;
use burstlet_model::spec::{HostPathType, Medium, Volume, VolumeSource};

use super::Cx;
use super::container::{PULL_POLICIES, default_pull};
use super::downward::Facts;
use super::resources::bytes;
use crate::bounds::VOLUMES_MAX;
use crate::check;
use crate::finding::{Rule, quote};
use crate::node::Node;

const SOURCES: [&str; 9] = [
    "emptyDir",
    "configMap",
    "secret",
    "projected",
    "downwardAPI",
    "image",
    "nfs",
    "hostPath",
    "persistent",
];

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
            "persistent" => self.persistent(&volume),
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
        let size_limit = self.capacity(node, "sizeLimit");
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
        if !self.context.policy.nfs {
            let message = "this node does not mount NFS";
            let way_out =
                "mount the export on the host and use hostPath, where the operator allows it";
            self.report
                .refuse(Rule::Unsupported, node.path(), message, way_out);
        } else if user_namespace {
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
        let (path, kind) = self.path_of_host(node)?;
        if !self.allows(|policy| policy.allows_host_path(&path)) {
            let message = format!("the host's path {} is not allowed", quote(&path));
            self.needs_leave(node.at("path"), message, "host_paths");
        }
        Some(VolumeSource::HostPath { path, kind })
    }

    fn persistent(&mut self, node: &Node<'_>) -> Option<VolumeSource> {
        let (path, kind) = self.path_of_host(node)?;
        if !self.context.policy.allows_volume_path(&path) {
            let message = format!(
                "the host's path {} is not one that clusters may have volumes in",
                quote(&path)
            );
            let way_out = "ask the operator to list it in kubernetes.volume_paths";
            self.report
                .refuse(Rule::NotAllowed, node.at("path"), message, way_out);
        }
        Some(VolumeSource::Persistent {
            path,
            kind,
            read_only: node.flag("readOnly").unwrap_or(false),
            follows_fs_group: node.flag("followsFsGroup").unwrap_or(false),
            capacity: self.capacity(node, "capacity"),
        })
    }

    /// A number of bytes; nothing counts as none.
    fn capacity(&mut self, node: &Node<'_>, name: &str) -> Option<Bytes> {
        let given = node.text(name).map(bytes).transpose();
        given
            .unwrap_or_else(|problem| {
                self.report.invalid(node.at(name), problem);
                None
            })
            .filter(|capacity| capacity.0 > 0)
    }

    fn path_of_host(&mut self, node: &Node<'_>) -> Option<(String, HostPathType)> {
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
        Some((tidy(path), kind))
    }
}

const EMPTY: VolumeSource = VolumeSource::EmptyDir {
    medium: Medium::Disk,
    size_limit: None,
};

/// Without doubled and closing slashes and `.`.
pub(super) fn tidy(path: &str) -> String {
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    format!("/{}", parts.join("/"))
}
