//! What may change of a group that stands, and what follows from it: a pure function of the old
//! specification and the new one.

use burstlet_model::spec::{
    ContainerSpec, EphemeralContainer, GroupSpec, ResourceList, Resources, Volume, VolumeSource,
};

/// What a new specification asks for, beside being the one that counts from now on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Containers with another image, by their place in [`GroupSpec::all_containers`].
    pub(crate) images: Vec<usize>,
    /// How many ephemeral containers come at the end.
    pub(crate) added: usize,
    /// The group, or a container of it, has other processors or memory.
    pub(crate) resized: bool,
}

/// Of a client's group: labels, annotations and tags may change; nothing else does. `None` if
/// something else differs.
pub(crate) fn of_direct(old: &GroupSpec, new: &GroupSpec) -> Option<Change> {
    let like_old = GroupSpec {
        labels: old.labels.clone(),
        annotations: old.annotations.clone(),
        tags: old.tags.clone(),
        ..new.clone()
    };
    (like_old == *old).then(Change::default)
}

/// Of a pod, as a kubelet has it: beside labels also images, the deadline, credentials, what
/// volumes of configuration hold, and variables, which count from a container's next start on;
/// processors and memory; and ephemeral containers may be added. `None` if something else differs.
pub(crate) fn of_pod(old: &GroupSpec, new: &GroupSpec) -> Option<Change> {
    let like_old = GroupSpec {
        labels: old.labels.clone(),
        annotations: old.annotations.clone(),
        tags: old.tags.clone(),
        active_deadline_s: old.active_deadline_s,
        registry_credentials: old.registry_credentials.clone(),
        init_containers: containers(&old.init_containers, &new.init_containers),
        containers: containers(&old.containers, &new.containers),
        ephemeral_containers: known(&old.ephemeral_containers, &new.ephemeral_containers),
        volumes: volumes(&old.volumes, &new.volumes),
        resources: sized(new.resources, old.resources),
        ..new.clone()
    };
    let resized = old.resources != new.resources
        || sizes(&old.init_containers) != sizes(&new.init_containers)
        || sizes(&old.containers) != sizes(&new.containers);
    let both = old.all_containers().zip(new.all_containers());
    let other_image = both
        .enumerate()
        .filter(|(_, ((_, old), (_, new)))| old.image != new.image);
    let images = other_image.map(|(index, _)| index).collect();
    let (before, now) = (&old.ephemeral_containers, &new.ephemeral_containers);
    let added = now.len().checked_sub(before.len())?;
    (like_old == *old).then_some(Change {
        images,
        added,
        resized,
    })
}

/// The new ones with what may change as it was.
fn containers(old: &[ContainerSpec], new: &[ContainerSpec]) -> Vec<ContainerSpec> {
    let mut like_old = new.to_vec();
    for (new, old) in like_old.iter_mut().zip(old) {
        new.image = old.image.clone();
        new.env = old.env.clone();
        new.resources = sized(Some(new.resources), Some(old.resources)).unwrap_or_default();
    }
    like_old
}

fn sizes(containers: &[ContainerSpec]) -> Vec<Resources> {
    containers.iter().map(|own| own.resources).collect()
}

/// The new ones with the processors and memory that were there; the rest does not change.
fn sized(new: Option<Resources>, old: Option<Resources>) -> Option<Resources> {
    let (Some(new), Some(old)) = (new, old) else {
        return old;
    };
    let like_old = |new: ResourceList, old: ResourceList| ResourceList {
        cpu: old.cpu,
        memory: old.memory,
        ..new
    };
    Some(Resources {
        requests: like_old(new.requests, old.requests),
        limits: like_old(new.limits, old.limits),
    })
}

/// The new ones that are not new, with what may change as it was.
fn known(old: &[EphemeralContainer], new: &[EphemeralContainer]) -> Vec<EphemeralContainer> {
    let both = new.iter().zip(old);
    let like_old = both.map(|(new, old)| {
        let mut like_old = new.clone();
        like_old.container.env.clone_from(&old.container.env);
        like_old
    });
    like_old.collect()
}

