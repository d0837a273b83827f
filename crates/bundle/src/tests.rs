//! A group to be changed by tests, and whole specifications as golden files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod property;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use burstlet_model::spec::{
    Backoff, ContainerSecurity, ContainerSpec, DnsSpec, EnvSource, EnvVar, GroupSecurity,
    GroupSpec, Lifecycle, NetworkSpec, PullPolicy, ResizePolicy, Resources, RestartPolicy,
    Scheduling, TerminationMessagePolicy,
};
use burstlet_model::{Bytes, ContainerName, GroupName, GroupUid, Name, Namespace};
use oci_spec::runtime::{Process, Spec};

use crate::*;

/// A group of one container with nothing unusual, to be changed by tests.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) group: GroupSpec,
    pub(crate) image: ImageDefaults,
    pub(crate) user: User,
    pub(crate) facts: Facts,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self {
            group: group(),
            image: ImageDefaults {
                entrypoint: vec!["/entry".to_owned()],
                cmd: vec!["default".to_owned()],
                env: vec![("LANG".to_owned(), "C".to_owned())],
                working_dir: "/srv".to_owned(),
                stop_signal: Some("SIGQUIT".to_owned()),
            },
            user: User {
                uid: 1000,
                gid: 1001,
                groups: vec![44, 7],
                home: Some("/home/app".to_owned()),
            },
            facts: Facts {
                group_uid: GroupUid::new("group-1").unwrap(),
                group_ip: Some([10, 0, 0, 2].into()),
                host_ip: Some([192, 0, 2, 1].into()),
                node_name: "node-1".to_owned(),
                shm: Some(Bytes(64 << 20)),
                memory: Bytes(8 << 30),
                oom_score_min: 0,
                capabilities: u64::MAX,
                devices_listed: true,
                masked_paths: vec!["/sys/devices/system/cpu/cpu0/thermal_throttle".to_owned()],
            },
        }
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            group: &self.group,
            container: &self.group.containers[0],
            image: &self.image,
            user: &self.user,
            facts: &self.facts,
        }
    }

    pub(crate) fn container_mut(&mut self) -> &mut ContainerSpec {
        &mut self.group.containers[0]
    }

    fn spec(&self) -> Spec {
        container_spec(&self.inputs()).unwrap()
    }

    fn process(&self) -> Process {
        self.spec().process().clone().unwrap()
    }

    fn error(&self) -> String {
        container_spec(&self.inputs()).unwrap_err().to_string()
    }

    fn env(&mut self, variables: &[(&str, EnvSource)]) -> Vec<String> {
        let variables = variables.iter().map(|(name, value)| EnvVar {
            name: (*name).to_owned(),
            value: value.clone(),
        });
        self.container_mut().env = variables.collect();
        self.process().env().clone().unwrap()
    }
}

fn group() -> GroupSpec {
    GroupSpec {
        name: GroupName {
            namespace: Namespace::new("default").unwrap(),
            name: Name::new("web").unwrap(),
        },
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        tags: BTreeMap::new(),
        init_containers: Vec::new(),
        containers: vec![container()],
        ephemeral_containers: Vec::new(),
        restart_policy: RestartPolicy::Always,
        backoff: Backoff::default(),
        termination_grace_period_s: 30,
        active_deadline_s: None,
        ttl_after_finished_s: None,
        hostname: "web".to_owned(),
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

fn container() -> ContainerSpec {
    ContainerSpec {
        name: ContainerName::new("app").unwrap(),
        image: "app".parse().unwrap(),
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

fn bounding(process: &Process) -> BTreeSet<String> {
    let sets = process.capabilities().as_ref().unwrap();
    sets.bounding()
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect()
}

/// JSON with the sets in order, as they are without one.
fn stable(spec: &Spec) -> String {
    let mut json = serde_json::to_value(spec).unwrap();
    if let Some(sets) = json["process"]["capabilities"].as_object_mut() {
        for set in sets
            .values_mut()
            .filter_map(serde_json::Value::as_array_mut)
        {
            set.sort_by_key(ToString::to_string);
        }
    }
    serde_json::to_string_pretty(&json).unwrap()
}

#[test]
fn a_plain_container() {
    insta::assert_snapshot!(stable(&Fixture::new().spec()));
}

#[test]
fn a_privileged_container_on_the_hosts_network() {
    let mut fixture = Fixture::new();
    fixture.group.network.host_network = true;
    fixture.group.user_namespace = false;
    let container = fixture.container_mut();
    container.security.privileged = true;
    container.security.allow_privilege_escalation = true;
    container.tty = true;
    insta::assert_snapshot!(stable(&fixture.spec()));
}
