//! What a container sees mounted besides its root file system: the group's volumes, and the files
//! that Burstlet gives it.

use std::path::{Path, PathBuf};

use burstlet_model::spec::{
    ContainerKind, DataFile, GroupSpec, Medium, Volume, VolumeMount, VolumeSource,
};
use burstlet_model::{Bytes, ErrorKind};
use burstlet_sandbox::plan::{MemoryFile, MountPlan, MountSource, Outside};
use burstlet_supervisor::host::HostError;

use super::Ingredients;
use crate::host::failure::MOUNT;
use crate::host::host_path::{self, Found};
use crate::host::{devices, files, image_volumes, persistent, volumes};

/// `/dev/shm`, which the containers of a group share as those of a pod do.
const SHM_BYTES: u64 = 64 << 20;
/// A memory volume without a size limit, in a group without a memory limit.
const MEMORY_VOLUME_BYTES: u64 = 1 << 30;
/// What a file system takes beside the bytes of its files.
const FILE_OVERHEAD_BYTES: u64 = 8 << 10;

/// The mounts, and what they name by descriptors of ours. Blocks where a path of the host is looked
/// at.
pub(super) fn plan(of: &Ingredients<'_>) -> Result<(Vec<MountPlan>, Vec<Found>), HostError> {
    let mut held = Vec::new();
    let mut mounts = vec![shared_memory()];
    // Before anything that definitions name: what is in `/dev` by now is the runtime's.
    mounts.extend(devices::mounts(of.nodes));
    for name in files::NAMES {
        // Only Burstlet writes these: what a container wrote here would be on the host's disk.
        let source = tree(of.layout.file(name), None);
        mounts.push(mount(Path::new("/etc").join(name), source, true));
    }
    let words = PathBuf::from(&of.spec.termination_message_path);
    mounts.push(mount(words, MountSource::LastWords, false));
    for wanted in &of.spec.mounts {
        mounts.push(volume(of, wanted, &mut held)?);
    }
    Ok((mounts, held))
}

fn shared_memory() -> MountPlan {
    let source = MountSource::Memory {
        sub_path: None,
        volume: "shm".to_owned(),
        size_bytes: SHM_BYTES,
        mode: 0o1777,
        gid: None,
        files: Vec::new(),
    };
    let mut plan = mount(PathBuf::from("/dev/shm"), source, false);
    plan.options.push("noexec".to_owned());
    plan
}

fn mount(destination: PathBuf, source: MountSource, read_only: bool) -> MountPlan {
    MountPlan {
        destination,
        source,
        read_only,
        options: vec!["nosuid".to_owned(), "nodev".to_owned()],
    }
}

/// A tree whose ids on disk are host ids.
fn tree(root: PathBuf, sub_path: Option<PathBuf>) -> MountSource {
    MountSource::Tree {
        root: Outside::Path(root),
        sub_path,
        idmap: false,
    }
}

/// A tree whose ids on disk are those that the group sees.
fn claimed(root: PathBuf, sub_path: Option<PathBuf>) -> MountSource {
    MountSource::Tree {
        root: Outside::Path(root),
        sub_path,
        idmap: true,
    }
}

fn volume(
    of: &Ingredients<'_>,
    wanted: &VolumeMount,
    held: &mut Vec<Found>,
) -> Result<MountPlan, HostError> {
    let spec = &*of.standing.spec;
    let volume = spec.volumes.get(wanted.volume).ok_or_else(|| {
        let text = format!("there is no volume {}", wanted.volume);
        HostError::new(ErrorKind::Internal, MOUNT, text)
    })?;
    let (source, read_only) = source(of, wanted, volume, held)?;
    let from_image = matches!(source, MountSource::Layers { .. });
    let at = PathBuf::from(&wanted.mount_path);
    let mut plan = mount(at, source, read_only || wanted.read_only);
    if from_image {
        plan.options.push("noexec".to_owned());
    }
    Ok(plan)
}

/// What a volume shows of which tree, and whether that is for reading only, whatever is asked for.
fn source(
    of: &Ingredients<'_>,
    wanted: &VolumeMount,
    volume: &Volume,
    held: &mut Vec<Found>,
) -> Result<(MountSource, bool), HostError> {
    let spec = &*of.standing.spec;
    let own = || of.layout.volume(wanted.volume);
    let sub_path = wanted.sub_path.as_ref().map(PathBuf::from);
    Ok(match &volume.source {
        VolumeSource::EmptyDir { medium, size_limit } => match medium {
            Medium::Disk => (tree(own(), sub_path), false),
            Medium::Memory => (scratch(spec, volume, *size_limit, sub_path), false),
        },
        VolumeSource::ConfigData(_) => (tree(own(), sub_path), true),
        VolumeSource::SecretData(files) => (secret_volume(spec, volume, files, sub_path), true),
        VolumeSource::HostPath { path, kind } => {
            let allowed = of.parts.policy.host_roots(spec.name.namespace.as_str());
            let found = host_path::find(Path::new(path), *kind, allowed)?;
            let root = found.path();
            held.push(found);
            (tree(root, sub_path), false)
        }
        VolumeSource::Persistent {
            path,
            kind,
            read_only,
            ..
        } => {
            let found = persistent::find(of.parts, path, *kind)?;
            let root = found.path();
            held.push(found);
            (claimed(root, sub_path), *read_only)
        }
        VolumeSource::Image { .. } => {
            let lowers = image_volumes::layers(&of.parts.images, of.layout, wanted.volume)?;
            (MountSource::Layers { lowers, sub_path }, true)
        }
        VolumeSource::Nfs { .. } => return Err(not_mountable(volume)),
    })
}

