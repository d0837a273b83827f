use oci_spec::runtime::{
    Hooks, Linux, LinuxBuilder, LinuxIdMappingBuilder, LinuxSeccomp, ProcessBuilder, SpecBuilder,
};

use super::*;
use crate::plan::{MountSource, Outside};

fn spec() -> Spec {
    let process = ProcessBuilder::default()
        .args(vec!["sh".to_owned()])
        .env(vec!["PATH=/bin".to_owned()])
        .no_new_privileges(true)
        .build()
        .unwrap();
    let mut linux = LinuxBuilder::default().build().unwrap();
    linux.set_resources(None);
    SpecBuilder::default()
        .process(process)
        .linux(linux)
        .build()
        .unwrap()
}

fn decided(mounts: Vec<(&MountPlan, PathBuf)>) -> Decided<'_> {
    Decided {
        root: Path::new("/stage/c/a/rootfs"),
        joined: vec![("user", 7), ("net", 8), ("ipc", 9), ("uts", 10)],
        own_network: true,
        mounts,
        seccomp: true,
    }
}

#[test]
fn the_keeper_decides_namespaces_and_root() {
    let bundle = prepare(spec(), &decided(Vec::new())).unwrap();
    assert_eq!(
        bundle.spec.root().as_ref().unwrap().path(),
        Path::new("/stage/c/a/rootfs")
    );
    let linux = bundle.spec.linux().as_ref().unwrap();
    let namespaces = linux.namespaces().as_ref().unwrap();
    let path = |typ| {
        let found = namespaces.iter().find(|n| n.typ() == typ).unwrap();
        found
            .path()
            .as_ref()
            .map(|p| p.to_str().unwrap().to_owned())
    };
    assert_eq!(path(LinuxNamespaceType::User).unwrap(), "/proc/self/fd/7");
    assert_eq!(
        path(LinuxNamespaceType::Network).unwrap(),
        "/proc/self/fd/8"
    );
    assert_eq!(path(LinuxNamespaceType::Pid), None);
    assert_eq!(path(LinuxNamespaceType::Mount), None);
    let host = Decided {
        joined: vec![("ipc", 9), ("uts", 10)],
        own_network: false,
        ..decided(Vec::new())
    };
    let bundle = prepare(spec(), &host).unwrap();
    let linux = bundle.spec.linux().as_ref().unwrap();
    let has = |typ| {
        linux
            .namespaces()
            .as_ref()
            .unwrap()
            .iter()
            .any(|n| n.typ() == typ)
    };
    assert!(!has(LinuxNamespaceType::Network) && !has(LinuxNamespaceType::User));
}

#[test]
fn nothing_is_left_to_a_default() {
    let process = prepare(spec(), &decided(Vec::new())).unwrap().process;
    assert!(process.env().as_ref().unwrap().contains(&HOME.to_owned()));
    let mut gaining = spec();
    let mut process = gaining.process().clone().unwrap();
    process
        .set_no_new_privileges(Some(false))
        .set_capabilities(None);
    gaining.set_process(Some(process));
    let bundle = prepare(gaining, &decided(Vec::new())).unwrap();
    let given = bundle.spec.process().as_ref().unwrap();
    let masks = |p: &Process| capabilities::masks(p.capabilities().as_ref());
    assert_eq!(given.no_new_privileges(), None);
    assert_eq!(
        masks(given).effective.count_ones(),
        2,
        "room to load the program"
    );
    assert_eq!(
        masks(&bundle.process).bounding,
        0,
        "what is verified stays what was asked for"
    );
}

#[test]
fn mounts_follow_the_specs_own() {
    let plan = MountPlan {
        destination: "/data".into(),
        source: MountSource::Tree {
            root: Outside::Passed(0),
            sub_path: None,
            idmap: true,
        },
        read_only: true,
        options: vec!["nosuid".into()],
    };
    let bundle = prepare(spec(), &decided(vec![(&plan, "/stage/c/a/m0".into())])).unwrap();
    let mounts = bundle.spec.mounts().as_ref().unwrap();
    let last = mounts.last().unwrap();
    assert_eq!(last.source().as_ref().unwrap(), Path::new("/stage/c/a/m0"));
    assert_eq!(
        last.options().as_ref().unwrap(),
        &["rbind", "rprivate", "nosuid", "ro"]
    );
}

#[test]
fn what_is_not_the_specs_to_say_is_refused() {
    type Spoil = fn(&mut Spec, &mut Linux);
    let table: [Spoil; 6] = [
        |spec, _| {
            spec.set_hooks(Some(Hooks::default()));
        },
        |spec, _| {
            spec.set_process(None);
        },
        |_, linux| {
            linux.set_seccomp(Some(LinuxSeccomp::default()));
        },
        |_, linux| {
            linux.set_cgroups_path(Some("/x".into()));
        },
        |_, linux| {
            linux.set_sysctl(Some([("a".into(), "b".into())].into()));
        },
        |_, linux| {
            let map = LinuxIdMappingBuilder::default().size(1_u32).build();
            linux.set_uid_mappings(Some(vec![map.unwrap()]));
        },
    ];
    for (index, spoil) in table.into_iter().enumerate() {
        let mut spec = spec();
        let mut linux = spec.linux().clone().unwrap();
        spoil(&mut spec, &mut linux);
        spec.set_linux(Some(linux));
        let failure = prepare(spec, &decided(Vec::new())).unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "case {index}");
    }
}
