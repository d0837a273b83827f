//! Whole specifications: a golden one, tables for each rule, and what must hold for every input.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use burstlet_model::spec::{
    Backoff, ContainerSecurity, ContainerSpec, DnsSpec, EnvSource, EnvVar, GroupSecurity,
    GroupSpec, Lifecycle, NetworkSpec, PullPolicy, Resources, RestartPolicy, Signal,
    SupplementalGroupsPolicy, TerminationMessagePolicy,
};
use burstlet_model::{
    Bytes, ContainerName, ErrorKind, GroupName, GroupUid, Name, Namespace, Secret,
};
use oci_spec::runtime::{LinuxNamespaceType, PosixRlimitType, Process, Spec};
use proptest::prelude::*;

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
        priority: 0,
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
        restart_always: false,
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

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn literal(text: &str) -> EnvSource {
    EnvSource::Literal(text.to_owned())
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

#[test]
fn commands_and_arguments() {
    let image = ["/entry", "default"];
    for (command, args, expected) in [
        (&[][..], &[][..], &image[..]),
        (&["c"], &[], &["c"]),
        (&[], &["a"], &["/entry", "a"]),
        (&["c"], &["a"], &["c", "a"]),
        (
            &["$(A)"],
            &["$$(A)", "$(LANG)", "$(B)"],
            &["one", "$(A)", "$(LANG)", "one two"],
        ),
    ] {
        let mut fixture = Fixture::new();
        fixture.env(&[("A", literal("one")), ("B", literal("$(A) two"))]);
        fixture.container_mut().command = words(command);
        fixture.container_mut().args = words(args);
        assert_eq!(fixture.process().args().clone().unwrap(), words(expected));
    }
    let mut nothing = Fixture::new();
    nothing.image.entrypoint.clear();
    nothing.image.cmd.clear();
    assert!(
        nothing.error().starts_with("spec.containers[0].command: "),
        "{}",
        nothing.error()
    );
    let mut nul = Fixture::new();
    nul.container_mut().args = words(&["a\0b"]);
    assert_eq!(
        nul.error(),
        "spec.containers[0].command: the text has a NUL character"
    );
}

#[test]
fn environments() {
    let mut fixture = Fixture::new();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(
        fixture.env(&[]),
        [path, "HOSTNAME=web", "LANG=C", "HOME=/home/app"]
    );
    let env = fixture.env(&[
        ("LANG", literal("de")),
        ("A", literal("$(LATER)$(LANG)$(PATH)")),
        ("LATER", literal("x")),
        ("S", EnvSource::Secret(Secret::new("$(A)".to_owned()))),
        ("T", literal("$(S)")),
        ("IP", EnvSource::GroupIp),
        ("NODE_IP", EnvSource::HostIp),
        ("NODE", EnvSource::NodeName),
        ("UID", EnvSource::GroupUid),
        ("HOME", literal("/tmp")),
    ]);
    let expected = [
        path,
        "HOSTNAME=web",
        "LANG=de",
        "A=$(LATER)de$(PATH)",
        "LATER=x",
        "S=$(A)",
        "T=$(A)",
        "IP=10.0.0.2",
        "NODE_IP=192.0.2.1",
        "NODE=node-1",
        "UID=group-1",
        "HOME=/tmp",
    ];
    assert_eq!(env, expected);

    fixture.container_mut().tty = true;
    fixture.user.home = None;
    assert_eq!(
        fixture.env(&[]),
        [path, "HOSTNAME=web", "TERM=xterm", "LANG=C", "HOME=/"]
    );
    fixture.facts.group_ip = None;
    fixture.container_mut().env = vec![EnvVar {
        name: "IP".to_owned(),
        value: EnvSource::GroupIp,
    }];
    assert_eq!(
        fixture.error(),
        "spec.containers[0].env[0]: the group has no address"
    );
}

#[test]
fn users_and_groups() {
    let mut fixture = Fixture::new();
    fixture.group.security.supplemental_groups = vec![9, 7];
    fixture.group.security.fs_group = Some(2000);
    let user = |fixture: &Fixture| fixture.process().user().clone();
    assert_eq!((user(&fixture).uid(), user(&fixture).gid()), (1000, 1001));
    assert_eq!(
        user(&fixture).additional_gids().clone().unwrap(),
        [7, 9, 44, 1001, 2000]
    );
    fixture.group.security.supplemental_groups_policy = SupplementalGroupsPolicy::Strict;
    assert_eq!(
        user(&fixture).additional_gids().clone().unwrap(),
        [7, 9, 1001, 2000]
    );

    fixture.user.uid = 70_000;
    assert!(
        fixture
            .error()
            .contains("id 70000 is not within the group's ids 0 to 65535")
    );
    fixture.group.user_namespace = false;
    assert_eq!(user(&fixture).uid(), 70_000);
    fixture.user.gid = u32::MAX;
    assert!(
        fixture.error().contains("runAsGroup"),
        "{}",
        fixture.error()
    );

    let mut root = Fixture::new();
    root.user = User::default();
    assert_eq!(user(&root).uid(), 0);
    root.container_mut().security.run_as_non_root = true;
    let error = container_spec(&root.inputs()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(
        error
            .to_string()
            .starts_with("spec.containers[0].securityContext.runAsNonRoot: ")
    );
}

#[test]
fn whom_to_look_up() {
    for (user, group, image, expected) in [
        (None, None, "", ""),
        (None, None, "app:staff", "app:staff"),
        (Some(5), None, "app:staff", "5"),
        (Some(5), Some(6), "app:staff", "5:6"),
        (None, Some(6), "app:staff", "app:6"),
        (None, Some(6), "app", "app:6"),
        (None, Some(6), "", "0:6"),
    ] {
        let mut container = container();
        container.security.run_as_user = user;
        container.security.run_as_group = group;
        assert_eq!(user_to_resolve(&container, image), expected);
    }
}

#[test]
fn stop_signals() {
    let mut fixture = Fixture::new();
    let signal = |fixture: &Fixture| stop_signal(&fixture.group.containers[0], &fixture.image);
    assert_eq!(signal(&fixture).number(), 3);
    fixture.container_mut().lifecycle.stop_signal = Signal::new(10);
    assert_eq!(signal(&fixture).number(), 10);
    fixture.container_mut().lifecycle.stop_signal = None;
    for none in [None, Some("SIGNONE".to_owned())] {
        fixture.image.stop_signal = none;
        assert_eq!(signal(&fixture), Signal::TERM);
    }
}

#[test]
fn capability_sets() {
    let default: BTreeSet<&str> = DEFAULT_CAPABILITIES.into();
    let with = |more: &[&'static str]| {
        default
            .iter()
            .copied()
            .chain(more.iter().copied())
            .collect()
    };
    for (add, drop, expected) in [
        (&[][..], &[][..], default.clone()),
        (&["NET_RAW"], &[], with(&["NET_RAW"])),
        (&["CHOWN"], &["ALL"], BTreeSet::from(["CHOWN"])),
        (&[], &["ALL"], BTreeSet::new()),
        (&["NET_RAW"], &["NET_RAW"], default.clone()),
        (&["ALL"], &["ALL"], BTreeSet::new()),
    ] {
        let mut fixture = Fixture::new();
        let security = &mut fixture.container_mut().security;
        security.capabilities.add = words(add).into_iter().collect();
        security.capabilities.drop = words(drop).into_iter().collect();
        assert_eq!(
            bounding(&fixture.process()),
            words(&expected.into_iter().collect::<Vec<_>>())
                .into_iter()
                .collect()
        );
    }
    let mut all = Fixture::new();
    all.container_mut()
        .security
        .capabilities
        .add
        .insert("ALL".to_owned());
    all.container_mut()
        .security
        .capabilities
        .drop
        .insert("SYS_ADMIN".to_owned());
    let names = bounding(&all.process());
    assert!(names.len() == 40 && !names.contains("SYS_ADMIN"));
    let mut unknown = Fixture::new();
    unknown
        .container_mut()
        .security
        .capabilities
        .add
        .insert("CAP_X".to_owned());
    assert!(unknown.error().contains("\"CAP_X\" is not a capability"));
}

fn bounding(process: &Process) -> BTreeSet<String> {
    let sets = process.capabilities().as_ref().unwrap();
    sets.bounding()
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn working_directories() {
    let mut fixture = Fixture::new();
    let cwd = |fixture: &Fixture| fixture.process().cwd().clone();
    assert_eq!(cwd(&fixture), std::path::Path::new("/srv"));
    fixture.image.working_dir.clear();
    assert_eq!(cwd(&fixture), std::path::Path::new("/"));
    fixture.container_mut().working_dir = Some("tmp".to_owned());
    assert!(
        fixture
            .error()
            .contains("workingDir: \"tmp\" is not an absolute path")
    );
}

#[test]
fn a_later_process_has_the_first_ones_rights() {
    let spec = Fixture::new().spec();
    let first = spec.process().clone().unwrap();
    let command = ExecCommand {
        args: words(&["sh", "-c", "id"]),
        terminal: true,
    };
    let later = exec_process(&spec, &command).unwrap();
    let mut same = later.clone();
    same.set_args(first.args().clone())
        .set_terminal(first.terminal())
        .set_env(first.env().clone());
    assert_eq!(same, first);
    assert_eq!(later.args().clone().unwrap(), command.args);
    assert!(
        later
            .env()
            .iter()
            .flatten()
            .any(|entry| entry == "TERM=xterm")
    );
    for bad in [words(&[]), words(&[""]), words(&["a\0"])] {
        assert!(
            exec_process(
                &spec,
                &ExecCommand {
                    args: bad,
                    terminal: false
                }
            )
            .is_err()
        );
    }
}

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
        assert!(!kind.starts_with("cgroup"), "{place}");
        if kind == "proc" || kind == "sysfs" || kind == "bind" {
            assert!(has("nodev") && has("noexec"), "{place}");
        }
        if mount.destination().starts_with("/sys") {
            assert_eq!(has("rw"), privileged, "{place}");
            assert_eq!(has("ro"), !privileged, "{place}");
        }
    }
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
