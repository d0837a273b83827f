//! What the tests share: a permissive operator, and manifests from files.
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use burstlet_manifest::{
    Context, Door, Level, Policy, Refused, Rule, Standard, Standards, Translation, translate,
};
use burstlet_model::spec::ResourceList;
use burstlet_model::{Bytes, GroupUid, MilliCpu};
use serde_json::{Value, json};

/// An operator who allows everything that the test manifests ask for.
pub fn permissive() -> Policy {
    Policy {
        privileged: true,
        host_network: true,
        host_users: true,
        unconfined_seccomp: true,
        ephemeral_containers: true,
        nfs: true,
        seccomp_profiles: ["audit".to_owned()].into(),
        host_paths: ["/srv/data".to_owned()].into(),
        volume_paths: ["/mnt/disks".to_owned()].into(),
        sysctls: ["kernel.msg*".to_owned()].into(),
        capabilities: ["NET_ADMIN".to_owned()].into(),
        devices: ["example.com/gpu".to_owned()].into(),
        standards: Standards::enforcing(Door::Direct, Standard::Privileged),
        ..Policy::default()
    }
}

pub fn translate_with(policy: &Policy, manifest: &Value) -> Result<Translation, Refused> {
    let uid = GroupUid::new("018f0000-0000-7000-8000-000000000000").unwrap();
    let context = Context {
        policy,
        uid: &uid,
        name_suffix: "x7k2p",
        allocatable: ResourceList {
            cpu: Some(MilliCpu(4000)),
            memory: Some(Bytes(8 << 30)),
            ephemeral_storage: Some(Bytes(100 << 30)),
            pids: None,
        },
        domain: "burstlet.local",
    };
    translate(manifest, &context)
}

pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

pub const WEB: &str = include_str!("../data/web.yaml");
pub const HOST: &str = include_str!("../data/host.yaml");
pub const POD: &str = include_str!("../data/pod.yaml");

/// A group with one container, with `patch` merged in.
pub fn group(patch: Value) -> Value {
    let mut group = json!({
        "apiVersion": "burstlet.dev/v1",
        "kind": "ContainerGroup",
        "metadata": {"name": "g"},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]},
    });
    merge(&mut group, patch);
    group
}

pub fn spec(patch: Value) -> Value {
    group(json!({"spec": patch}))
}

pub fn container(patch: Value) -> Value {
    let mut group = group(json!({}));
    merge(&mut group["spec"]["containers"][0], patch);
    group
}

pub fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch,
    }
}

/// Checks that exactly these findings are made, in this order.
pub fn check_with(policy: &Policy, manifest: &Value, expected: &[(Level, Rule, &str)]) {
    let findings = match translate_with(policy, manifest) {
        Ok(translation) => translation.findings,
        Err(refused) => refused.findings,
    };
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.level, f.rule, f.path.as_str()))
        .collect();
    assert_eq!(found, expected, "{manifest:#}");
}

pub fn refused(manifest: &Value, rule: Rule, path: &str) {
    check_with(
        &Policy::default(),
        manifest,
        &[(Level::Refused, rule, path)],
    );
}

pub fn fine(manifest: &Value) {
    check_with(&Policy::default(), manifest, &[]);
}
