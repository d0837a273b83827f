//! Containers, init containers, sidecars and ephemeral containers.

use burstlet_model::spec::{
    ContainerSpec, EphemeralContainer, OwnRestart, PullPolicy, RestartAction,
    TerminationMessagePolicy, Volume,
};
use burstlet_model::{ContainerName, ImageRef};

use super::Cx;
use super::downward::Facts;
use super::security::{Inherited, Namespaces};
use crate::bounds::COMMAND_BYTES_MAX;
use crate::check;
use crate::finding::{Rule, quote};
use crate::node::Node;

pub(super) const PULL_POLICIES: [(&str, PullPolicy); 3] = [
    ("Always", PullPolicy::Always),
    ("IfNotPresent", PullPolicy::IfNotPresent),
    ("Never", PullPolicy::Never),
];
const MESSAGE_PATH_DEFAULT: &str = "/dev/termination-log";

/// What a container takes from its group.
pub(super) struct Surroundings<'s> {
    pub(super) facts: &'s Facts<'s>,
    pub(super) volumes: &'s [Volume],
    pub(super) inherited: &'s Inherited,
    pub(super) namespaces: Namespaces,
}

impl Cx<'_> {
    pub(super) fn container(
        &mut self,
        node: &Node<'_>,
        around: &Surroundings<'_>,
    ) -> Option<ContainerSpec> {
        let name = self.container_name(node);
        let image = self.required(node, "image");
        let image = image.and_then(|text| self.image_ref(node.at("image"), text));
        let pull_policy = self.word(node, "imagePullPolicy", &PULL_POLICIES);
        let own = node.text("name").unwrap_or_default();
        let env = self.env(node, own, around.facts);
        let ports = self.ports(node, around.namespaces.host_network);
        let (command, args) = self.command(node);
        let working_dir = self.absolute(node, "workingDir");
        let (message_path, message_policy) = self.last_words(node);
        let startup_probe = self.probe(node, "startupProbe", &env, &ports);
        let liveness_probe = self.probe(node, "livenessProbe", &env, &ports);
        let readiness_probe = self.probe(node, "readinessProbe", &env, &ports);
        let lifecycle = self.lifecycle(node, &ports);
        let mounts = self.mounts(node, around.volumes, &env);
        let security = self.container_security(node, around.inherited, around.namespaces);
        let image = image?;
        Some(ContainerSpec {
            name: name?,
            pull_policy: pull_policy.unwrap_or_else(|| default_pull(&image)),
            image,
            command,
            args,
            working_dir,
            env: env.vars,
            ports,
            resources: around.facts.resources.get(own).copied().unwrap_or_default(),
            devices: around.facts.devices.get(own).copied().unwrap_or_default(),
            resize_policy: self.resize_policy(node),
            restart_always: false,
            restart: self.own_restart(node),
            startup_probe,
            liveness_probe,
            readiness_probe,
            lifecycle,
            mounts,
            security,
            termination_message_path: message_path,
            termination_message_policy: message_policy,
            stdin: node.flag("stdin").unwrap_or(false),
            stdin_once: node.flag("stdinOnce").unwrap_or(false),
            tty: node.flag("tty").unwrap_or(false),
        })
    }

    /// Where the container leaves its last words, and whether its log stands in.
    fn last_words(&mut self, node: &Node<'_>) -> (String, TerminationMessagePolicy) {
        use TerminationMessagePolicy::{FallbackToLogsOnError, File};
        let policies = [
            ("File", File),
            ("FallbackToLogsOnError", FallbackToLogsOnError),
        ];
        let policy = self.word(node, "terminationMessagePolicy", &policies);
        let path = self.absolute(node, "terminationMessagePath");
        (
            path.unwrap_or_else(|| MESSAGE_PATH_DEFAULT.to_owned()),
            policy.unwrap_or(File),
        )
    }

    pub(super) fn init_container(
        &mut self,
        node: &Node<'_>,
        around: &Surroundings<'_>,
    ) -> Option<ContainerSpec> {
        let sidecar = node.text("restartPolicy") == Some("Always");
        if !sidecar {
            let names = [
                "startupProbe",
                "livenessProbe",
                "readinessProbe",
                "lifecycle",
            ];
            for name in names.into_iter().filter(|name| node.has(name)) {
                let message = "an init container that runs to its end cannot have it";
                let way_out = "write restartPolicy: Always to make it a sidecar";
                self.report
                    .refuse(Rule::Invalid, node.at(name), message, way_out);
            }
        }
        let mut container = self.container(node, around)?;
        container.restart_always = sidecar;
        // A sidecar is always started again, to which only a rule that starts all adds anything.
        let adds = |own: &OwnRestart| own.rules.iter().any(|r| r.action == RestartAction::All);
        container.restart = container.restart.filter(|own| !sidecar || adds(own));
        Some(container)
    }

    /// One to look into the group with; `lasting` are those that it can look at.
    pub(super) fn ephemeral_container(
        &mut self,
        node: &Node<'_>,
        around: &Surroundings<'_>,
        lasting: &[&ContainerSpec],
    ) -> Option<EphemeralContainer> {
        let target = node.text("targetContainerName").map(|name| {
            let found = lasting.iter().find(|other| other.name.as_str() == name);
            if found.is_none() {
                let message = format!("there is no container {}", quote(name));
                self.report.invalid(node.at("targetContainerName"), message);
            }
            found.map(|container| container.name.clone())
        });
        // `kubectl debug` asks for it unless it is told otherwise. In a user namespace of the group's
        // own it reaches nothing but the group.
        let namespaces = Namespaces {
            traced: around.namespaces.user,
            ..around.namespaces
        };
        let around = Surroundings {
            namespaces,
            ..*around
        };
        let container = self.container(node, &around)?;
        let target = match target {
            Some(found) => Some(found?),
            None => None,
        };
        Some(EphemeralContainer { container, target })
    }

    fn container_name(&mut self, node: &Node<'_>) -> Option<ContainerName> {
        let text = self.required(node, "name")?;
        ContainerName::new(text)
            .map_err(|error| self.report.invalid(node.at("name"), error))
            .ok()
    }

    pub(super) fn image_ref(&mut self, path: String, text: &str) -> Option<ImageRef> {
        text.parse()
            .map_err(|error: burstlet_model::ImageRefError| self.report.invalid(path, error))
            .ok()
    }

    fn command(&mut self, node: &Node<'_>) -> (Vec<String>, Vec<String>) {
        let command = node.owned_texts("command");
        let args = node.owned_texts("args");
        let bytes = command.iter().chain(&args).map(|word| word.len() + 1).sum();
        self.at_most(
            node.at("command"),
            bytes,
            COMMAND_BYTES_MAX,
            "bytes of command and arguments",
        );
        (command, args)
    }

    fn absolute(&mut self, node: &Node<'_>, name: &str) -> Option<String> {
        let text = node.text(name)?;
        if let Some(problem) = check::absolute_path(text) {
            let message = format!("{problem}: {}", quote(text));
            self.report.invalid(node.at(name), message);
        }
        Some(text.to_owned())
    }
}

/// Kubernetes' rule: a tag that moves is asked for each time.
pub(super) fn default_pull(image: &ImageRef) -> PullPolicy {
    if image.digest().is_none() && image.tag() == Some("latest") {
        PullPolicy::Always
    } else {
        PullPolicy::IfNotPresent
    }
}
