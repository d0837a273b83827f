//! The images of this machine.
//!
//! ```text
//!           pull, import                lease                 release
//!  absent ───────────────► unused ───────────────► in use ─────────────► unused
//!                            │ remove, prune          │ remove, prune
//!                            ▼                        ▼
//!                          absent                  refused
//! ```
//!
//! Every image, layer and lease has a small record of its own, replaced as a whole. What a crash
//! leaves in between is found and cleaned by the next [`ImageStore::open`]: a record is written
//! after what it speaks of and removed before it.
//!
//! Who may use an image is remembered with it: one that took a tenant's credentials to pull is
//! another tenant's only after their own credentials opened it ([`Access`]). And a layer that is
//! here is used for an image of another registry only after that registry sent its bytes too:
//! naming a digest proves nothing.
//!
//! Where the operator wants images signed, one is used under such a name only with a signature that
//! counts, however it came here; what was found is kept with it.

mod error;
mod flight;
mod gc;
mod image;
mod import;
mod install;
mod layers;
mod lease;
mod open;
mod progress;
mod pull;
mod receive;
mod record;
mod signed;
mod source;
mod state;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burstlet_model::{Digest, GroupUid};
use tokio::sync::Semaphore;

use crate::content::ContentStore;
use crate::registry::{RegistryClient, RegistryError, RegistryHost};
use crate::unpack::Unpacker;
use crate::{Platform, SignaturePolicy};

pub use error::StoreError;
pub use gc::{Pruned, Removed};
pub use image::{Access, Image, LayerDir};
pub use import::ImportRequest;
pub use open::OpenReport;
pub use progress::{LayerProgress, LayerStep, PullProgress, PullStats};
pub use pull::{PullPolicy, PullRequest, Pulled};
pub use record::StoreEvent;
pub use state::PrunePolicy;

use flight::Flights;
use layers::LayerStore;
use pull::PullFlights;
use receive::LayerFlights;
use record::Records;
use state::State;

/// Layers that are received at once, over all pulls.
const DOWNLOADS_MAX: usize = 8;

/// What the store needs.
pub struct StoreConfig {
    /// Its directory; `content`, `layers`, `images`, `leases` and `corrupt` are made in it.
    pub dir: PathBuf,
    /// Where images come from.
    pub registries: RegistryClient,
    /// What unpacks them.
    pub unpacker: Unpacker,
    /// What this machine runs.
    pub platform: Platform,
    /// Whose signatures images need.
    pub signatures: SignaturePolicy,
}

/// The images of this machine. Cheap to clone.
#[derive(Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

struct Inner {
    content: ContentStore,
    layers: LayerStore,
    images: Records,
    leases: Records,
    registries: RegistryClient,
    unpacker: Unpacker,
    platform: Platform,
    signatures: SignaturePolicy,
    state: Mutex<State>,
    /// Held by whoever changes records, so that disk and memory change in one order.
    writer: tokio::sync::Mutex<()>,
    pulls: PullFlights,
    layer_flights: LayerFlights,
    downloads: Semaphore,
    unpackings: Semaphore,
    /// Held while layers are synced: one at a time is enough.
    syncing: tokio::sync::Mutex<()>,
}

impl ImageStore {
    /// All images, by id.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Image>> {
        self.inner.state().images.values().cloned().collect()
    }

    /// The image that a reference, an id or the beginning of one names.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn get(&self, name: &str) -> Result<Arc<Image>, StoreError> {
        self.inner.state().find(name)
    }

    /// Whether a registry answers.
    ///
    /// # Errors
    /// Neither it nor a mirror does.
    pub async fn reach(&self, registry: &RegistryHost) -> Result<(), RegistryError> {
        self.inner.registries.reach(registry).await
    }

    /// What the unpacked layers take on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.inner.state().disk_bytes()
    }

    /// The groups whose leases cannot be read. Until each is renewed or released, nothing is
    /// removed.
    #[must_use]
    pub fn unknown_leases(&self) -> Vec<GroupUid> {
        self.inner.state().unknown_leases()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what blocks on the disk.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| Err(StoreError::Aborted(error.to_string())))
    }
}

/// Keeps images and layers from being removed while work relies on them.
struct Pin {
    inner: Arc<Inner>,
    pinned: Vec<Digest>,
}

impl Pin {
    fn new(inner: &Arc<Inner>, pinned: Vec<Digest>) -> Self {
        let mut state = inner.state();
        pinned.iter().for_each(|digest| state.pin(digest));
        drop(state);
        Self {
            inner: inner.clone(),
            pinned,
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        self.pinned.iter().for_each(|digest| state.unpin(digest));
    }
}
