//! What a group's specification says that is frozen when its session opens, or would be.

use std::collections::BTreeMap;

use burstlet_model::Bytes;
use burstlet_model::spec::{GroupSpec, VolumeSource};

use super::{Allocation, IMAGES_MAX, Opened};

/// The only tier of isolation that there is.
const ISOLATION: &str = "container";
/// Tags that say who a group is for, the first that is there: its own word, or a pod's controller.
const OWNER_TAGS: [&str; 2] = ["owner", "kubernetes.owner"];
/// The only operating system.
const OS: &str = "linux";

impl Opened {
    /// What a group comes to on a machine of this architecture.
    #[must_use]
    pub fn of(spec: &GroupSpec, arch: &str) -> Self {
        let mut images: Vec<String> = Vec::new();
        for (_, container) in spec.lasting_containers() {
            let image = container.image.to_string();
            if !images.contains(&image) && images.len() < IMAGES_MAX {
                images.push(image);
            }
        }
        Self {
            group: spec.name.clone(),
            owner: owner(&spec.tags),
            tags: spec.tags.clone(),
            images,
            os: OS.to_owned(),
            arch: arch.to_owned(),
            scheduling: spec.scheduling,
            isolation: ISOLATION.to_owned(),
            allocation: Allocation::of(spec),
        }
    }
}

impl Allocation {
    /// What is set aside for a group that has what its specification says.
    #[must_use]
    pub fn of(spec: &GroupSpec) -> Self {
        let requested = spec.requested();
        let devices = spec.requested_devices();
        let ports = spec
            .all_containers()
            .flat_map(|(_, container)| &container.ports)
            .filter(|port| port.host_port.is_some());
        Self {
            cpu: requested.cpu.unwrap_or_default(),
            memory: requested.memory.unwrap_or_default(),
            ephemeral: requested.ephemeral_storage.unwrap_or_default(),
            gpus: devices.as_ref().map_or(0, |devices| devices.count),
            gpu_model: devices.map_or_else(String::new, |devices| devices.resource.to_string()),
            ports: u32::try_from(ports.count()).unwrap_or(u32::MAX),
            volumes: claimed(spec),
        }
    }
}

/// What was set aside for the claims that a group mounts, each once, however many volumes are of it.
fn claimed(spec: &GroupSpec) -> Bytes {
    let claims: BTreeMap<&str, u64> = spec
        .volumes
        .iter()
        .filter_map(|volume| match &volume.source {
            VolumeSource::Persistent { path, capacity, .. } => {
                Some((&**path, capacity.as_ref()?.0))
            }
            _ => None,
        })
        .collect();
    Bytes(claims.into_values().fold(0, u64::saturating_add))
}

/// Who a group is for; nobody if no tag says so. Names of tags are compared without case.
fn owner(tags: &BTreeMap<String, String>) -> String {
    let value = |name: &str| {
        let mut tags = tags.iter();
        let found = tags.find(|(tag, _)| tag.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    OWNER_TAGS.into_iter().find_map(value).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_model::spec::{HostPathType, Volume};
    use burstlet_testkit::spec::{container, group};

    use super::*;

    #[test]
    fn a_claim_counts_once_with_all_that_was_set_aside_for_it() {
        let volume = |path: &str, capacity: Option<u64>| Volume {
            name: "data".to_owned(),
            source: VolumeSource::Persistent {
                path: path.to_owned(),
                kind: HostPathType::Directory,
                read_only: false,
                follows_fs_group: false,
                capacity: capacity.map(Bytes),
            },
        };
        let mut spec = group("g", vec![container("web")]);
        let check =
            |spec: &GroupSpec, bytes| assert_eq!(Allocation::of(spec).volumes, Bytes(bytes));
        check(&spec, 0);
        spec.volumes = vec![
            volume("/a", Some(7)),
            volume("/b", None),
            volume("/a", Some(7)),
        ];
        check(&spec, 7);
        spec.volumes.push(volume("/c", Some(5)));
        check(&spec, 12);
        spec.volumes.push(volume("/d", Some(u64::MAX)));
        check(&spec, u64::MAX);
    }

    #[test]
    fn devices_are_set_aside_by_their_resource() {
        let mut spec = group("g", vec![container("web"), container("db")]);
        let check = |spec: &GroupSpec, count, resource: &str| {
            let allocation = Allocation::of(spec);
            assert_eq!((allocation.gpus, &*allocation.gpu_model), (count, resource));
        };
        check(&spec, 0, "");
        spec.device_resource = Some("example.com/gpu".parse().unwrap());
        check(&spec, 0, "");
        for (container, devices) in spec.containers.iter_mut().zip([1, 2]) {
            container.devices = devices;
        }
        check(&spec, 3, "example.com/gpu");
    }

    #[test]
    fn a_tag_says_who_a_group_is_for() {
        let tags = |tags: &[(&str, &str)]| {
            let pairs = tags.iter();
            pairs
                .map(|(tag, value)| ((*tag).to_owned(), (*value).to_owned()))
                .collect()
        };
        let pod = ("kubernetes.owner", "ReplicaSet/web");
        assert_eq!(owner(&tags(&[])), "");
        assert_eq!(owner(&tags(&[pod])), "ReplicaSet/web");
        assert_eq!(owner(&tags(&[pod, ("Owner", "ann")])), "ann");
    }
}
