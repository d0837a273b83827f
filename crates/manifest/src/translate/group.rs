//! The specification as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use burstlet_model::spec::{
    Backoff, ContainerSpec, EphemeralContainer, GroupSecurity, GroupSpec, RegistryCredential,
    ResourceList, Resources, RestartPolicy, Scheduling, Volume,
};
use burstlet_model::{ExtendedResource, Secret};

use super::Cx;
use super::container::Surroundings;
use super::downward::Facts;
use super::metadata::Named;
use super::security::Namespaces;
use crate::bounds::{
    BACKOFF_S_MAX, CONTAINERS_MAX, CREDENTIAL_BYTES_MAX, EPHEMERAL_CONTAINERS_MAX, GRACE_S_MAX,
    REGISTRY_CREDENTIALS_MAX,
};
use crate::check;
use crate::finding::Rule;
use crate::node::Node;

/// Kubernetes' default.
const GRACE_S_DEFAULT: u32 = 30;
/// The largest priority that Kubernetes lets users have.
const PRIORITY_MAX: i64 = 1_000_000_000;

/// The annotation by which a Pod says what `spec.scheduling` says.
pub(crate) const SCHEDULING_ANNOTATION: &str = "burstlet.dev/scheduling";
const SCHEDULINGS: [(&str, Scheduling); 2] = [
    ("OnDemand", Scheduling::OnDemand),
    ("Spot", Scheduling::Spot),
];

/// What refers to each other.
struct Parts {
    init_containers: Vec<ContainerSpec>,
    containers: Vec<ContainerSpec>,
    ephemeral_containers: Vec<EphemeralContainer>,
    user_namespace: bool,
    security: GroupSecurity,
    resources: Option<Resources>,
    device_resource: Option<ExtendedResource>,
    volumes: Vec<Volume>,
}

/// When the group and its containers end and start again.
struct Life {
    restart_policy: RestartPolicy,
    backoff: Backoff,
    grace_s: u32,
    deadline_s: Option<u32>,
    ttl_s: Option<u32>,
}

