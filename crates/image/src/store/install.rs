//! From a resolved manifest to an image in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burstlet_failpoint::{Point, reach};
use burstlet_model::{ImageRef, WallTime};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::image::{Image, LayerDir};
use super::receive::{ReceiveLayer, Received};
use super::source::Source;
use super::{Inner, Pin, PullProgress, PullStats, Pulled, StoreError};
use crate::ImageConfig;
use crate::registry::Resolved;
use crate::signature::Signed;

/// Layers of one image that are worked on at once.
const LAYERS_AT_ONCE_MAX: usize = 4;

/// An image that is in the store, and stays there while this is held.
#[derive(Clone)]
pub(super) struct Landed {
    pub(super) pulled: Pulled,
    pub(super) pin: Arc<Pin>,
}

impl Landed {
    /// An image that was there before.
    pub(super) fn present(image: Arc<Image>, pin: Pin) -> Self {
        let layers = image.layers.len();
        let stats = PullStats {
            layers,
            layers_present: layers,
            ..PullStats::default()
        };
        Self {
            pulled: Pulled { image, stats },
            pin: Arc::new(pin),
        }
    }
}

/// The way of one image into the store.
pub(super) struct Install {
    pub(super) inner: Arc<Inner>,
    pub(super) source: Arc<Source>,
    /// What it will be called.
    pub(super) references: Vec<ImageRef>,
    pub(super) now: WallTime,
    pub(super) begun: Instant,
}

impl Install {
    /// Brings the image into the store.
    pub(super) async fn run(
        self,
        progress: watch::Sender<PullProgress>,
    ) -> Result<Landed, StoreError> {
        let resolved = self.source.resolve(&self.inner).await?;
        let signed = self.source.signature(&self.inner, &resolved).await?;
        if let Some(landed) = self.known(&resolved, signed.as_ref()).await? {
            return Ok(landed);
        }
        let config_bytes = self.source.small_blob(&resolved.manifest.config).await?;
        let config = self.parse_config(&resolved, &config_bytes)?;
        let id = resolved.manifest.config.digest.clone();
        let pinned = config.diff_ids.iter().chain([&id]).cloned().collect();
        let pin = Arc::new(Pin::new(&self.inner, pinned));
        let resolving = self.begun.elapsed();
        let received = self.receive_layers(&resolved, &config, progress).await?;
        let stats = stats_of(&received, self.begun).with_resolving(resolving);
        self.keep_documents(&resolved, config_bytes).await?;
        reach(Point::DocumentsKept);
        let image = self.image(&resolved, config, signed.as_ref());
        let image = self.inner.add(image).await?;
        self.inner.sync_in_background();
        Ok(Landed {
            pulled: Pulled { image, stats },
            pin,
        })
    }

    /// The image, if it is here and the same source sent all of it before.
    async fn known(
        &self,
        resolved: &Resolved,
        signed: Option<&Signed>,
    ) -> Result<Option<Landed>, StoreError> {
        let id = &resolved.manifest.config.digest;
        let (pin, image) = {
            let mut state = self.inner.state();
            let Some(image) = state.images.get(id).cloned() else {
                return Ok(None);
            };
            if !image.came_from(&self.source.origin()) || !image.chain.contains(&resolved.digest) {
                return Ok(None);
            }
            state.pin(id);
            (
                Pin {
                    inner: self.inner.clone(),
                    pinned: vec![id.clone()],
                },
                image,
            )
        };
        let image = self.image(resolved, image.config.clone(), signed);
        let image = self.inner.add(image).await?;
        Ok(Some(Landed::present(image, pin)))
    }

    fn parse_config(&self, resolved: &Resolved, bytes: &[u8]) -> Result<ImageConfig, StoreError> {
        let refused = |source| StoreError::Config {
            id: resolved.manifest.config.digest.clone(),
            source,
        };
        let config = ImageConfig::parse(bytes, resolved.manifest.layers.len()).map_err(refused)?;
        config
            .check_platform(&self.inner.platform)
            .map_err(refused)?;
        Ok(config)
    }

    async fn receive_layers(
        &self,
        resolved: &Resolved,
        config: &ImageConfig,
        progress: watch::Sender<PullProgress>,
    ) -> Result<Vec<Received>, StoreError> {
        let layers = resolved.manifest.layers.iter().zip(&config.diff_ids);
        let wanted = layers.map(|(layer, diff_id)| ReceiveLayer {
            inner: self.inner.clone(),
            source: self.source.clone(),
            layer: layer.clone(),
            diff_id: diff_id.clone(),
        });
        let wanted: Vec<_> = wanted.collect();
        progress.send_modify(|progress| {
            progress.layers = wanted.iter().map(ReceiveLayer::progress).collect();
        });
        let progress = &progress;
        let work = wanted
            .into_iter()
            .enumerate()
            .map(|(at, layer)| layer.join(at, progress));
        stream::iter(work)
            .buffered(LAYERS_AT_ONCE_MAX)
            .try_collect()
            .await
    }

    async fn keep_documents(&self, resolved: &Resolved, config: Vec<u8>) -> Result<(), StoreError> {
        let documents = [
            (resolved.digest.clone(), resolved.bytes.clone()),
            (resolved.manifest.config.digest.clone(), config),
        ];
        let keep = move |inner: &Inner| {
            let mut documents = documents.iter();
            Ok(documents.try_for_each(|(digest, bytes)| inner.content.put(digest, bytes))?)
        };
        self.inner.blocking(keep).await
    }

    fn image(&self, resolved: &Resolved, config: ImageConfig, signed: Option<&Signed>) -> Image {
        let layers = resolved.manifest.layers.iter();
        let packed: u64 = layers.map(|layer| layer.blob.size).sum();
        let dirs = config.diff_ids.iter().map(|diff_id| LayerDir {
            diff_id: diff_id.clone(),
            path: self.inner.layers.path(diff_id),
        });
        let names = self.references.iter().map(|name| (name.clone(), self.now));
        Image {
            id: resolved.manifest.config.digest.clone(),
            manifest_digest: resolved.digest.clone(),
            chain: resolved.chain.iter().cloned().collect(),
            references: names.collect::<BTreeMap<_, _>>(),
            layers: dirs.collect(),
            size_bytes: packed + resolved.manifest.config.size + resolved.bytes.len() as u64,
            pulled_at: self.now,
            used_at: self.now,
            access: self.source.access(),
            origins: BTreeSet::from([self.source.origin()]),
            signed: signed.cloned().into_iter().collect(),
            config,
        }
    }
}

impl Inner {
    /// Keeps an image, with what is known of it already.
    async fn add(self: &Arc<Self>, mut new: Image) -> Result<Arc<Image>, StoreError> {
        let _writer = self.writer.lock().await;
        let (image, changed) = {
            let state = self.state();
            if let Some(known) = state.images.get(&new.id) {
                new.merge(known);
            }
            let image = Arc::new(new);
            let changed = state.changed_by(&image);
            (image, changed)
        };
        self.keep(changed).await?;
        reach(Point::ImageRecorded);
        Ok(image)
    }
}

fn stats_of(received: &[Received], begun: Instant) -> PullStats {
    let last_byte = received.iter().filter_map(|layer| layer.received_at).max();
    let present = received
        .iter()
        .filter(|layer| layer.received_at.is_none())
        .count();
    PullStats {
        received_bytes: received.iter().map(|layer| layer.received_bytes).sum(),
        layers: received.len(),
        layers_present: present,
        receiving: last_byte.unwrap_or(begun).duration_since(begun),
        unpacking: last_byte.map(|at| at.elapsed()).unwrap_or_default(),
        ..PullStats::default()
    }
}
