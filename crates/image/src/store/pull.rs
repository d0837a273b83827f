//! Pulling an image: one flight for all who ask for the same, and for each who asks the question
//! whether they may have what is here already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burstlet_model::{Digest, GroupUid, ImageRef, Namespace, WallTime};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::flight::{Flight, Flights};
use super::image::{Access, Image, LayerDir};
use super::receive::{ReceiveLayer, Received};
use super::{ImageStore, Inner, Pin, PullProgress, PullStats, StoreError};
use crate::content::ContentStore;
use crate::registry::{Credentials, RegistryCredentials, RegistryHost, Repository, Resolved};
use crate::{ImageConfig, digest_of};

pub use burstlet_model::spec::PullPolicy;

/// Layers of one image that are worked on at once.
const LAYERS_AT_ONCE_MAX: usize = 4;

/// A wish for an image.
pub struct PullRequest {
    /// Which.
    pub reference: ImageRef,
    /// Whether the registry is asked although it is here.
    pub policy: PullPolicy,
    /// Proof for its registry, used before the node's own.
    pub credentials: Vec<RegistryCredentials>,
    /// On whose behalf.
    pub namespace: Namespace,
    /// The group that needs it: it has a lease on the image when the pull is done.
    pub lease: Option<GroupUid>,
    /// Told how far the pull is.
    pub progress: Option<watch::Sender<PullProgress>>,
    /// The time of the request.
    pub now: WallTime,
}

/// An image that was wished for.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The image, all of it in place.
    pub image: Arc<Image>,
    /// What it took; nothing if it was here.
    pub stats: PullStats,
}

/// What must be the same for two to share a pull.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct PullKey {
    reference: ImageRef,
    namespace: Namespace,
    credentials: Digest,
}

/// A pull that is done; the image stays while this is held.
#[derive(Clone)]
pub(super) struct Landed {
    pulled: Pulled,
    _pin: Arc<Pin>,
}

pub(super) type PullFlights = Flights<PullKey, Result<Landed, StoreError>, PullProgress>;
type PullFlight = Flight<Result<Landed, StoreError>, PullProgress>;

impl ImageStore {
    /// Makes sure that an image is here and that the caller may use it. Dropping the future
    /// gives up this caller's interest; others who wait for the same pull get it.
    ///
    /// # Errors
    /// The registry does not give it, it is refused, or the disk fails.
    pub async fn pull(&self, mut request: PullRequest) -> Result<Pulled, StoreError> {
        let progress = request.progress.take();
        if request.policy != PullPolicy::Always
            && let Some(present) = self.present(&request).await?
        {
            return self.finish(&request, present).await;
        }
        if request.policy == PullPolicy::Never {
            return Err(StoreError::NotPresent(request.reference.to_string()));
        }
        let flight = self.join(&request);
        let landed = follow(&flight, progress.as_ref()).await;
        let landed = landed.ok_or_else(|| StoreError::Aborted(request.reference.to_string()))??;
        self.finish(&request, landed).await
    }

    /// The image if it is here and the caller may use it without pulling.
    async fn present(&self, request: &PullRequest) -> Result<Option<Landed>, StoreError> {
        let (image, pin) = {
            let state = &mut self.inner.state();
            let Some(image) = state.by_reference(&request.reference) else {
                return Ok(None);
            };
            state.pin(&image.id);
            let pinned = vec![image.id.clone()];
            (
                image,
                Arc::new(Pin {
                    inner: self.inner.clone(),
                    pinned,
                }),
            )
        };
        let layers = image.layers.len();
        let landed = |image| Landed {
            pulled: Pulled {
                image,
                stats: PullStats {
                    layers,
                    layers_present: layers,
                    ..PullStats::default()
                },
            },
            _pin: pin,
        };
        if image.access.allows(&request.namespace) {
            return Ok(Some(landed(image)));
        }
        let repository = self.repository(request);
        if repository.may_see(&image.manifest_digest).await? {
            let access = access_of(&repository, &request.namespace);
            let image = self.inner.grant(&image.id, access).await?;
            return Ok(Some(landed(image)));
        }
        match request.policy {
            PullPolicy::Never => Err(StoreError::NotAllowed(request.reference.to_string())),
            // The registry says in its own words what is missing.
            _ => Ok(None),
        }
    }