/// An empty volume in memory: all may write to it, nobody may remove what others have made, and what is
/// made in it belongs to the group's `fsGroup`. On a kubelet, too, it has the sticky bit, which one on
/// disk has not: a file system in memory is born with it.
fn scratch(
    spec: &GroupSpec,
    volume: &Volume,
    limit: Option<Bytes>,
    sub_path: Option<PathBuf>,
) -> MountSource {
    let gid = spec.security.fs_group;
    MountSource::Memory {
        volume: volume.name.clone(),
        size_bytes: memory_size(spec, limit),
        mode: if gid.is_some() { 0o3777 } else { 0o1777 },
        gid,
        sub_path,
        files: Vec::new(),
    }
}

/// A volume of files in memory. The group's keeper makes it when it is mounted for the first time,
/// or when it is renewed.
pub(in crate::host) fn secret_volume(
    spec: &GroupSpec,
    volume: &Volume,
    files: &[DataFile],
    sub_path: Option<PathBuf>,
) -> MountSource {
    let gid = spec.security.fs_group;
    let size = |file: &DataFile| file.data.expose().len() as u64 + FILE_OVERHEAD_BYTES;
    let written = files.iter().map(|file| MemoryFile {
        path: PathBuf::from(&file.path),
        mode: gid.map_or(file.mode, |_| volumes::mode_with_group(file.mode)),
        gid,
        content: Outside::Bytes(file.data.expose().clone()),
    });
    MountSource::Memory {
        volume: volume.name.clone(),
        // While they are renewed, the old ones are there too.
        size_bytes: 2 * files.iter().map(size).sum::<u64>() + FILE_OVERHEAD_BYTES,
        mode: 0o755,
        gid: None,
        sub_path,
        files: written.collect(),
    }
}

fn not_mountable(volume: &Volume) -> HostError {
    let text = format!(
        "volume {:?} is of a kind that this node cannot mount",
        volume.name
    );
    HostError::new(ErrorKind::Unsupported, MOUNT, text)
}

/// A memory volume counts as the group's memory, so it never needs more than that. The same for
/// every container, for whoever mounts it first makes it for all.
fn memory_size(spec: &GroupSpec, limit: Option<Bytes>) -> u64 {
    let bounds = [limit, group_memory(spec)].into_iter().flatten();
    bounds.min().map_or(MEMORY_VOLUME_BYTES, |bytes| bytes.0)
}

/// What the whole group may use of memory: its own limit, else what its containers may use
/// together if each has a limit.
fn group_memory(spec: &GroupSpec) -> Option<Bytes> {
    let own = spec.resources.and_then(|resources| resources.limits.memory);
    let all = || {
        spec.lasting_containers()
            .filter(|(kind, _)| *kind != ContainerKind::Init)
            .map(|(_, container)| container.resources.limits.memory)
            .try_fold(0_u64, |sum, limit| Some(sum.saturating_add(limit?.0)))
    };
    own.or_else(|| all().map(Bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_model::spec::{ContainerSpec, ResourceList, Resources};
    use burstlet_testkit::spec::{container, group};

    use super::*;

    fn limits(memory: Option<u64>) -> Resources {
        Resources {
            limits: ResourceList {
                memory: memory.map(Bytes),
                ..ResourceList::default()
            },
            ..Resources::default()
        }
    }

    fn limited(name: &str, memory: Option<u64>) -> ContainerSpec {
        let mut spec = container(name);
        spec.resources = limits(memory);
        spec
    }

    #[test]
    fn a_memory_volume_is_as_large_as_its_group_whoever_mounts_it() {
        for (containers, own, limit, size) in [
            (vec![Some(3), Some(4)], None, None, 7),
            (vec![Some(3), Some(4)], None, Some(5), 5),
            (vec![Some(3), Some(4)], None, Some(50), 7),
            (vec![Some(3), Some(4)], Some(6), None, 6),
            (vec![Some(3), None], None, None, MEMORY_VOLUME_BYTES),
            (vec![Some(3), None], None, Some(50), 50),
        ] {
            let named = containers.iter().enumerate();
            let all = named.map(|(index, memory)| limited(&format!("c{index}"), *memory));
            let mut spec = group("g", all.collect());
            spec.resources = own.map(|own| limits(Some(own)));
            let case = format!("{containers:?} {own:?} {limit:?}");
            assert_eq!(memory_size(&spec, limit.map(Bytes)), size, "{case}");
        }
    }

    #[test]
    fn a_memory_volume_belongs_to_the_fs_group() {
        let mut spec = group("g", vec![container("main")]);
        let volume = Volume {
            name: "v".to_owned(),
            source: VolumeSource::EmptyDir {
                medium: Medium::Memory,
                size_limit: None,
            },
        };
        for (fs_group, expected) in [(None, 0o1777), (Some(2000), 0o3777)] {
            spec.security.fs_group = fs_group;
            let MountSource::Memory { mode, gid, .. } = scratch(&spec, &volume, None, None) else {
                panic!("a volume in memory");
            };
            assert_eq!((mode, gid), (expected, fs_group));
        }
    }
}
