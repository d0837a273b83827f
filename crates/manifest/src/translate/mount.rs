//! Where containers mount volumes.

use burstlet_model::spec::{Volume, VolumeMount};

use super::Cx;
use super::env::Env;
use super::volume::tidy;
use crate::bounds::MOUNTS_MAX;
use crate::check;
use crate::finding::{Rule, quote};
use crate::node::Node;

impl Cx<'_> {
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
