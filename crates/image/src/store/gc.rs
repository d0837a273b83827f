//! Removal, by name or by policy.

use std::path::Path;
use std::sync::Arc;

use burstlet_failpoint::{Point, pass};
use burstlet_model::{Digest, ImageRef, WallTime};

use super::image::Image;
use super::state::PrunePolicy;
use super::{ImageStore, Inner, StoreError};
use crate::content::io_error;

/// What a removal did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names that were taken away.
    pub untagged: Vec<ImageRef>,
    /// The image, if its last name was taken away or it was named by id.
    pub deleted: Option<Digest>,
    /// What that gave back on disk.
    pub disk_bytes: u64,
}

/// What a pruning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images that are gone.
    pub images: Vec<Digest>,
    /// What that gave back on disk.
    pub disk_bytes: u64,
}

impl ImageStore {
    /// Removes a name; with its last name, or when it is named by id, the image itself.
    ///
    /// # Errors
    /// There is no such image, it is in use, or its record cannot be removed.
    pub async fn remove(&self, name: &str) -> Result<Removed, StoreError> {
        let inner = &self.inner;
        let writer = inner.writer.lock().await;
        let image = inner.state().find(name)?;
        let reference = name
            .parse()
            .ok()
            .filter(|name| image.references.contains_key(name));
        if let Some(reference) = reference.filter(|_| image.references.len() > 1) {
            return inner.untag(&image, reference).await;
        }
        inner.state().may_remove(&image.id)?;
        let disk_bytes = inner.delete(&image).await?;
        drop(writer);
        inner.clean_in_background();
        Ok(Removed {
            untagged: image.references.keys().cloned().collect(),
            deleted: Some(image.id.clone()),
            disk_bytes,
        })
    }

    /// Removes what `policy` says, the longest unused first. What a group or a pull needs stays.
    ///
    /// # Errors
    /// A record cannot be removed.
    pub async fn prune(&self, policy: PrunePolicy, now: WallTime) -> Result<Pruned, StoreError> {
        let inner = &self.inner;
        let mut pruned = Pruned::default();
        loop {
            let _writer = inner.writer.lock().await;
            let next = {
                let state = inner.state();
                state
                    .next_to_prune(policy, now)
                    .and_then(|id| state.images.get(&id).cloned())
            };
            let Some(image) = next else { break };
            pruned.disk_bytes += inner.delete(&image).await?;
            pruned.images.push(image.id.clone());
        }
        pruned.disk_bytes += inner.delete_unused_layers().await?;
        inner.clean_in_background();
        Ok(pruned)
    }
}

impl Inner {
    async fn untag(
        self: &Arc<Self>,
        image: &Arc<Image>,
        reference: ImageRef,
    ) -> Result<Removed, StoreError> {
        let mut left = Image::clone(image);
        left.references.remove(&reference);
        self.keep(vec![Arc::new(left)]).await?;
        Ok(Removed {
            untagged: vec![reference],
            ..Removed::default()
        })
    }

    /// Saves images and then knows them. The caller holds the writer's lock.
    pub(super) async fn keep(self: &Arc<Self>, images: Vec<Arc<Image>>) -> Result<(), StoreError> {
        let saved = images.clone();
        let save = move |inner: &Self| {
            saved
                .iter()
                .try_for_each(|image| inner.images.save(image.id.hex(), &image.to_record()))
        };
        self.blocking(save).await?;
        self.state().put(images);
        Ok(())
    }

    /// Removes an image and what only it has. The caller holds the writer's lock.
    async fn delete(self: &Arc<Self>, image: &Arc<Image>) -> Result<u64, StoreError> {
        let (before, unused) = {
            let mut state = self.state();
            // Someone may have begun to rely on it since it was chosen.
            state.may_remove(&image.id)?;
            (state.disk_bytes(), state.forget(&image.id))
        };
        let after = self.state().disk_bytes();
        let image = image.clone();
        let removal = move |inner: &Self| {
            inner.images.remove(image.id.hex())?;
            let place = Path::new(image.id.hex());
            pass(Point::ImageForgotten).map_err(io_error("remove", place))?;
            unused
                .iter()
                .try_for_each(|layer| inner.layers.discard(layer))?;
            pass(Point::LayersDiscarded).map_err(io_error("remove", place))?;
            inner.content.remove(&image.id)?;
            Ok(inner.content.remove(&image.manifest_digest)?)
        };
        self.blocking(removal).await?;
        Ok(before.saturating_sub(after))
    }

    /// Removes layers that pulls left when they failed.
    async fn delete_unused_layers(self: &Arc<Self>) -> Result<u64, StoreError> {
        let _writer = self.writer.lock().await;
        let (before, unused) = {
            let mut state = self.state();
            (state.disk_bytes(), state.forget_unused_layers())
        };
        let after = self.state().disk_bytes();
        let removal = move |inner: &Self| {
            unused
                .iter()
                .try_for_each(|layer| inner.layers.discard(layer))
        };
        self.blocking(removal).await?;
        Ok(before.saturating_sub(after))
    }
}
