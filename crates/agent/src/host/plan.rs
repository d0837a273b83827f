//! A container's plan for its keeper: the bundle's OCI specification with the root file system,
//! volumes, cgroup, log and filter that only the host knows.

use std::path::{Path, PathBuf};

use burstlet_bundle::{Facts, ImageDefaults, Inputs, User, container_spec, stop_signal};
use burstlet_cgroup::Cgroup;
use burstlet_image::snapshot::{ContainerUser, Snapshot};
use burstlet_image::store::Image;
use burstlet_model::spec::{ContainerSpec, Medium, Signal, VolumeMount, VolumeSource};
use burstlet_model::{Bytes, ErrorKind, GroupUid};
use burstlet_sandbox::plan::{
    ContainerCgroup, ContainerPlan, FinalRead, LogTarget, MemoryFile, MountPlan, MountSource,
    Outside, RootfsPlan, Stdin,
};
use burstlet_supervisor::host::HostError;
use oci_spec::runtime::{Process, Spec};

use super::failure::{MOUNT, fail};
use super::group::Standing;
use super::host_path::{self, Found};
use super::layout::{Layout, Run};
use super::sandbox::cgroup_entry;
use super::{Parts, files, image_volumes};

/// `/dev/shm`, which the containers of a group share as those of a pod do.
const SHM_BYTES: u64 = 64 << 20;
/// A memory volume without a size limit, in a group without a memory limit.
const MEMORY_VOLUME_BYTES: u64 = 1 << 30;
/// What a file system takes beside the bytes of its files.
const FILE_OVERHEAD_BYTES: u64 = 8 << 10;

/// What a plan is made of.
pub(super) struct Ingredients<'a> {
    pub(super) parts: &'a Parts,
    pub(super) layout: &'a Layout,
    pub(super) standing: &'a Standing,
    pub(super) spec: &'a ContainerSpec,
    pub(super) image: &'a Image,
    pub(super) user: ContainerUser,
    pub(super) snapshot: Snapshot,
    pub(super) cgroup: Cgroup,
    pub(super) run: Run<'a>,
    pub(super) uid: &'a GroupUid,
}

/// A plan that can be carried out.
pub(super) struct Composed {
    pub(super) plan: ContainerPlan,
    /// The signal that asks the container to stop.
    pub(super) stop_signal: u8,
    /// What the plan names by descriptors of ours, held until it is carried out.
    pub(super) held: Vec<Found>,
}

/// Blocks where a filter is read or a path of the host is looked at.
pub(super) fn compose(of: &Ingredients<'_>) -> Result<Composed, HostError> {
    let group = &of.standing.spec;
    let config = &of.image.config;
    let image = ImageDefaults {
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        env: config.env.clone(),
        working_dir: config.working_dir.clone(),
        stop_signal: config.stop_signal.clone(),
    };
    let ContainerUser {
        uid,
        gid,
        groups,
        home,
    } = of.user.clone();
    let user = User {
        uid,
        gid,
        groups,
        home,
    };
    let facts = facts(of);
    let inputs = Inputs {
        group,
        container: of.spec,
        image: &image,
        user: &user,
        facts: &facts,
    };
    let oci = container_spec(&inputs)
        .map_err(|error| fail(error.kind(), "CreateContainerConfigError", &error))?;
    let stop_signal = stop_signal(of.spec, &image).number();
    let (mounts, held) = mounts(of)?;
    let Snapshot {
        lowers,
        upper,
        work,
    } = of.snapshot.clone();
    let plan = ContainerPlan {
        name: of.run.container.clone(),
        attempt: of.run.attempt,
        seccomp: filter(of, &oci)?,
        spec: Box::new(oci),
        rootfs: RootfsPlan {
            lowers,
            upper,
            work,
        },
        mounts,
        cgroup: Some(ContainerCgroup {
            entry: cgroup_entry(of.cgroup.join_paths()),
            procs: if group.share_process_namespace {
                of.cgroup.process_list().map(Outside::Path)
            } else {
                None
            },
        }),
        final_reads: final_reads(&of.cgroup),
        log: Some(LogTarget {
            dir: of.layout.logs(of.run),
            bytes_max: of.parts.logs.bytes_max.0,
            files_max: of.parts.logs.files_max.into(),
        }),
        stdin: match (of.spec.stdin, of.spec.stdin_once) {
            (false, _) => Stdin::Null,
            (true, false) => Stdin::Open,
            (true, true) => Stdin::Once,
        },
        start: true,
    };
    Ok(Composed {
        plan,
        stop_signal,
        held,
    })
}

fn facts(of: &Ingredients<'_>) -> Facts {
    let host = &of.parts.facts;
    Facts {
        group_uid: of.uid.clone(),
        group_ip: of.standing.sandbox.ip,
        host_ip: host.ip,
        node_name: host.node_name.clone(),
        shm: None,
        memory: host.memory,
        oom_score_min: host.oom_score_min,
        masked_paths: host.masked_paths.clone(),
    }
}

fn filter(of: &Ingredients<'_>, oci: &Spec) -> Result<Option<Outside>, HostError> {
    let program = of.parts.profiles.program(&of.spec.security.seccomp, oci);
    let program =
        program.map_err(|error| fail(error.kind(), "CreateContainerConfigError", &error))?;
    Ok(program.map(|program| Outside::Bytes(program.to_bytes())))
}

