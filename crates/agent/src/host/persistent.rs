//! Volumes that outlive their group: paths of the host below those that the operator gives to clusters.
//! What is on them has the ids that it has inside, whatever range of the host's the group has: the next
//! pod of the claim has another.

use std::path::Path;

use burstlet_model::ErrorKind;
use burstlet_model::spec::{FsGroupChangePolicy, GroupSpec, HostPathType, VolumeSource};
use burstlet_supervisor::host::HostError;

use super::Parts;
use super::failure::MOUNT;
use super::fs_group;
use super::host_path::{self, Found};

/// The path, checked. Blocks.
pub(super) fn find(parts: &Parts, path: &str, kind: HostPathType) -> Result<Found, HostError> {
    let allowed = parts.facts.volume_paths.iter().map(|path| &**path);
    Ok(host_path::find(Path::new(path), kind, allowed)?)
}

/// Gives the volumes that follow the group's `fsGroup` to it, before anything of the group runs.
/// Blocks, the longer the more is on them.
pub(super) fn give(parts: &Parts, spec: &GroupSpec) -> Result<(), HostError> {
    let Some(gid) = spec.security.fs_group else {
        return Ok(());
    };
    let always = spec.security.fs_group_change_policy == FsGroupChangePolicy::Always;
    for volume in &spec.volumes {
        let VolumeSource::Persistent {
            path,
            kind,
            read_only: false,
            follows_fs_group: true,
            ..
        } = &volume.source
        else {
            continue;
        };
        let found = find(parts, path, *kind)?;
        fs_group::give(&found.path(), gid, always).map_err(|error| {
            let text = format!("give the volume {:?} to the fsGroup: {error}", volume.name);
            HostError::new(ErrorKind::Internal, MOUNT, text)
        })?;
    }
    Ok(())
}