    fn repository(&self, request: &PullRequest) -> Repository {
        self.inner
            .registries
            .repository(&request.reference, request.credentials.clone())
    }

    fn join(&self, request: &PullRequest) -> Arc<PullFlight> {
        let key = PullKey {
            reference: request.reference.clone(),
            namespace: request.namespace.clone(),
            credentials: fingerprint(&request.credentials),
        };
        let pull = Pull {
            inner: self.inner.clone(),
            repository: Arc::new(self.repository(request)),
            reference: request.reference.clone(),
            namespace: request.namespace.clone(),
            now: request.now,
        };
        self.inner
            .pulls
            .join(key, move |progress| pull.run(progress))
    }

    async fn finish(&self, request: &PullRequest, landed: Landed) -> Result<Pulled, StoreError> {
        let Landed { mut pulled, _pin } = landed;
        if let Some(uid) = &request.lease {
            self.lease(uid, std::slice::from_ref(&pulled.image.id), request.now)
                .await?;
        } else if let Some(image) = self.inner.state().touch(&pulled.image.id, request.now) {
            pulled.image = image;
        }
        Ok(pulled)
    }
}

/// Waits for the flight and passes its progress on.
async fn follow(
    flight: &PullFlight,
    told: Option<&watch::Sender<PullProgress>>,
) -> Option<Result<Landed, StoreError>> {
    let Some(told) = told else {
        return flight.landed().await;
    };
    let mut progress = flight.progress();
    let pass_on = async {
        loop {
            let now = progress.borrow_and_update().clone();
            told.send_replace(now);
            if progress.changed().await.is_err() {
                return std::future::pending::<()>().await;
            }
        }
    };
    // Both sides can be dropped at any await: the flight goes on in its own task.
    let landed = tokio::select! {
        landed = flight.landed() => landed,
        () = pass_on => None,
    };
    let last = flight.progress().borrow().clone();
    told.send_replace(last);
    landed
}

/// One pull, in a task of its own.
struct Pull {
    inner: Arc<Inner>,
    repository: Arc<Repository>,
    reference: ImageRef,
    namespace: Namespace,
    now: WallTime,
}

