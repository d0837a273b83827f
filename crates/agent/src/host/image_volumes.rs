//! Images used as volumes. Which manifest a volume shows is settled when the group's sandbox is
//! first made, and kept in a file: a tag that moves later changes nothing for the group.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burstlet_image::snapshot::ImageTree;
use burstlet_image::store::{Image, ImageStore};
use burstlet_model::spec::{GroupSpec, VolumeSource};
use burstlet_model::{Digest, ErrorKind, ImageRef};
use burstlet_supervisor::host::HostError;

use super::Parts;
use super::failure::{MOUNT, fail};
use super::group::Group;
use super::layout::Layout;
use super::sandbox::disk;
use crate::records::replace_durably;

/// The store's image with this manifest.
pub(super) fn by_manifest(images: &ImageStore, manifest: &Digest) -> Option<Arc<Image>> {
    let mut all = images.list().into_iter();
    all.find(|image| image.manifest_digest == *manifest)
}

/// Settles what each image volume of the group shows, unless it is settled. The images are in the
/// store: the group's loop had them pulled. Blocks.
pub(super) fn settle(parts: &Parts, group: &Group, spec: &GroupSpec) -> Result<(), HostError> {
    for (index, volume) in spec.volumes.iter().enumerate() {
        let VolumeSource::Image { reference, .. } = &volume.source else {
            continue;
        };
        let path = group.layout.volume(index);
        if path.exists() {
            continue;
        }
        let manifest = manifest(parts, group, spec, reference)?;
        let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
        else {
            continue;
        };
        replace_durably(dir, name, manifest.to_string().as_bytes())
            .map_err(|error| disk(&path, &error))?;
    }
    Ok(())
}

/// What the pull for this group gave; what the store has under the name if an earlier agent pulled
/// it, and the group's namespace may have it; what counted as signed then may not count any more.
fn manifest(
    parts: &Parts,
    group: &Group,
    spec: &GroupSpec,
    reference: &ImageRef,
) -> Result<Digest, HostError> {
    if let Some(manifest) = group.pulled(reference) {
        return Ok(manifest);
    }
    let image = parts
        .images
        .get(&reference.to_string())
        .map_err(|error| fail(error.kind(), MOUNT, &error))?;
    let is_open = image.access.allows(&spec.name.namespace);
    if !is_open || !parts.images.is_signed(reference, &image) {
        let text = format!("image {reference} has to be pulled anew for this group");
        return Err(HostError::new(ErrorKind::Unavailable, MOUNT, text));
    }
    Ok(image.manifest_digest.clone())
}

/// The manifests that the group's image volumes were settled to show.
pub(super) fn settled(layout: &Layout, spec: &GroupSpec) -> Vec<Digest> {
    let volumes = spec.volumes.iter().enumerate();
    let images = volumes.filter(|(_, v)| matches!(v.source, VolumeSource::Image { .. }));
    images
        .filter_map(|(index, _)| read(layout, index).ok())
        .collect()
}

/// The layers that the image volume `index` shows, top first. Blocks.
pub(super) fn layers(
    images: &ImageStore,
    layout: &Layout,
    index: usize,
) -> Result<Vec<PathBuf>, HostError> {
    let manifest = read(layout, index)?;
    let image = by_manifest(images, &manifest).ok_or_else(|| {
        let text = format!("image {manifest} is not in the store any more");
        HostError::new(ErrorKind::NotFound, MOUNT, text)
    })?;
    let layers: Vec<PathBuf> = image
        .layers
        .iter()
        .map(|layer| layer.path.clone())
        .collect();
    let tree = ImageTree::open(&layers).map_err(|error| fail(error.kind(), MOUNT, &error))?;
    Ok(tree.layers().map(Path::to_owned).collect())
}

fn read(layout: &Layout, index: usize) -> Result<Digest, HostError> {
    let path = layout.volume(index);
    let text = fs::read_to_string(&path).map_err(|error| disk(&path, &error))?;
    text.trim().parse().map_err(|_| {
        let text = format!("{} does not hold a digest", path.display());
        HostError::new(ErrorKind::Internal, MOUNT, text)
    })
}
