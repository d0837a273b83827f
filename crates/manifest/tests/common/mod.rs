//! What the tests share: a permissive operator, and manifests from files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use burstlet_manifest::{Context, Policy, Refused, Translation, translate};
use burstlet_model::spec::ResourceList;
use burstlet_model::{Bytes, GroupUid, MilliCpu};
use serde_json::Value;

/// An operator who allows everything that the test manifests ask for.
pub fn permissive() -> Policy {
    Policy {
        privileged: true,
        host_network: true,
        host_users: true,
        unconfined_seccomp: true,
        seccomp_profiles: ["audit".to_owned()].into(),
        host_paths: ["/srv/data".to_owned()].into(),
        sysctls: ["kernel.msg*".to_owned()].into(),
        capabilities: ["NET_ADMIN".to_owned()].into(),
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
