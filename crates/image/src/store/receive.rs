//! One layer: from its source into its directory.

use std::sync::Arc;

use burstlet_failpoint::{Point, reach};
use burstlet_model::Digest;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::flight::Flights;
use super::progress::{LayerProgress, LayerStep};
use super::record::LayerRecord;
use super::source::Source;
use super::{ImageStore, Inner, PullProgress, StoreError};
use crate::Layer;
use crate::content;
use crate::unpack::LayerBlob;

/// What must be the same for two to share the work on a layer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct LayerKey {
    blob: Digest,
    diff_id: Digest,
    origin: String,
}

/// What one layer took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    pub(super) received_bytes: u64,
    /// When its last byte came; none if it was there before.
    pub(super) received_at: Option<Instant>,
}

pub(super) type LayerFlights = Flights<LayerKey, Result<Received, StoreError>, LayerProgress>;

/// The work on one layer.
#[derive(Clone)]
pub(super) struct ReceiveLayer {
    pub(super) inner: Arc<Inner>,
    pub(super) source: Arc<Source>,
    pub(super) layer: Layer,
    pub(super) diff_id: Digest,
}

impl ReceiveLayer {
    /// What is shown before the work begins.
    pub(super) fn progress(&self) -> LayerProgress {
        LayerProgress {
            blob: Some(self.layer.blob.digest.clone()),
            total_bytes: self.layer.blob.size,
            ..LayerProgress::default()
        }
    }

    /// Does the work, or waits for whoever does it already; shown as layer `at` of the pull.
    pub(super) async fn join(
        self,
        at: usize,
        shown: &watch::Sender<PullProgress>,
    ) -> Result<Received, StoreError> {
        let key = LayerKey {
            blob: self.layer.blob.digest.clone(),
            diff_id: self.diff_id.clone(),
            origin: self.source.origin(),
        };
        let (inner, blob) = (self.inner.clone(), key.blob.to_string());
        let flight = inner
            .layer_flights
            .join(key, move |progress| self.run(progress));
        let mut progress = flight.progress();
        let show = |layer: LayerProgress| {
            shown.send_modify(|pull| {
                if let Some(slot) = pull.layers.get_mut(at).filter(|_| layer.blob.is_some()) {
                    *slot = layer;
                }
            });
        };
        loop {
            tokio::select! {
                landed = flight.landed() => {
                    show(progress.borrow().clone());
                    return landed.ok_or(StoreError::Aborted(blob))?;
                }
                Ok(()) = progress.changed() => show(progress.borrow_and_update().clone()),
            }
        }
    }

    async fn run(self, progress: watch::Sender<LayerProgress>) -> Result<Received, StoreError> {
        progress.send_replace(self.progress());
        if self.is_present().await? {
            progress.send_modify(|progress| {
                progress.step = LayerStep::Present;
                progress.received_bytes = progress.total_bytes;
            });
            return Ok(Received::default());
        }
        let (blob, received) = self.receive(&progress).await?;
        progress.send_modify(|progress| progress.step = LayerStep::Unpacking);
        self.unpack(blob).await?;
        progress.send_modify(|progress| progress.step = LayerStep::Done);
        Ok(received)
    }

    /// Whether the layer is here, made of these very bytes, and the source has them, too. A layer
    /// that is here for somebody else says nothing to who cannot have it anyway.
    async fn is_present(&self) -> Result<bool, StoreError> {
        let blob = &self.layer.blob.digest;
        let known = self.known();
        let Some(known) = known.filter(|known| known.blobs.contains(blob.as_str())) else {
            return Ok(false);
        };
        if self.source.is_among(&known.origins) {
            return Ok(true);
        }
        if !self.source.shows(blob, &known.origins).await {
            return Ok(false);
        }
        self.note_origin().await
    }

    /// Writes down that the source has the layer, too. Gives `false` if the layer went meanwhile.
    async fn note_origin(&self) -> Result<bool, StoreError> {
        let _writer = self.inner.writer.lock().await;
        let Some(mut record) = self.known() else {
            return Ok(false);
        };
        record.origins.insert(self.source.origin());
        let diff_id = self.diff_id.clone();
        let save = move |inner: &Inner| {
            inner.layers.save(&diff_id, &record)?;
            inner.state().layers.insert(diff_id, record);
            Ok(true)
        };
        self.inner.blocking(save).await
    }