fn final_reads(cgroup: &Cgroup) -> Vec<FinalRead> {
    let reads = cgroup
        .final_reads()
        .into_iter()
        .filter(|read| read.path.exists());
    reads
        .map(|read| FinalRead {
            key: read.key.to_owned(),
            file: Outside::Path(read.path),
        })
        .collect()
}

fn mounts(of: &Ingredients<'_>) -> Result<(Vec<MountPlan>, Vec<Found>), HostError> {
    let mut held = Vec::new();
    let mut mounts = vec![MountPlan {
        destination: PathBuf::from("/dev/shm"),
        source: MountSource::Memory {
            sub_path: None,
            volume: "shm".to_owned(),
            size_bytes: SHM_BYTES,
            mode: 0o1777,
            files: Vec::new(),
        },
        read_only: false,
        options: vec!["nosuid".to_owned(), "nodev".to_owned(), "noexec".to_owned()],
    }];
    for name in files::NAMES {
        // Only Burstlet writes these: what a container wrote here would be on the host's disk.
        mounts.push(file(
            of.layout.file(name),
            Path::new("/etc").join(name),
            true,
        ));
    }
    let last_words = of.layout.termination(of.run);
    mounts.push(file(
        last_words,
        PathBuf::from(&of.spec.termination_message_path),
        false,
    ));
    for mount in &of.spec.mounts {
        mounts.push(volume(of, mount, &mut held)?);
    }
    Ok((mounts, held))
}

fn file(from: PathBuf, to: PathBuf, read_only: bool) -> MountPlan {
    let source = MountSource::Tree {
        root: Outside::Path(from),
        sub_path: None,
        idmap: false,
    };
    MountPlan {
        destination: to,
        source,
        read_only,
        options: plain(),
    }
}

fn plain() -> Vec<String> {
    vec!["nosuid".to_owned(), "nodev".to_owned()]
}

fn volume(
    of: &Ingredients<'_>,
    mount: &VolumeMount,
    held: &mut Vec<Found>,
) -> Result<MountPlan, HostError> {
    let missing = || {
        HostError::new(
            ErrorKind::Internal,
            MOUNT,
            format!("there is no volume {}", mount.volume),
        )
    };
    let volume = of
        .standing
        .spec
        .volumes
        .get(mount.volume)
        .ok_or_else(missing)?;
    let sub_path = mount.sub_path.as_ref().map(PathBuf::from);
    let tree = |root: PathBuf, idmap| MountSource::Tree {
        root: Outside::Path(root),
        sub_path: sub_path.clone(),
        idmap,
    };
    let memory = |size_bytes, mode, files| MountSource::Memory {
        volume: volume.name.clone(),
        size_bytes,
        mode,
        sub_path: sub_path.clone(),
        files,
    };
    let mut options = plain();
    let (source, read_only) = match &volume.source {
        VolumeSource::EmptyDir {
            medium: Medium::Disk,
            ..
        } => (tree(of.layout.volume(mount.volume), false), false),
        VolumeSource::EmptyDir {
            medium: Medium::Memory,
            size_limit,
        } => (
            memory(memory_size(of, *size_limit), 0o1777, Vec::new()),
            false,
        ),
        VolumeSource::ConfigData(_) => (tree(of.layout.volume(mount.volume), false), true),
        VolumeSource::SecretData(files) => {
            let size = files
                .iter()
                .map(|file| file.data.expose().len() as u64 + FILE_OVERHEAD_BYTES)
                .sum();
            let files = files.iter().map(|file| MemoryFile {
                path: PathBuf::from(&file.path),
                mode: file.mode,
                gid: of.standing.spec.security.fs_group,
                content: Outside::Bytes(file.data.expose().clone()),
            });
            (memory(size, 0o755, files.collect()), true)
        }
        VolumeSource::HostPath { path, kind } => {
            let allowed = of.parts.policy.host_paths.iter().map(|path| &**path);
            let found = host_path::find(Path::new(path), *kind, allowed)?;
            let root = found.path();
            held.push(found);
            (tree(root, false), false)
        }
        VolumeSource::Image { .. } => {
            let lowers = image_volumes::layers(&of.parts.images, of.layout, mount.volume)?;
            options.push("noexec".to_owned());
            let sub_path = sub_path.clone();
            (MountSource::Layers { lowers, sub_path }, true)
        }
        VolumeSource::Nfs { .. } => {
            let text = format!(
                "volume {:?} is of a kind that this node cannot mount",
                volume.name
            );
            return Err(HostError::new(ErrorKind::Unsupported, MOUNT, text));
        }
    };
    Ok(MountPlan {
        destination: PathBuf::from(&mount.mount_path),
        source,
        read_only: read_only || mount.read_only,
        options,
    })
}

/// A memory volume counts as the group's memory, so it never needs more than that.
fn memory_size(of: &Ingredients<'_>, limit: Option<Bytes>) -> u64 {
    let of_container = of.spec.resources.limits.memory;
    limit
        .or(of_container)
        .map_or(MEMORY_VOLUME_BYTES, |bytes| bytes.0)
}

/// Who a process runs as, in the group's own ids.
pub(super) fn identity(process: &Process) -> (u32, u32, Vec<u32>) {
    let user = process.user();
    (
        user.uid(),
        user.gid(),
        user.additional_gids().clone().unwrap_or_default(),
    )
}

/// The signal of this number; the standard one if it is none.
pub(super) fn signal(number: u8) -> Signal {
    Signal::new(number).unwrap_or(Signal::TERM)
}
