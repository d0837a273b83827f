//! How much of the node's disk a group uses, and whether that is more than it may: the size limits
//! of its `emptyDir` volumes and its limits of `ephemeral-storage`, which count writable layers,
//! logs and `emptyDir` volumes on disk. Measuring takes time, so a group can go over for as long
//! as it takes until the next look; then it is evicted, as a kubelet does it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use burstlet_image::measure_tree;
use burstlet_model::spec::{ContainerKind, GroupSpec, Medium, VolumeSource};
use burstlet_model::{Bytes, ContainerName, GroupUid};
use burstlet_supervisor::host::HostEvent;

use super::layout::Layout;
use super::{Parts, RealHost};

/// Names that one look at one tree takes in. A larger tree uses at least what was counted.
const ENTRIES_MAX: u64 = 500_000;

/// What a group has to end in that uses more of the disk than it may, as under a kubelet.
const EVICTION_GRACE: Duration = Duration::from_secs(1);

/// What a group uses of the node's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Usage {
    /// Each `emptyDir` on disk that was measured, by its position in the specification.
    volumes: Vec<(usize, u64)>,
    /// Writable layers and logs of each container.
    containers: Vec<(ContainerName, u64)>,
}

impl RealHost {
    /// Looks at every group that has a limit, and evicts those that use more.
    pub(crate) async fn enforce_storage(&self) {
        for uid in self.limited() {
            let group = self.group(&uid);
            let Some(standing) = group.standing() else {
                continue;
            };
            let (of, spec) = (group.clone(), standing.spec.clone());
            let look = move |_: &Parts| Ok(measure(&of.layout, &spec));
            let usage = match self.blocking(look).await {
                Ok(Ok(usage)) => usage,
                Ok(Err(error)) => {
                    tracing::debug!(group = %uid, %error, "cannot measure what the group uses");
                    continue;
                }
                Err(error) => {
                    tracing::warn!(group = %uid, %error, "cannot measure what the group uses");
                    continue;
                }
            };
            if let Some(message) = excess(&standing.spec, &usage)
                && let Some(listener) = group.listener()
            {
                tracing::info!(group = %uid, message, "evicting");
                // A loop that does not take it now is told again after the next look.
                let grace = EVICTION_GRACE;
                let _ = listener.try_send(Box::new(HostEvent::Evicted { message, grace }));
            }
        }
    }

    /// The groups that run and have a limit.
    fn limited(&self) -> Vec<GroupUid> {
        let standing = self.standing().into_iter();
        standing
            .filter(|(_, spec)| has_volume_limits(spec) || has_storage_limits(spec))
            .map(|(uid, _)| uid)
            .collect()
    }
}

fn has_volume_limits(spec: &GroupSpec) -> bool {
    (0..spec.volumes.len()).any(|index| volume_limit(spec, index).is_some())
}

fn has_storage_limits(spec: &GroupSpec) -> bool {
    let mut all = spec.all_containers();
    group_limit(spec).is_some()
        || all.any(|(_, container)| container.resources.limits.ephemeral_storage.is_some())
}

/// The size limit of a volume on disk.
fn volume_limit(spec: &GroupSpec, index: usize) -> Option<Bytes> {
    match spec.volumes.get(index)?.source {
        VolumeSource::EmptyDir {
            medium: Medium::Disk,
            size_limit,
        } => size_limit,
        _ => None,
    }
}

/// What the whole group may use: its own limit, else what its containers may use together.
fn group_limit(spec: &GroupSpec) -> Option<Bytes> {
    let own = spec.resources.map(|resources| resources.limits);
    if let Some(limit) = own.and_then(|limits| limits.ephemeral_storage) {
        return Some(limit);
    }
    let all = spec.all_containers();
    let lasting = all.filter(|(kind, _)| *kind != ContainerKind::Init);
    lasting
        .filter_map(|(_, container)| container.resources.limits.ephemeral_storage)
        .reduce(|sum, limit| Bytes(sum.0.saturating_add(limit.0)))
}

/// What the group uses too much of, if it does.
fn excess(spec: &GroupSpec, usage: &Usage) -> Option<String> {
    for (index, used) in &usage.volumes {
        let limit = volume_limit(spec, *index).filter(|limit| *used > limit.0);
        if let (Some(limit), Some(volume)) = (limit, spec.volumes.get(*index)) {
            let name = &volume.name;
            return Some(format!(
                "Usage of EmptyDir volume \"{name}\" exceeds the limit \"{limit}\"."
            ));
        }
    }
    for (_, container) in spec.all_containers() {
        let name = &container.name;
        let measured = usage.containers.iter().find(|(known, _)| known == name);
        let used = measured.map_or(0, |(_, used)| *used);
        if let Some(limit) = container.resources.limits.ephemeral_storage
            && used > limit.0
        {
            return Some(format!(
                "Container {name} exceeded its local ephemeral storage limit \"{limit}\"."
            ));
        }
    }
    let limit = group_limit(spec)?;
    let volumes = usage.volumes.iter().map(|(_, used)| *used);
    let containers = usage.containers.iter().map(|(_, used)| *used);
    let total = volumes.chain(containers).fold(0, u64::saturating_add);
    (total > limit.0).then(|| {
        format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}.")
    })
}

/// Measures what the limits of the group speak of. Blocks.
fn measure(layout: &Layout, spec: &GroupSpec) -> io::Result<Usage> {
    let whole = has_storage_limits(spec);
    let mut usage = Usage::default();
    for (index, volume) in spec.volumes.iter().enumerate() {
        let on_disk = matches!(
            volume.source,
            VolumeSource::EmptyDir {
                medium: Medium::Disk,
                ..
            }
        );
        if on_disk && (whole || volume_limit(spec, index).is_some()) {
            usage.volumes.push((index, size(&layout.volume(index))?));
        }
    }
    if whole {
        for (_, container) in spec.all_containers() {
            let mut used = size(&layout.logs_all(&container.name))?;
            for root in roots(layout, &container.name) {
                used = used.saturating_add(size(&root)?);
            }
            usage.containers.push((container.name.clone(), used));
        }
    }
    Ok(usage)
}

fn size(path: &Path) -> io::Result<u64> {
    measure_tree(path, ENTRIES_MAX).map(|size| size.bytes)
}

/// The root file systems of a container's runs.
pub(super) fn roots(layout: &Layout, container: &ContainerName) -> Vec<PathBuf> {
    let of = |name: &str| {
        name.rsplit_once('.')
            .is_some_and(|(name, _)| name == container.as_str())
    };
    let entries = fs::read_dir(layout.rootfs_all());
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(of))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests;
