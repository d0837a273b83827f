#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burstlet_model::spec::{ContainerSpec, ResourceList, Resources, Volume};
use burstlet_testkit::spec::{container, group};

use super::*;

const MI: u64 = 1 << 20;

fn limited(name: &str, mi: Option<u64>) -> ContainerSpec {
    let mut spec = container(name);
    spec.resources = limits(mi);
    spec
}

fn limits(mi: Option<u64>) -> Resources {
    Resources {
        limits: ResourceList {
            ephemeral_storage: mi.map(|mi| Bytes(mi * MI)),
            ..ResourceList::default()
        },
        ..Resources::default()
    }
}

fn volume(name: &str, medium: Medium, mi: Option<u64>) -> Volume {
    Volume {
        name: name.to_owned(),
        source: VolumeSource::EmptyDir {
            medium,
            size_limit: mi.map(|mi| Bytes(mi * MI)),
        },
    }
}

fn usage(volumes: &[(usize, u64)], containers: &[(&str, u64)]) -> Usage {
    let name = |name: &str| ContainerName::new(name).unwrap();
    Usage {
        volumes: volumes.iter().map(|(i, mi)| (*i, mi * MI)).collect(),
        containers: containers
            .iter()
            .map(|(n, mi)| (name(n), mi * MI))
            .collect(),
    }
}

#[test]
fn a_volume_may_be_full_but_not_more() {
    let mut spec = group("g", vec![container("main")]);
    spec.volumes = vec![
        volume("memory", Medium::Memory, Some(1)),
        volume("data", Medium::Disk, Some(10)),
    ];
    assert!(has_volume_limits(&spec) && !has_storage_limits(&spec));
    assert_eq!(excess(&spec, &usage(&[(1, 10)], &[])), None);
    assert_eq!(
        excess(&spec, &usage(&[(1, 11)], &[])).unwrap(),
        "Usage of EmptyDir volume \"data\" exceeds the limit \"10Mi\"."
    );
}

#[test]
fn containers_and_the_whole_group_have_limits() {
    let mut spec = group("g", vec![limited("a", Some(10)), limited("b", Some(20))]);
    spec.volumes = vec![volume("data", Medium::Disk, None)];
    assert_eq!(group_limit(&spec), Some(Bytes(30 * MI)));
    for (volume, a, b, expected) in [
        (10, 10, 10, None),
        (
            0,
            11,
            0,
            Some("Container a exceeded its local ephemeral storage limit \"10Mi\"."),
        ),
        (
            11,
            10,
            10,
            Some("Pod ephemeral local storage usage exceeds the total limit of containers 30Mi."),
        ),
    ] {
        let used = usage(&[(0, volume)], &[("a", a), ("b", b)]);
        assert_eq!(excess(&spec, &used).as_deref(), expected);
    }
    spec.resources = Some(limits(Some(100)));
    assert_eq!(group_limit(&spec), Some(Bytes(100 * MI)));
}

#[test]
fn what_has_no_limit_is_neither_measured_nor_evicted() {
    let mut spec = group("g", vec![container("main")]);
    spec.volumes = vec![volume("data", Medium::Disk, None)];
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().to_owned());
    assert_eq!(measure(&layout, &spec).unwrap(), Usage::default());
    assert_eq!(
        excess(&spec, &usage(&[(0, 1 << 20)], &[("main", 1 << 20)])),
        None
    );
}

#[test]
fn every_run_of_a_container_counts() {
    let spec = group("g", vec![limited("main", Some(1))]);
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().to_owned());
    for place in ["rootfs/main.0/upper", "rootfs/other.0/upper", "logs/main/0"] {
        let place = dir.path().join(place);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("file"), vec![1; 1 << 20]).unwrap();
    }
    let usage = measure(&layout, &spec).unwrap();
    let [(_, used)] = usage.containers.as_slice() else {
        panic!("{usage:?}")
    };
    assert!((2 * MI..3 * MI).contains(used), "{used}");
    assert!(excess(&spec, &usage).is_some());
}
