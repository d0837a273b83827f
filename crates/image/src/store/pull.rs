//! Pulling an image: one flight for all who ask for the same, and for each who asks the question
//! whether they may have what is here already.

use std::sync::Arc;

use burstlet_model::{Digest, GroupUid, ImageRef, Namespace, WallTime};
use tokio::sync::watch;
use tokio::time::Instant;

use super::flight::{Flight, Flights};
use super::image::{Access, Image};
use super::install::{Install, Landed};
use super::source::Source;
use super::{ImageStore, Inner, Pin, PullProgress, PullStats, StoreError};
use crate::digest_of;
use crate::registry::{RegistryCredentials, RegistryHost, Repository};

pub use burstlet_model::spec::PullPolicy;

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
            let mut state = self.inner.state();
            let Some(image) = state.by_reference(&request.reference) else {
                return Ok(None);
            };
            state.pin(&image.id);
            let pinned = vec![image.id.clone()];
            (
                image,
                Pin {
                    inner: self.inner.clone(),
                    pinned,
                },
            )
        };
        if image.access.allows(&request.namespace) {
            return Ok(Some(Landed::present(image, pin)));
        }
        let repository = self.repository(request);
        if repository.may_see(&image.manifest_digest).await? {
            let source = self.source(request, repository);
            let image = self.inner.grant(&image.id, source.access()).await?;
            return Ok(Some(Landed::present(image, pin)));
        }
        match request.policy {
            PullPolicy::Never => Err(StoreError::NotAllowed(request.reference.to_string())),
            // The registry says in its own words what is missing.
            PullPolicy::Always | PullPolicy::IfNotPresent => Ok(None),
        }
    }

    fn repository(&self, request: &PullRequest) -> Repository {
        let credentials = request.credentials.clone();
        self.inner
            .registries
            .repository(&request.reference, credentials)
    }

    fn source(&self, request: &PullRequest, repository: Repository) -> Source {
        let registry = RegistryHost::of(&request.reference);
        Source::Registry {
            repository,
            reference: request.reference.clone(),
            registry,
            namespace: request.namespace.clone(),
        }
    }

    fn join(&self, request: &PullRequest) -> Arc<PullFlight> {
        let key = PullKey {
            reference: request.reference.clone(),
            namespace: request.namespace.clone(),
            credentials: fingerprint(&request.credentials),
        };
        let source = self.source(request, self.repository(request));
        let install = Install {
            inner: self.inner.clone(),
            source: Arc::new(source),
            references: vec![request.reference.clone()],
            now: request.now,
            begun: Instant::now(),
        };
        self.inner
            .pulls
            .join(key, move |progress| install.run(progress))
    }

    async fn finish(&self, request: &PullRequest, landed: Landed) -> Result<Pulled, StoreError> {
        let Landed {
            mut pulled,
            pin: _pin,
        } = landed;
        let repository = || self.repository(request);
        self.inner
            .check_signature(&request.reference, &pulled.image, repository)
            .await?;
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

impl Inner {
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

/// Stands for the credentials where they themselves should not be kept.
fn fingerprint(credentials: &[RegistryCredentials]) -> Digest {
    let of = |one: &RegistryCredentials| {
        let of = one.credentials.fingerprint();
        format!("{} {of}\n", one.registry)
    };
    let all: String = credentials.iter().map(of).collect();
    digest_of(all.as_bytes())
}