/// The new ones with the files that they had, where both are of configuration.
fn volumes(old: &[Volume], new: &[Volume]) -> Vec<Volume> {
    use VolumeSource::{ConfigData, SecretData};
    let mut like_old = new.to_vec();
    for (new, old) in like_old.iter_mut().zip(old) {
        if let (ConfigData(new), ConfigData(old)) | (SecretData(new), SecretData(old)) =
            (&mut new.source, &old.source)
        {
            new.clone_from(old);
        }
    }
    like_old
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_model::spec::{DataFile, EnvSource, EnvVar, Medium};
    use burstlet_model::{Bytes, MilliCpu, Secret};
    use burstlet_testkit::spec::{container, ephemeral, group};

    use super::*;

    fn data(text: &str) -> Vec<DataFile> {
        vec![DataFile {
            path: "file".to_owned(),
            mode: 0o644,
            data: Secret::new(text.as_bytes().to_vec()),
        }]
    }

    fn pod() -> GroupSpec {
        let mut spec = group("g", vec![container("web"), container("log")]);
        spec.init_containers = vec![container("init")];
        spec.volumes = vec![Volume {
            name: "config".to_owned(),
            source: VolumeSource::ConfigData(data("one")),
        }];
        spec
    }

    /// What becomes of a change: of a client's group, and of a pod.
    fn changed(change: impl FnOnce(&mut GroupSpec)) -> (Option<Change>, Option<Change>) {
        let old = pod();
        let mut new = old.clone();
        change(&mut new);
        (of_direct(&old, &new), of_pod(&old, &new))
    }

    fn nothing() -> Option<Change> {
        Some(Change::default())
    }

    #[test]
    fn labels_change_for_everybody() {
        let label = |spec: &mut GroupSpec| drop(spec.labels.insert("a".into(), "b".into()));
        assert_eq!(changed(label), (nothing(), nothing()));
    }

    #[test]
    fn files_variables_and_the_deadline_change_for_pods() {
        let file = |spec: &mut GroupSpec| {
            spec.volumes[0].source = VolumeSource::ConfigData(data("two"));
        };
        assert_eq!(changed(file), (None, nothing()));
        let variable = EnvVar {
            name: "A".to_owned(),
            value: EnvSource::Literal("b".to_owned()),
        };
        let set = |spec: &mut GroupSpec| spec.containers[0].env.push(variable);
        assert_eq!(changed(set), (None, nothing()));
        assert_eq!(
            changed(|spec| spec.active_deadline_s = Some(7)),
            (None, nothing())
        );
    }

    #[test]
    fn an_image_names_its_container() {
        let other = |spec: &mut GroupSpec| spec.containers[1].image = "other".parse().unwrap();
        let change = Change {
            images: vec![2],
            ..Change::default()
        };
        assert_eq!(changed(other), (None, Some(change)));
    }

    #[test]
    fn processors_and_memory_change_for_pods() {
        let resized = || {
            Some(Change {
                resized: true,
                ..Change::default()
            })
        };
        let cpu = |spec: &mut GroupSpec| {
            spec.init_containers[0].resources.limits.cpu = Some(MilliCpu(100));
        };
        assert_eq!(changed(cpu), (None, resized()));
        let memory = |spec: &mut GroupSpec| {
            spec.containers[1].resources.requests.memory = Some(Bytes(7));
        };
        assert_eq!(changed(memory), (None, resized()));
        let disk = |spec: &mut GroupSpec| {
            spec.containers[1].resources.limits.ephemeral_storage = Some(Bytes(7));
        };
        assert_eq!(changed(disk), (None, None));
        let whole = |spec: &mut GroupSpec| spec.resources = Some(Resources::default());
        assert_eq!(changed(whole), (None, resized()));
        let policy = |spec: &mut GroupSpec| {
            spec.containers[0].resize_policy.cpu_restarts = true;
        };
        assert_eq!(changed(policy), (None, None));
    }

    #[test]
    fn resources_of_the_whole_change_where_there_are_any() {
        let with = |milli| GroupSpec {
            resources: Some(Resources {
                limits: ResourceList {
                    cpu: Some(MilliCpu(milli)),
                    ..ResourceList::default()
                },
                ..Resources::default()
            }),
            ..pod()
        };
        let change = of_pod(&with(100), &with(200));
        assert!(change.is_some_and(|change| change.resized));
    }

    #[test]
    fn ephemeral_containers_are_only_added() {
        let old = GroupSpec {
            ephemeral_containers: vec![ephemeral("first")],
            ..pod()
        };
        let into = |names: &[&str]| {
            let new = GroupSpec {
                ephemeral_containers: names.iter().map(|name| ephemeral(name)).collect(),
                ..old.clone()
            };
            assert_eq!(of_direct(&old, &new).is_some(), old == new);
            of_pod(&old, &new).map(|change| change.added)
        };
        for (names, added) in [
            (&["first"][..], Some(0)),
            (&["first", "second", "third"], Some(2)),
            (&["second", "first"], None),
            (&["second"], None),
            (&[], None),
        ] {
            assert_eq!(into(names), added, "{names:?}");
        }
        let mut other = old.clone();
        // A label that is shown there was changed.
        let shown = EnvVar {
            name: "LABEL".to_owned(),
            value: EnvSource::Literal("b".to_owned()),
        };
        other.ephemeral_containers[0].container.env.push(shown);
        assert_eq!(of_pod(&old, &other), nothing());
        other.ephemeral_containers[0].container.image = "other".parse().unwrap();
        assert_eq!(of_pod(&old, &other), None);
        other.clone_from(&old);
        other.ephemeral_containers[0].target = Some(old.containers[0].name.clone());
        assert_eq!(of_pod(&old, &other), None);
    }

    #[test]
    fn the_rest_is_another_group() {
        assert_eq!(
            changed(|spec| spec.hostname = "other".to_owned()),
            (None, None)
        );
        assert_eq!(changed(|spec| drop(spec.containers.pop())), (None, None));
        assert_eq!(changed(|spec| spec.containers[0].tty = true), (None, None));
        let kind = |spec: &mut GroupSpec| {
            spec.volumes[0].source = VolumeSource::EmptyDir {
                medium: Medium::Disk,
                size_limit: None,
            };
        };
        assert_eq!(changed(kind), (None, None));
        let hidden = |spec: &mut GroupSpec| {
            spec.volumes[0].source = VolumeSource::SecretData(data("one"));
        };
        assert_eq!(changed(hidden), (None, None));
    }
}