impl Cx<'_> {
    /// `None` if anything needed for a whole specification is refused. What can be looked at is
    /// looked at all the same, so that every finding is made.
    pub(super) fn group(&mut self, root: &Node<'_>, named: Option<&Named>) -> Option<GroupSpec> {
        let Some(spec) = root.get("spec") else {
            let message = "the group has no specification";
            self.report.refuse(Rule::Required, "spec", message, "");
            return None;
        };
        self.check_containers(&spec);
        self.os(&spec);
        let network = self.network(&spec);
        let parts = self.parts(&spec, named, network.host_network);
        let hostname = self.hostname(&spec, named);
        let life = self.life(&spec);
        let dns = self.dns(&spec, network.host_network);
        let host_aliases = self.host_aliases(&spec);
        let priority = self.priority(&spec);
        let scheduling = self.scheduling(root, &spec);
        let registry_credentials = self.registry_credentials(&spec);
        let (named, hostname) = (named?, hostname?);
        Some(GroupSpec {
            name: named.name.clone(),
            labels: named.labels.clone(),
            annotations: named.annotations.clone(),
            tags: named.tags.clone(),
            init_containers: parts.init_containers,
            containers: parts.containers,
            ephemeral_containers: parts.ephemeral_containers,
            restart_policy: life.restart_policy,
            backoff: life.backoff,
            termination_grace_period_s: life.grace_s,
            active_deadline_s: life.deadline_s,
            ttl_after_finished_s: life.ttl_s,
            hostname: hostname.name,
            domain: hostname.domain,
            dns,
            host_aliases,
            network,
            volumes: parts.volumes,
            security: parts.security,
            share_process_namespace: spec.flag("shareProcessNamespace").unwrap_or(false),
            user_namespace: parts.user_namespace,
            resources: parts.resources,
            device_resource: parts.device_resource,
            priority,
            scheduling,
            registry_credentials,
        })
    }

    /// What refers to each other: containers, volumes, identities and resources.
    fn parts(&mut self, spec: &Node<'_>, named: Option<&Named>, host_network: bool) -> Parts {
        let namespaces = Namespaces {
            user: self.user_namespace(spec),
            host_network,
            traced: false,
        };
        let (device_resource, devices) = self.devices(spec);
        let facts = Facts {
            named,
            resources: self.all_resources(spec),
            devices,
        };
        let volumes = self.volumes(spec, &facts, namespaces.user);
        let (security, inherited) = self.group_security(spec, namespaces);
        let around = Surroundings {
            facts: &facts,
            volumes: &volumes,
            inherited: &inherited,
            namespaces,
        };
        let init_containers: Vec<_> = spec
            .items("initContainers")
            .filter_map(|node| self.init_container(&node, &around))
            .collect();
        let containers: Vec<_> = spec
            .items("containers")
            .filter_map(|node| self.container(&node, &around))
            .collect();
        let lasting: Vec<_> = init_containers.iter().chain(&containers).collect();
        let ephemeral_containers = spec
            .items("ephemeralContainers")
            .filter_map(|node| self.ephemeral_container(&node, &around, &lasting))
            .collect();
        let resources = self.group_resources(spec, &facts);
        Parts {
            init_containers,
            containers,
            ephemeral_containers,
            user_namespace: namespaces.user,
            security,
            resources,
            device_resource,
            volumes,
        }
    }

    fn life(&mut self, spec: &Node<'_>) -> Life {
        let seconds_max = i32::MAX as u32;
        Life {
            restart_policy: self.restart_policy(spec).unwrap_or(RestartPolicy::Always),
            backoff: self.backoff(spec),
            grace_s: self
                .bounded(spec, "terminationGracePeriodSeconds", 0, GRACE_S_MAX)
                .unwrap_or(GRACE_S_DEFAULT),
            deadline_s: self.bounded(spec, "activeDeadlineSeconds", 1, seconds_max),
            ttl_s: self.bounded(spec, "ttlSecondsAfterFinished", 0, seconds_max),
        }
    }

    fn check_containers(&mut self, spec: &Node<'_>) {
        let (init, main) = (spec.items("initContainers"), spec.items("containers"));
        if main.len() == 0 && !spec.is_refused("containers") {
            let path = spec.at("containers");
            self.report
                .refuse(Rule::Required, path, "at least one container is needed", "");
        }
        let count = init.len() + main.len();
        self.at_most(spec.at("containers"), count, CONTAINERS_MAX, "containers");
        self.check_ephemeral(spec);
        let mut names = BTreeSet::new();
        let ephemeral = spec.items("ephemeralContainers");
        for node in init.chain(main).chain(ephemeral) {
            if let Some(name) = node.text("name")
                && !names.insert(name)
            {
                let message = "the name is that of another container";
                self.report
                    .refuse(Rule::Duplicate, node.at("name"), message, "");
            }
        }
        self.check_host_ports(spec);
    }

    /// Whoever may add them does so to a group that stands.
    fn check_ephemeral(&mut self, spec: &Node<'_>) {
        let (count, path) = (
            spec.items("ephemeralContainers").len(),
            spec.at("ephemeralContainers"),
        );
        if count > 0 && !self.context.policy.ephemeral_containers {
            let message = "a group is not created with ephemeral containers";
            self.report
                .refuse(Rule::NotAllowed, path.clone(), message, "use exec");
        }
        let most = EPHEMERAL_CONTAINERS_MAX;
        self.at_most(path, count, most, "ephemeral containers");
    }

    fn check_host_ports(&mut self, spec: &Node<'_>) {
        let mut taken = BTreeSet::new();
        for container in spec.items("initContainers").chain(spec.items("containers")) {
            for port in container.items("ports") {
                let Some(number) = port.number("hostPort").filter(|number| *number != 0) else {
                    continue;
                };
                let protocol = port.text("protocol").unwrap_or("TCP");
                let ip = port.text("hostIP").unwrap_or_default();
                if !taken.insert((number, protocol, ip)) {
                    let message = "another port of the group is published there";
                    self.report
                        .refuse(Rule::Duplicate, port.at("hostPort"), message, "");
                }
            }
        }
    }

    fn user_namespace(&mut self, spec: &Node<'_>) -> bool {
        let host_users = spec.flag("hostUsers").unwrap_or(false);
        let path = spec.at("hostUsers");
        if host_users && self.context.policy.user_namespaces_required {
            let message = "every group has a user namespace of its own here";
            self.report
                .refuse(Rule::NotAllowed, path, message, "leave it out");
        } else if host_users && !self.allows(|policy| policy.host_users) {
            let message = "running without a user namespace is not allowed";
            self.needs_leave(path, message, "host_users");
        }
        !host_users
    }

    fn all_resources<'n>(&mut self, spec: &Node<'n>) -> BTreeMap<&'n str, Resources> {
        let mut all = BTreeMap::new();
        let lasting = spec.items("initContainers").chain(spec.items("containers"));
        for container in lasting.chain(spec.items("ephemeralContainers")) {
            let resources = self.resources(&container).unwrap_or_default();
            if let Some(name) = container.text("name") {
                all.insert(name, resources);
            }
        }
        all
    }

    /// The group's own resources; requests must hold those of its containers.
    fn group_resources(&mut self, spec: &Node<'_>, facts: &Facts<'_>) -> Option<Resources> {
        let resources = self.resources(spec)?;
        let mut sum = ResourceList::default();
        for container in spec.items("containers") {
            let own = container
                .text("name")
                .and_then(|name| facts.resources.get(name));
            sum = sum.plus(own.copied().unwrap_or_default().requests);
        }
        let requests = resources.requests;
        let too_small = [
            ("cpu", requests.cpu.map(|c| c.0), sum.cpu.map(|c| c.0)),
            (
                "memory",
                requests.memory.map(|b| b.0),
                sum.memory.map(|b| b.0),
            ),
        ];
        for (name, group, containers) in too_small {
            if let (Some(group), Some(containers)) = (group, containers)
                && group < containers
            {
                let path = format!("spec.resources.requests.{name}");
                let message = "it is less than the sum of the containers' requests";
                self.report.invalid(path, message);
            }
        }
        Some(resources)
    }

    fn backoff(&mut self, spec: &Node<'_>) -> Backoff {
        let default = Backoff::default();
        let Some(node) = spec.get("backoff") else {
            return default;
        };
        let seconds = |cx: &mut Self, name, default| {
            let given = cx.bounded(&node, name, 1, BACKOFF_S_MAX);
            given.map_or(default, |s| Duration::from_secs(u64::from(s)))
        };
        let initial = seconds(self, "initialSeconds", default.initial);
        let max = seconds(self, "maxSeconds", default.max.max(initial));
        let reset_after = seconds(self, "resetAfterSeconds", default.reset_after);
        if max < initial {
            let message = "the longest wait is shorter than the first";
            self.report.invalid(node.at("maxSeconds"), message);
        }
        Backoff {
            initial,
            max,
            reset_after,
        }
    }

    fn priority(&mut self, spec: &Node<'_>) -> i32 {
        let number = spec.number("priority").unwrap_or(0);
        match i32::try_from(number) {
            Ok(priority) if number.abs() <= PRIORITY_MAX => priority,
            _ => {
                let message = format!("{number} is not within -{PRIORITY_MAX} to {PRIORITY_MAX}");
                self.report.invalid(spec.at("priority"), message);
                0
            }
        }
    }

    /// Its own field counts for more than the annotation that a Pod has for it.
    fn scheduling(&mut self, root: &Node<'_>, spec: &Node<'_>) -> Scheduling {
        let given = match spec.has("scheduling") {
            true => self.word(spec, "scheduling", &SCHEDULINGS),
            false => self.annotated(root, SCHEDULING_ANNOTATION, &SCHEDULINGS),
        };
        given.unwrap_or_default()
    }

    fn registry_credentials(&mut self, spec: &Node<'_>) -> Vec<RegistryCredential> {
        let items = spec.items("registryCredentials");
        let path = spec.at("registryCredentials");
        self.at_most(path, items.len(), REGISTRY_CREDENTIALS_MAX, "credentials");
        let mut credentials: Vec<RegistryCredential> = Vec::new();
        for node in items {
            let registry = self.required(&node, "registry");
            let username = self.required(&node, "username");
            let password = self.required(&node, "password");
            let (Some(registry), Some(username), Some(password)) = (registry, username, password)
            else {
                continue;
            };
            if !is_registry(registry) {
                self.report
                    .invalid(node.at("registry"), "not a registry's host");
            }
            if credentials.iter().any(|other| other.registry == registry) {
                let message = "there is another credential for this registry";
                self.report
                    .refuse(Rule::Duplicate, node.at("registry"), message, "");
            }
            let bytes = username.len() + password.len();
            self.at_most(node.path().to_owned(), bytes, CREDENTIAL_BYTES_MAX, "bytes");
            credentials.push(RegistryCredential {
                registry: registry.to_owned(),
                username: username.to_owned(),
                password: Secret::new(password.to_owned()),
            });
        }
        credentials
    }

    fn os(&mut self, spec: &Node<'_>) {
        let Some(node) = spec.get("os") else {
            return;
        };
        if node.text("name") != Some("linux") {
            let path = node.at("name");
            let message = "groups run Linux";
            self.report
                .refuse(Rule::Unsupported, path, message, "write linux");
        }
    }
}

/// A host, with a port if there is one.
fn is_registry(text: &str) -> bool {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && !host.ends_with(':') => host,
        _ => text,
    };
    check::is_host(host)
}
