//! The cluster that the golden pods are of, and the way from a pod to its group.

use std::collections::{BTreeMap, BTreeSet};

use burstlet_manifest::{
    Context, Door, Level, Policy, Standard, Standards, Translation, translate,
};
use burstlet_model::spec::ResourceList;
use burstlet_model::{Bytes, GroupUid, MilliCpu};
use serde_json::Value;

use super::yaml;
use crate::config::{ClusterFacts, UserNamespaces};
use crate::pod::claims::{self, Claim};
use crate::pod::ephemeral::add;
use crate::pod::inline;
use crate::pod::needs::{Fetched, needs};
use crate::pod::renewed::{renewed, resized};
use crate::pod::seen::Pod;
use crate::pod::seen::tests::pod as read;
use crate::pod::user_namespace::settle;

/// What the API server has beside the pods.
pub(super) struct Cluster {
    objects: Value,
    facts: ClusterFacts,
    services: Vec<(String, String)>,
    policy: Policy,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let objects = yaml("cluster.yaml");
        let services = objects["services"].as_object().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            services: services
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            objects,
            facts: ClusterFacts {
                dns: vec!["10.96.0.10".parse().unwrap()],
                domain: "cluster.local".to_owned(),
                host_searches: vec!["example.org".to_owned()],
                selinux: false,
                user_namespaces: UserNamespaces::Prefer,
            },
            policy: policy(),
        }
    }

    /// What a pod refers to, as far as it is there.
    fn fetched(&self, pod: &Pod) -> Fetched {
        let spec = pod.spec();
        let needs = needs(&pod.name, &spec);
        let of = |kind: &str, name: &str| self.objects[kind].get(name).cloned();
        let all = |kind: &str, names: &BTreeSet<String>| -> BTreeMap<String, Value> {
            let found = names.iter();
            let found = found.filter_map(|name| Some((name.clone(), of(kind, name)?)));
            found.collect()
        };
        let claims = all("claims", &needs.claims).into_iter();
        let mut fetched = Fetched {
            config_maps: all("configMaps", &needs.config_maps),
            secrets: all("secrets", &needs.secrets),
            tokens: needs
                .tokens
                .into_iter()
                .map(|need| (need, "a.b.c".to_owned()))
                .collect(),
            claims: claims
                .map(|(name, mut found)| {
                    let claim = Claim {
                        claim: found["claim"].take(),
                        volume: Some(found["volume"].take()),
                    };
                    (name, claim)
                })
                .collect(),
            ..Fetched::default()
        };
        fetched.volumes = claims::resolve(pod, &spec, &fetched).unwrap();
        fetched
    }

    /// The manifest of a pod's group, without ephemeral containers.
    fn group(&self, pod: &Pod) -> Value {
        let fetched = self.fetched(pod);
        let mut group = inline::group(pod, &fetched, &self.services, &self.facts).unwrap();
        let spec = group["spec"].as_object_mut().unwrap();
        settle(spec, self.facts.user_namespaces, true);
        group
    }

    /// The manifest of a pod's group in the end.
    pub(super) fn manifest(&self, golden: &Value) -> Value {
        let pod = read(golden.clone());
        let mut group = self.group(&pod);
        let with = (&self.fetched(&pod), &*self.services);
        let asked = inline::ephemeral(&pod, with, &self.facts);
        let withheld = add(&mut group, &asked, |with| match self.translate(with) {
            Ok(_) => Ok(()),
            Err(problem) => Err(problem),
        });
        assert!(withheld.is_empty(), "{withheld:?}");
        if let Some(later) = golden.get("later") {
            let mut later = later.clone();
            if later["metadata"].is_null() {
                later["metadata"] = golden["metadata"].clone();
            }
            let later = self.group(&read(later));
            group = resized(&renewed(&group, &later), &later);
        }
        group
    }

    pub(super) fn translate(&self, group: &Value) -> Result<Translation, String> {
        let context = Context {
            policy: &self.policy,
            uid: &uid(),
            name_suffix: "",
            allocatable: ResourceList {
                cpu: Some(MilliCpu(4000)),
                memory: Some(Bytes(8 << 30)),
                ephemeral_storage: Some(Bytes(100 << 30)),
                pids: None,
            },
            domain: &self.facts.domain,
        };
        translate(group, &context).map_err(|refused| {
            let all: Vec<String> = refused.findings.iter().map(ToString::to_string).collect();
            all.join("; ")
        })
    }
}

pub(super) fn uid() -> GroupUid {
    GroupUid::new("0b1f5e4e-0000-4000-8000-000000000001").unwrap()
}

/// Of a node that leaves it to its cluster what pods may ask for.
fn policy() -> Policy {
    Policy {
        cluster_network: true,
        ephemeral_containers: true,
        nfs: true,
        devices: ["example.com/gpu".to_owned()].into(),
        seccomp_profiles: ["audit".to_owned()].into(),
        volume_paths: ["/mnt/disks".to_owned()].into(),
        sysctls: ["kernel.msg*".to_owned()].into(),
        privilege_escalation_default: true,
        unknown_fields: Level::Warned,
        standards: Standards::enforcing(Door::Kubernetes, Standard::Privileged),
        ..Policy::default()
    }
}
