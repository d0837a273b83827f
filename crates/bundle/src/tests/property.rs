//! What must hold for every input.

use std::collections::BTreeSet;

use burstlet_model::spec::{ContainerSecurity, EnvSource, EnvVar};
use oci_spec::runtime::{LinuxNamespaceType, PosixRlimitType, Process, Spec};
use proptest::prelude::*;

use super::{Fixture, bounding};
use crate::*;

fn any_security() -> impl Strategy<Value = ContainerSecurity> {
    let names = ["ALL", "NET_RAW", "SYS_ADMIN", "CHOWN", "MKNOD", "SETUID"];
    let some = move || {
        proptest::sample::subsequence(names.to_vec(), 0..=4).prop_map(|names| {
            names
                .into_iter()
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
        })
    };
    let flags = proptest::array::uniform4(any::<bool>());
    (flags, some(), some()).prop_map(|([non_root, escalate, read_only, privileged], add, drop)| {
        ContainerSecurity {
            run_as_non_root: non_root,
            allow_privilege_escalation: escalate || privileged,
            read_only_root: read_only,
            privileged: privileged && escalate,
            capabilities: burstlet_model::spec::Capabilities { add, drop },
            ..ContainerSecurity::default()
        }
    })
}

fn any_fixture() -> impl Strategy<Value = Fixture> {
    let text = "[ -~\\x00]{0,12}";
    let variables = proptest::collection::vec(("[A-Z]{1,4}", text), 0..5);
    let flags = proptest::array::uniform3(any::<bool>());
    let list = || proptest::collection::vec(text, 0..3);
    let ids = proptest::array::uniform3(prop_oneof![Just(0_u32), 0..70_000_u32, any::<u32>()]);
    (any_security(), variables, flags, list(), list(), ids).prop_map(
        |(security, variables, [tty, host_network, user_namespace], command, args, ids)| {
            let mut fixture = Fixture::new();
            fixture.group.network.host_network = host_network;
            fixture.group.user_namespace = user_namespace;
            let [uid, gid, member] = ids;
            fixture.user = User {
                uid,
                gid,
                groups: vec![member],
                home: None,
            };
            let container = fixture.container_mut();
            container.security = security;
            container.tty = tty;
            container.command = command;
            container.args = args;
            container.env = variables
                .into_iter()
                .map(|(name, value)| EnvVar {
                    name,
                    value: EnvSource::Literal(value),
                })
                .collect();
            fixture
        },
    )
}

fn check_process(process: &Process, security: &ContainerSecurity) {
    let sets = process.capabilities().as_ref().unwrap();
    assert!(sets.inheritable().as_ref().unwrap().is_empty());
    assert!(sets.ambient().as_ref().unwrap().is_empty());
    assert_eq!(sets.bounding(), sets.effective());
    assert_eq!(sets.bounding(), sets.permitted());
    let adds = &security.capabilities.add;
    let may = |name: &str| {
        security.privileged
            || adds.contains("ALL")
            || adds.contains(name)
            || DEFAULT_CAPABILITIES.contains(&name)
    };
    for name in bounding(process) {
        assert!(may(&name), "{name}");
        assert!(
            security.privileged || !security.capabilities.drop.contains(&name),
            "{name}"
        );
    }
    let fixed = !security.allow_privilege_escalation;
    assert_eq!(process.no_new_privileges(), fixed.then_some(true));
    let limits = process.rlimits().as_ref().unwrap();
    assert!(
        limits
            .iter()
            .any(|l| l.typ() == PosixRlimitType::RlimitCore && l.hard() == 0)
    );
    let args = process.args().as_ref().unwrap();
    let env = process.env().as_ref().unwrap();
    assert!(!args.is_empty() && !args[0].is_empty());
    assert!(args.iter().chain(env).all(|text| !text.contains('\0')));
    for name in ["PATH=", "HOME=", "HOSTNAME="] {
        assert_eq!(
            env.iter().filter(|entry| entry.starts_with(name)).count(),
            1,
            "{name}"
        );
    }
    assert!(!(security.run_as_non_root && process.user().uid() == 0));
    assert!(process.oom_score_adj().unwrap() >= 0);
}

fn check_mounts(spec: &Spec, privileged: bool) {
    for mount in spec.mounts().as_ref().unwrap() {
        let has = |option: &str| mount.options().iter().flatten().any(|o| o == option);
        let place = mount.destination().display();
        assert!(has("nosuid"), "{place}");
        assert!(
            !has("shared") && !has("rshared") && !has("suid") && !has("dev"),
            "{place}"
        );
        let kind = mount.typ().as_deref().unwrap();
        if ["proc", "sysfs", "bind", "cgroup"].contains(&kind) {
            assert!(has("nodev") && has("noexec"), "{place}");
        }
        if mount.destination().starts_with("/sys") {
            assert_eq!(has("rw"), privileged, "{place}");
            assert_eq!(has("ro"), !privileged, "{place}");
        }
    }
    let cgroups = spec.mounts().iter().flatten().filter(|mount| {
        let kind = mount.typ().as_deref().unwrap_or_default();
        kind.starts_with("cgroup") || mount.destination().starts_with("/sys/fs/cgroup")
    });
    let places: Vec<_> = cgroups
        .map(|mount| (mount.destination().to_str(), mount.typ().as_deref()))
        .collect();
    assert_eq!(places, [(Some("/sys/fs/cgroup"), Some("cgroup"))]);
}

fn check_restrictions(spec: &Spec, fixture: &Fixture, privileged: bool) {
    let linux = spec.linux().as_ref().unwrap();
    assert!(linux.resources().is_none() && linux.seccomp().is_none());
    assert!(linux.cgroups_path().is_none() && linux.devices().is_none());
    assert!(linux.sysctl().is_none() && linux.uid_mappings().is_none());
    assert!(spec.hooks().is_none());
    let paths = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let (masked, read_only) = (paths(linux.masked_paths()), paths(linux.readonly_paths()));
    if !privileged {
        for path in [
            "/proc/kcore",
            "/proc/keys",
            "/proc/interrupts",
            "/sys/firmware",
        ] {
            assert!(masked.iter().any(|known| known == path), "{path}");
        }
        assert!(masked.contains(&fixture.facts.masked_paths[0]));
        for path in ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq"] {
            assert!(read_only.iter().any(|known| known == path), "{path}");
        }
    }
    let namespaces = linux.namespaces().as_ref().unwrap();
    let has = |kind| namespaces.iter().any(|namespace| namespace.typ() == kind);
    assert!(
        namespaces
            .iter()
            .all(|namespace| namespace.path().is_none())
    );
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    for kind in [Pid, Mount, Ipc, Uts, Cgroup] {
        assert!(has(kind), "{kind:?}");
    }
    assert_eq!(has(Network), !fixture.group.network.host_network);
    assert_eq!(has(User), fixture.group.user_namespace);
}

proptest! {
    #[test]
    fn nothing_forbidden_ever(fixture in any_fixture()) {
        if let Ok(spec) = container_spec(&fixture.inputs()) {
            let security = &fixture.group.containers[0].security;
            check_process(spec.process().as_ref().unwrap(), security);
            check_mounts(&spec, security.privileged);
            check_restrictions(&spec, &fixture, security.privileged);
            let root = spec.root().as_ref().unwrap();
            prop_assert_eq!(root.readonly(), Some(security.read_only_root));
        }
    }
}
