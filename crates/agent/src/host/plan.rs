//! A container's plan for its keeper: the bundle's OCI specification with the root file system,
//! volumes, cgroup, log and filter that only the host knows.

mod mounts;

pub(super) use mounts::secret_volume;

use burstlet_bundle::{Facts, ImageDefaults, Inputs, User, container_spec, stop_signal};
use burstlet_cgroup::{Cgroup, ShownTree};
use burstlet_image::snapshot::{ContainerUser, Snapshot};
use burstlet_image::store::Image;
use burstlet_model::spec::{ContainerSpec, Signal};
use burstlet_model::{ContainerName, GroupUid};
use burstlet_sandbox::plan::{
    ContainerCgroup, ContainerPlan, FinalRead, LogTarget, Outside, RootfsPlan, ShownCgroup, Stdin,
};
use burstlet_supervisor::host::HostError;
use oci_spec::runtime::{Process, Spec};

use super::Parts;
use super::failure::fail;
use super::group::Standing;
use super::host_path::Found;
use super::layout::{Layout, Run};
use super::sandbox::cgroup_entry;
use crate::device::Node;

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
    /// Nodes of the devices that it has beside the default ones.
    pub(super) nodes: &'a [Node],
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
    let image = image_defaults(of.image);
    let oci = oci_spec(of, &image)?;
    let (mounts, held) = mounts::plan(of)?;
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
        cgroup: Some(cgroup(of)),
        final_reads: final_reads(&of.cgroup),
        log: Some(log(of)),
        stdin: match (of.spec.stdin, of.spec.stdin_once) {
            (false, _) => Stdin::Null,
            (true, false) => Stdin::Open,
            (true, true) => Stdin::Once,
        },
        target: target(of).cloned(),
        start: true,
    };
    Ok(Composed {
        plan,
        stop_signal: stop_signal(of.spec, &image).number(),
        held,
    })
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

fn image_defaults(image: &Image) -> ImageDefaults {
    let config = &image.config;
    ImageDefaults {
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        env: config.env.clone(),
        working_dir: config.working_dir.clone(),
        stop_signal: config.stop_signal.clone(),
    }
}

fn oci_spec(of: &Ingredients<'_>, image: &ImageDefaults) -> Result<Spec, HostError> {
    let ContainerUser {
        uid,
        gid,
        groups,
        home,
    } = of.user.clone();
    let inputs = Inputs {
        group: &of.standing.spec,
        container: of.spec,
        image,
        user: &User {
            uid,
            gid,
            groups,
            home,
        },
        facts: &facts(of),
    };
    container_spec(&inputs)
        .map_err(|error| fail(error.kind(), "CreateContainerConfigError", &error))
}

/// The container whose processes this one sees. Where all see each other's, it does anyway, and needs
/// nobody to run for it.
fn target<'a>(of: &Ingredients<'a>) -> Option<&'a ContainerName> {
    let group = &of.standing.spec;
    let target = group.target_of(of.run.container);
    target.filter(|_| !group.share_process_namespace)
}

fn cgroup(of: &Ingredients<'_>) -> ContainerCgroup {
    let shared = of.standing.spec.share_process_namespace || target(of).is_some();
    let procs = shared.then(|| of.cgroup.process_list()).flatten();
    let shown = of.parts.cgroups.shown(&of.cgroup).into_iter();
    ContainerCgroup {
        entry: cgroup_entry(of.cgroup.join_paths()),
        procs: procs.map(Outside::Path),
        shown: shown.map(shown_cgroup).collect(),
    }
}

fn shown_cgroup(tree: ShownTree) -> ShownCgroup {
    ShownCgroup {
        name: tree.name,
        links: tree.links,
        read_only: tree.shared,
        directory: Outside::Path(tree.directory),
    }
}

fn log(of: &Ingredients<'_>) -> LogTarget {
    LogTarget {
        dir: of.layout.logs(of.run),
        bytes_max: of.parts.logs.bytes_max.0,
        files_max: of.parts.logs.files_max.into(),
    }
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
        capabilities: host.capabilities,
        devices_listed: of.parts.cgroups.capabilities().device_list,
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