    async fn receive(
        &self,
        progress: &watch::Sender<LayerProgress>,
    ) -> Result<(content::Received, Received), StoreError> {
        let aborted = |_| StoreError::Aborted(self.layer.blob.digest.to_string());
        let _permit = self.inner.downloads.acquire().await.map_err(aborted)?;
        progress.send_modify(|progress| progress.step = LayerStep::Receiving);
        let report = |received| progress.send_modify(|shown| shown.received_bytes = received);
        let blob = self
            .source
            .layer_blob(&self.inner, &self.layer.blob, &report)
            .await?;
        let received_bytes = self.layer.blob.size;
        Ok((
            blob,
            Received {
                received_bytes,
                received_at: Some(Instant::now()),
            },
        ))
    }

    /// Unpacks, and with it verifies that the bytes are the layer that the configuration names.
    async fn unpack(&self, blob: content::Received) -> Result<(), StoreError> {
        let aborted = |_| StoreError::Aborted(self.layer.blob.digest.to_string());
        let _permit = self.inner.unpackings.acquire().await.map_err(aborted)?;
        let stage = self.inner.blocking(|inner| inner.layers.stage()).await?;
        let layer = LayerBlob {
            file: blob.file()?,
            packing: self.layer.packing,
            diff_id: self.diff_id.clone(),
        };
        let unpacked = self.inner.unpacker.unpack(layer, &stage.path()).await;
        let unpacked = unpacked.map_err(|source| StoreError::Unpack {
            blob: self.layer.blob.digest.clone(),
            source: Arc::new(source),
        })?;
        let _writer = self.inner.writer.lock().await;
        let mut record = self.known().unwrap_or_else(|| LayerRecord {
            diff_id: self.diff_id.to_string(),
            disk_bytes: unpacked.disk_bytes,
            ..LayerRecord::default()
        });
        record.blobs.insert(self.layer.blob.digest.to_string());
        record.origins.insert(self.source.origin());
        let diff_id = self.diff_id.clone();
        let commit = move |inner: &Inner| {
            inner.layers.commit(&diff_id, stage, &mut record)?;
            reach(Point::LayerRecorded);
            inner.state().layers.insert(diff_id, record);
            Ok(blob.remove()?)
        };
        self.inner.blocking(commit).await
    }

    fn known(&self) -> Option<LayerRecord> {
        self.inner.state().layers.get(&self.diff_id).cloned()
    }
}

impl ImageStore {
    /// Waits until all that was pulled survives a power cut. Pulls do this in the background;
    /// whoever ends the process cleanly asks for it once more.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn sync(&self) -> Result<(), StoreError> {
        self.inner.sync_layers().await
    }
}

impl Inner {
    /// Makes what was unpacked survive a power cut, without anybody waiting for it.
    pub(super) fn sync_in_background(self: &Arc<Self>) {
        let inner = self.clone();
        tokio::spawn(async move {
            if let Err(error) = inner.sync_layers().await {
                warn!(%error, "sync the unpacked layers");
            }
        });
    }

    /// Syncs the layers that are not yet, and writes down that they are.
    pub(super) async fn sync_layers(self: &Arc<Self>) -> Result<(), StoreError> {
        let _syncing = self.syncing.lock().await;
        let unsynced: Vec<Digest> = {
            let state = self.state();
            let layers = state.layers.iter();
            let unsynced = layers.filter(|(_, layer)| layer.unsynced_boot.is_some());
            unsynced.map(|(diff_id, _)| diff_id.clone()).collect()
        };
        if unsynced.is_empty() {
            return Ok(());
        }
        self.blocking(|inner| inner.layers.sync()).await?;
        let _writer = self.writer.lock().await;
        self.blocking(move |inner| {
            for diff_id in unsynced {
                let Some(mut record) = inner.state().layers.get(&diff_id).cloned() else {
                    continue;
                };
                record.unsynced_boot = None;
                inner.layers.save(&diff_id, &record)?;
                inner.state().layers.insert(diff_id, record);
            }
            Ok(())
        })
        .await
    }
}