impl Pull {
    async fn run(self, progress: watch::Sender<PullProgress>) -> Result<Landed, StoreError> {
        let begun = Instant::now();
        let wanted = self.reference.manifest_reference();
        let resolved = self
            .repository
            .resolve(wanted, &self.inner.platform)
            .await?;
        if let Some(landed) = self.known(&resolved).await? {
            return Ok(landed);
        }
        let config_bytes = self
            .repository
            .small_blob(&resolved.manifest.config)
            .await?;
        let config = self.parse_config(&resolved, &config_bytes)?;
        let id = resolved.manifest.config.digest.clone();
        let pinned = config.diff_ids.iter().chain([&id]).cloned().collect();
        let pin = Arc::new(Pin::new(&self.inner, pinned));
        let resolving = begun.elapsed();
        let received = self.receive_layers(&resolved, &config, progress).await?;
        let stats = stats_of(&received, begun).with_resolving(resolving);
        self.keep_documents(&resolved, config_bytes).await?;
        let image = self.keep_image(&resolved, config).await?;
        self.inner.sync_in_background();
        Ok(Landed {
            pulled: Pulled { image, stats },
            _pin: pin,
        })
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

    /// The image, if it is here and its registry sent all of it before.
    async fn known(&self, resolved: &Resolved) -> Result<Option<Landed>, StoreError> {
        let id = &resolved.manifest.config.digest;
        let registry = RegistryHost::of(&self.reference);
        let (pin, image) = {
            let mut state = self.inner.state();
            let Some(image) = state.images.get(id).cloned() else {
                return Ok(None);
            };
            if !image.came_from(&registry) || !image.chain.contains(&resolved.digest) {
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
        let layers = image.layers.len();
        let image = self.keep_image(resolved, image.config.clone()).await?;
        let stats = PullStats {
            layers,
            layers_present: layers,
            ..PullStats::default()
        };
        Ok(Some(Landed {
            pulled: Pulled { image, stats },
            _pin: Arc::new(pin),
        }))
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
            repository: self.repository.clone(),
            registry: RegistryHost::of(&self.reference),
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
        let content: ContentStore = self.inner.content.clone();
        let keep = move |_: &Inner| {
            let mut documents = documents.iter();
            Ok(documents.try_for_each(|(digest, bytes)| content.put(digest, bytes))?)
        };
        self.inner.blocking(keep).await
    }

    /// Writes the image down: what is new of it, beside what was known.
    async fn keep_image(
        &self,
        resolved: &Resolved,
        config: ImageConfig,
    ) -> Result<Arc<Image>, StoreError> {
        let id = resolved.manifest.config.digest.clone();
        let layers = resolved.manifest.layers.iter();
        let packed: u64 = layers.map(|layer| layer.blob.size).sum();
        let dirs = config.diff_ids.iter().map(|diff_id| LayerDir {
            diff_id: diff_id.clone(),
            path: self.inner.layers.path(diff_id),
        });
        let new = Image {
            manifest_digest: resolved.digest.clone(),
            chain: resolved.chain.iter().cloned().collect(),
            references: BTreeMap::from([(self.reference.clone(), self.now)]),
            layers: dirs.collect(),
            size_bytes: packed + resolved.manifest.config.size + resolved.bytes.len() as u64,
            pulled_at: self.now,
            used_at: self.now,
            access: access_of(&self.repository, &self.namespace),
            origins: BTreeSet::from([RegistryHost::of(&self.reference).to_string()]),
            config,
            id,
        };
        self.inner.add(new).await
    }
}

impl Inner {
    /// Keeps an image, with what is known of it already.
    pub(super) async fn add(self: &Arc<Self>, mut new: Image) -> Result<Arc<Image>, StoreError> {
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
        Ok(image)
    }

    /// Lets more namespaces use an image.
    async fn grant(self: &Arc<Self>, id: &Digest, more: Access) -> Result<Arc<Image>, StoreError> {
        let _writer = self.writer.lock().await;
        let known = self.state().images.get(id).cloned();
        let known = known.ok_or_else(|| StoreError::NotFound(id.to_string()))?;
        let mut image = Image::clone(&known);
        image.access = image.access.or(more);
        let image = Arc::new(image);
        self.keep(vec![image.clone()]).await?;
        Ok(image)
    }
}

/// Who may use what was just had: everyone, unless it took this request's credentials.
fn access_of(repository: &Repository, namespace: &Namespace) -> Access {
    if repository.used_request_credentials() {
        return Access::Namespaces(BTreeSet::from([namespace.clone()]));
    }
    Access::Everyone
}

/// Stands for the credentials where they themselves should not be kept.
fn fingerprint(credentials: &[RegistryCredentials]) -> Digest {
    let mut text = String::new();
    for one in credentials {
        let (kind, name, secret) = match &one.credentials {
            Credentials::Basic { username, password } => ("basic", username.as_str(), password),
            Credentials::IdentityToken(token) => ("identity", "", token),
            Credentials::RegistryToken(token) => ("registry", "", token),
        };
        for part in [one.registry.as_str(), kind, name, secret.expose()] {
            text.push_str(&format!("{}:{part}", part.len()));
        }
    }
    digest_of(text.as_bytes())
}

fn stats_of(received: &[Received], begun: Instant) -> PullStats {
    let last_byte = received.iter().filter_map(|layer| layer.received_at).max();
    let present = received
        .iter()
        .filter(|layer| layer.received_at.is_none())
        .count();
    let received_at = last_byte.unwrap_or(begun);
    PullStats {
        received_bytes: received.iter().map(|layer| layer.received_bytes).sum(),
        layers: received.len(),
        layers_present: present,
        receiving: received_at.duration_since(begun),
        unpacking: if last_byte.is_some() {
            received_at.elapsed()
        } else {
            Default::default()
        },
        ..PullStats::default()
    }
}
