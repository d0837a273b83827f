//! What groups need: a lease keeps images from being removed until it is released.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use burstlet_failpoint::{Point, pass, reach};
use burstlet_model::{Digest, GroupUid, WallTime};

use super::image::Image;
use super::record::LeaseRecord;
use super::state::Lease;
use super::{ImageStore, StoreError};
use crate::content::io_error;

impl ImageStore {
    /// How many groups keep an image.
    #[must_use]
    pub fn users(&self, id: &Digest) -> u32 {
        let state = self.inner.state();
        let keeps = |lease: &&Lease| matches!(lease, Lease::Known(images) if images.contains(id));
        u32::try_from(state.leases.values().filter(keeps).count()).unwrap_or(u32::MAX)
    }

    /// Keeps `images` for the group `uid`, beside those that it has. The lease outlives this
    /// process. A power cut may lose it or leave it unreadable: whoever takes leases renews them
    /// when it starts. A lease that could not be read is replaced.
    ///
    /// # Errors
    /// One of the images is not here, or the record cannot be written.
    pub async fn lease(
        &self,
        uid: &GroupUid,
        images: &[Digest],
        now: WallTime,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        let _writer = inner.writer.lock().await;
        let wanted = {
            let mut state = inner.state();
            for image in images {
                state
                    .touch(image, now)
                    .ok_or_else(|| StoreError::NotFound(image.to_string()))?;
            }
            match state.leases.get(uid) {
                Some(Lease::Known(known)) if images.iter().all(|image| known.contains(image)) => {
                    return Ok(());
                }
                Some(Lease::Known(known)) => known.iter().chain(images).cloned().collect(),
                Some(Lease::Unknown) | None => images.iter().cloned().collect::<BTreeSet<_>>(),
            }
        };
        let record = LeaseRecord {
            images: wanted.iter().map(Digest::to_string).collect(),
        };
        let name = uid.clone();
        inner
            .blocking(move |inner| {
                pass(Point::ImageLeaseBegun)
                    .map_err(io_error("lease", Path::new(name.as_str())))?;
                inner.leases.save_soon(name.as_str(), &record)
            })
            .await?;
        reach(Point::ImageLeased);
        inner
            .state()
            .leases
            .insert(uid.clone(), Lease::Known(wanted));
        Ok(())
    }

    /// Gives up all that the group `uid` keeps. A group that keeps nothing is no error.
    ///
    /// # Errors
    /// The record cannot be removed.
    pub async fn release(&self, uid: &GroupUid, now: WallTime) -> Result<(), StoreError> {
        let inner = &self.inner;
        let _writer = inner.writer.lock().await;
        let name = uid.clone();
        inner
            .blocking(move |inner| {
                let lease = Path::new(name.as_str());
                pass(Point::ImageReleaseBegun).map_err(io_error("release", lease))?;
                inner.leases.remove(name.as_str())
            })
            .await?;
        reach(Point::ImageReleased);
        let used: Vec<Arc<Image>> = {
            let mut state = inner.state();
            match state.leases.remove(uid) {
                Some(Lease::Known(images)) => images
                    .iter()
                    .filter_map(|image| {
                        let image = state.touch(image, now)?;
                        state.use_is_due(&image.id, now).then_some(image)
                    })
                    .collect(),
                Some(Lease::Unknown) | None => Vec::new(),
            }
        };
        if used.is_empty() {
            return Ok(());
        }
        let save = move |inner: &super::Inner| {
            used.iter()
                .try_for_each(|image| inner.images.save(image.id.hex(), &image.to_record()))
        };
        inner.blocking(save).await
    }
}
