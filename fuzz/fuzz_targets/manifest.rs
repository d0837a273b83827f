//! Groups and pods as anybody may send them. What is accepted says the same when its source is read
//! again, also under rules that allow everything; it has nothing that an operator who allows nothing
//! did not allow; and no container made of it has what none may have.
#![no_main]

use burstlet_bundle::{Facts, ImageDefaults, Inputs, User, container_spec};
use burstlet_manifest::{
    BASELINE_CAPABILITIES, Context, FINDINGS_MAX, Level, Policy, Translation, parse, redact,
    to_pod, to_wire, translate,
};
use burstlet_model::spec::{
    ContainerSecurity, GroupSpec, Reach, ResourceList, SeccompProfile, VolumeSource,
};
use burstlet_model::{Bytes, GroupUid, MilliCpu};
use libfuzzer_sys::fuzz_target;
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use serde_json::Value;

fuzz_target!(|text: &str| {
    let Ok(manifest) = parse(text) else {
        return;
    };
    let done = match translated(&manifest, &Policy::default()) {
        Ok(done) => done,
        Err(refused) => {
            assert!(refused.findings.len() <= FINDINGS_MAX);
            assert!(refused.findings.iter().any(|f| f.level == Level::Refused));
            return;
        }
    };
    for policy in [Policy::default(), Policy::unrestricted()] {
        let again = translated(&done.source, &policy).expect("its source is accepted");
        assert_eq!((&again.spec, &again.source), (&done.spec, &done.source));
    }
    let masked = redact(&done.source);
    assert_eq!(redact(&masked), masked);
    let (_, _) = (to_pod(&done.source), to_wire(&done.source));
    check_group(&done.spec);
    check_containers(&done.spec);
});

fn translated(
    manifest: &Value,
    policy: &Policy,
) -> Result<Translation, burstlet_manifest::Refused> {
    let uid = uid();
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

fn uid() -> GroupUid {
    GroupUid::new("018f0000-0000-7000-8000-000000000000").expect("a uid")
}

/// Nothing of it needs an operator's leave.
fn check_group(group: &GroupSpec) {
    assert!(group.user_namespace && !group.network.host_network);
    assert_ne!(group.network.reach, Reach::Cluster);
    for volume in &group.volumes {
        assert!(!matches!(volume.source, VolumeSource::HostPath { .. }));
    }
    for (_, container) in group.all_containers() {
        let ContainerSecurity {
            privileged,
            capabilities,
            seccomp,
            ..
        } = &container.security;
        assert!(!privileged && *seccomp == SeccompProfile::RuntimeDefault);
        let is_baseline = |name: &String| BASELINE_CAPABILITIES.contains(&name.as_str());
        assert!(capabilities.add.iter().all(is_baseline), "{capabilities:?}");
    }
}

fn check_containers(group: &GroupSpec) {
    let (image, user) = (ImageDefaults::default(), User::default());
    let facts = Facts {
        group_uid: uid(),
        group_ip: Some([10, 0, 0, 2].into()),
        host_ip: Some([192, 0, 2, 1].into()),
        node_name: "node-1".to_owned(),
        shm: Some(Bytes(64 << 20)),
        memory: Bytes(8 << 30),
        oom_score_min: 0,
        capabilities: u64::MAX,
        devices_listed: true,
        masked_paths: Vec::new(),
    };
    for (_, container) in group.all_containers() {
        let inputs = Inputs {
            group,
            container,
            image: &image,
            user: &user,
            facts: &facts,
        };
        let Ok(spec) = container_spec(&inputs) else {
            continue;
        };
        check_process(
            spec.process().as_ref().expect("a process"),
            &container.security,
        );
        check_surroundings(&spec);
    }
}

fn check_process(process: &Process, security: &ContainerSecurity) {
    let sets = process.capabilities().as_ref().expect("capabilities");
    let empty = |set: &Option<oci_spec::runtime::Capabilities>| {
        set.as_ref().is_none_or(|set| set.is_empty())
    };
    assert!(empty(sets.inheritable()) && empty(sets.ambient()));
    assert_eq!(sets.bounding(), sets.effective());
    let may_rise = security.allow_privilege_escalation;
    assert_eq!(process.no_new_privileges(), (!may_rise).then_some(true));
    let (args, env) = (
        process.args().iter().flatten(),
        process.env().iter().flatten(),
    );
    assert!(args.chain(env).all(|text| !text.contains('\0')));
    assert!(!(security.run_as_non_root && process.user().uid() == 0));
}

fn check_surroundings(spec: &Spec) {
    let linux = spec.linux().as_ref().expect("a Linux part");
    assert!(spec.hooks().is_none() && linux.devices().is_none());
    let namespaces = linux.namespaces().as_ref().expect("namespaces");
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    for kind in [Pid, Mount, Ipc, Uts, Cgroup, Network, User] {
        assert!(namespaces.iter().any(|own| own.typ() == kind), "{kind:?}");
    }
    for mount in spec.mounts().iter().flatten() {
        let has = |option: &str| mount.options().iter().flatten().any(|o| o == option);
        assert!(has("nosuid") && !has("shared") && !has("rshared"));
    }
}
