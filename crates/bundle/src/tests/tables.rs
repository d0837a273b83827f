//! Each rule by its cases.

use std::collections::BTreeSet;

use burstlet_model::spec::{EnvSource, EnvVar, Signal, SupplementalGroupsPolicy};
use burstlet_model::{ErrorKind, Secret};

use super::{Fixture, bounding, container};
use crate::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn literal(text: &str) -> EnvSource {
    EnvSource::Literal(text.to_owned())
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
    fixture.group.network.host_network = true;
    let env = fixture.env(&[("IP", EnvSource::GroupIp)]);
    assert!(env.contains(&"IP=192.0.2.1".to_owned()), "{env:?}");
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
fn devices_are_made_only_where_they_cannot_be_opened() {
    for (user_namespace, devices_listed, allowed) in [
        (true, true, true),
        (true, false, true),
        (false, true, true),
        (false, false, false),
    ] {
        for (capability, may) in [("MKNOD", allowed), ("ALL", allowed), ("NET_RAW", true)] {
            let mut fixture = Fixture::new();
            fixture.group.user_namespace = user_namespace;
            fixture.facts.devices_listed = devices_listed;
            let added = &mut fixture.container_mut().security.capabilities.add;
            added.insert(capability.to_owned());
            let made = container_spec(&fixture.inputs());
            let fault = made.err().map(|error| error.to_string());
            assert_eq!(fault.is_none(), may, "{capability}: {fault:?}");
            if let Some(fault) = fault {
                assert!(fault.contains("capabilities.add: MKNOD"), "{fault}");
            }
        }
    }
}

#[test]
fn what_only_root_may_read_is_hidden_from_the_hosts_root() {
    for (user_namespace, hidden) in [(true, false), (false, true)] {
        let mut fixture = Fixture::new();
        fixture.group.user_namespace = user_namespace;
        let spec = container_spec(&fixture.inputs()).unwrap();
        let masked = spec.linux().as_ref().unwrap().masked_paths().clone();
        let masked = masked.unwrap();
        assert!(masked.iter().any(|path| path == "/proc/kcore"));
        let found = masked.iter().any(|path| path == "/proc/kpageflags");
        assert_eq!(found, hidden, "{masked:?}");
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
