//! Specifications for tests: the plainest valid ones, to be changed by field.

use std::collections::BTreeMap;
use std::sync::Arc;

use burstlet_model::spec::{
    Backoff, ContainerSecurity, ContainerSpec, DnsSpec, EphemeralContainer, GroupSecurity,
    GroupSpec, Lifecycle, NetworkSpec, Probe, ProbeAction, PullPolicy, ResizePolicy, Resources,
    RestartPolicy, Scheduling, TerminationMessagePolicy,
};
use burstlet_model::{ContainerName, GroupName, ImageRef, Name, Namespace};
use burstlet_supervisor::record::{Definition, Origin};

/// A group `default/NAME` of these main containers, restarted always, with ten seconds' grace.
///
/// # Panics
/// The name is not one.
#[must_use]
pub fn group(name: &str, containers: Vec<ContainerSpec>) -> GroupSpec {
    GroupSpec {
        name: GroupName {
            namespace: Namespace::new("default").expect("a namespace"),
            name: Name::new(name).expect("a group's name"),
        },
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        tags: BTreeMap::new(),
        init_containers: Vec::new(),
        ephemeral_containers: Vec::new(),
        containers,
        restart_policy: RestartPolicy::Always,
        backoff: Backoff::default(),
        termination_grace_period_s: 10,
        active_deadline_s: None,
        ttl_after_finished_s: None,
        hostname: name.to_owned(),
        domain: None,
        dns: DnsSpec::default(),
        host_aliases: Vec::new(),
        network: NetworkSpec::default(),
        volumes: Vec::new(),
        security: GroupSecurity::default(),
        share_process_namespace: false,
        user_namespace: true,
        resources: None,
        device_resource: None,
        priority: 0,
        scheduling: Scheduling::OnDemand,
        registry_credentials: Vec::new(),
    }
}

/// A container whose image has its name.
///
/// # Panics
/// The name is not one.
#[must_use]
pub fn container(name: &str) -> ContainerSpec {
    ContainerSpec {
        name: ContainerName::new(name).expect("a container's name"),
        image: name.parse::<ImageRef>().expect("an image's name"),
        pull_policy: PullPolicy::IfNotPresent,
        command: Vec::new(),
        args: Vec::new(),
        working_dir: None,
        env: Vec::new(),
        ports: Vec::new(),
        resources: Resources::default(),
        devices: 0,
        resize_policy: ResizePolicy::default(),
        restart_always: false,
        restart: None,
        startup_probe: None,
        liveness_probe: None,
        readiness_probe: None,
        lifecycle: Lifecycle::default(),
        mounts: Vec::new(),
        security: ContainerSecurity::default(),
        termination_message_path: "/dev/termination-log".to_owned(),
        termination_message_policy: TerminationMessagePolicy::File,
        stdin: false,
        stdin_once: false,
        tty: false,
    }
}

/// An ephemeral container whose image has its name, with processes of its own.
///
/// # Panics
/// The name is not one.
#[must_use]
pub fn ephemeral(name: &str) -> EphemeralContainer {
    EphemeralContainer {
        container: container(name),
        target: None,
    }
}

/// A probe that runs `command`, with Kubernetes' default timing.
#[must_use]
pub fn probe(command: &str) -> Probe {
    Probe {
        action: ProbeAction::Exec(vec![command.to_owned()]),
        initial_delay_s: 0,
        period_s: 10,
        timeout_s: 1,
        success_threshold: 1,
        failure_threshold: 3,
        termination_grace_period_s: None,
    }
}

/// A definition whose source only tells specifications apart.
#[must_use]
pub fn definition(spec: GroupSpec) -> Definition {
    let source = format!("{spec:?}");
    Definition {
        spec: Arc::new(spec),
        source: source.into(),
        origin: Origin::Direct,
    }
}
