//! From what is on disk to a store that can be used.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use burstlet_model::{Digest, GroupUid, WallTime};
use tokio::sync::Semaphore;
use tracing::warn;

use super::image::{Image, parse_all};
use super::record::{ImageRecord, LeaseRecord};
use super::state::{Lease, State};
use super::{
    DOWNLOADS_MAX, Flights, ImageStore, Inner, LayerStore, Records, StoreConfig, StoreError,
    StoreEvent,
};
use crate::ImageConfig;
use crate::content::ContentStore;
use crate::document::DOCUMENT_BYTES_MAX;

/// What was found when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// What was wrong.
    pub events: Vec<StoreEvent>,
}

impl ImageStore {
    /// Opens the store, and cleans what a crash left in it.
    ///
    /// # Errors
    /// The directory cannot be used, or a newer program wrote it.
    pub async fn open(
        config: StoreConfig,
        now: WallTime,
    ) -> Result<(Self, OpenReport), StoreError> {
        let opened = tokio::task::spawn_blocking(move || Inner::open(config, now)).await;
        let (inner, report) =
            opened.unwrap_or_else(|error| Err(StoreError::Aborted(error.to_string())))?;
        let store = Self {
            inner: Arc::new(inner),
        };
        store.inner.clean_in_background();
        Ok((store, report))
    }
}

impl Inner {
    fn open(config: StoreConfig, now: WallTime) -> Result<(Self, OpenReport), StoreError> {
        let StoreConfig {
            dir,
            registries,
            unpacker,
            platform,
            signatures,
        } = config;
        let (aside, mut events) = (dir.join("corrupt"), Vec::new());
        let content = ContentStore::open(&dir.join("content"), system_time(now))?;
        let (layers, known) = LayerStore::open(&dir.join("layers"), &aside, &mut events)?;
        let images = Records::open(dir.join("images"), aside.clone())?;
        let leases = Records::open(dir.join("leases"), aside)?;
        let mut state = State {
            layers: known,
            ..State::default()
        };
        for (name, record) in images.load::<ImageRecord>(&mut events)? {
            let Some(record) = record else { continue };
            match load_image(record, &content, &layers, &state) {
                Ok(image) => add_image(&mut state, image),
                Err(problem) => events.push(images.set_aside(&name, problem)?),
            }
        }
        for (name, record) in leases.load::<LeaseRecord>(&mut events)? {
            add_lease(&mut state, &name, record);
        }
        let unpackings = std::thread::available_parallelism()
            .map_or(2, usize::from)
            .max(2);
        let inner = Self {
            content,
            layers,
            images,
            leases,
            registries,
            unpacker,
            platform,
            signatures,
            state: Mutex::new(state),
            writer: tokio::sync::Mutex::default(),
            pulls: Flights::default(),
            layer_flights: Flights::default(),
            downloads: Semaphore::new(DOWNLOADS_MAX),
            unpackings: Semaphore::new(unpackings),
            syncing: tokio::sync::Mutex::default(),
        };
        inner.remove_unreferenced()?;
        Ok((inner, OpenReport { events }))
    }

    /// Removes documents and layers that no image has. Nobody pulls yet.
    fn remove_unreferenced(&self) -> Result<(), StoreError> {
        let unused = self.state().forget_unused_layers();
        unused
            .iter()
            .try_for_each(|layer| self.layers.discard(layer))?;
        let documents: BTreeSet<Digest> = {
            let state = self.state();
            let of = |image: &Arc<Image>| [image.id.clone(), image.manifest_digest.clone()];
            state.images.values().flat_map(of).collect()
        };
        for digest in self.content.list()? {
            if !documents.contains(&digest) {
                self.content.remove(&digest)?;
            }
        }
        Ok(())
    }

    /// Empties the trash and syncs what an earlier run did not.
    pub(super) fn clean_in_background(self: &Arc<Self>) {
        let inner = self.clone();
        tokio::spawn(async move {
            let emptied = inner.blocking(|inner| inner.layers.empty_trash()).await;
            if let Err(error) = emptied.and(inner.sync_layers().await) {
                warn!(%error, "clean the image store");
            }
        });
    }
}

fn load_image(
    record: ImageRecord,
    content: &ContentStore,
    layers: &LayerStore,
    state: &State,
) -> Result<Image, String> {
    let id: Digest = super::image::parse(&record.id)?;
    let bytes = content
        .read(&id, DOCUMENT_BYTES_MAX)
        .map_err(|error| error.to_string())?;
    let config = ImageConfig::parse(&bytes, record.layers).map_err(|error| error.to_string())?;
    let image = Image::from_record(record, config, |diff_id| layers.path(diff_id))?;
    let missing = image
        .layers
        .iter()
        .find(|layer| !state.layers.contains_key(&layer.diff_id));
    match missing {
        Some(layer) => Err(format!("its layer {} is missing", layer.diff_id)),
        None => Ok(image),
    }
}

/// Adds an image; of two that have one name, a crash came between, and the later has it.
fn add_image(state: &mut State, mut image: Image) {
    for known in state.images.values_mut() {
        let theirs = known.references.clone();
        image
            .references
            .retain(|name, since| theirs.get(name).is_none_or(|at| at <= since));
        if theirs
            .keys()
            .any(|name| image.references.contains_key(name))
        {
            Arc::make_mut(known)
                .references
                .retain(|name, _| !image.references.contains_key(name));
        }
    }
    state.put([Arc::new(image)]);
}

/// Adds a lease. One that cannot be read keeps everything.
fn add_lease(state: &mut State, name: &str, record: Option<LeaseRecord>) {
    let Ok(uid) = GroupUid::new(name) else { return };
    let images = record.and_then(|record| parse_all(&record.images).ok());
    state
        .leases
        .insert(uid, images.map_or(Lease::Unknown, Lease::Known));
}

fn system_time(now: WallTime) -> SystemTime {
    let since = Duration::from_nanos(u64::try_from(now.0).unwrap_or(0));
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
