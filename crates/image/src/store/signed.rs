//! Whether an image may be used under a name: where the operator wants signatures, there must be one.
//! What was found is kept with the image, so that it can be used when its registry does not answer; it
//! counts for as long as its key does.

use std::sync::Arc;

use burstlet_model::{Digest, ImageRef};

use super::image::Image;
use super::{ImageStore, Inner, StoreError};
use crate::registry::{Problem, RegistryError, Repository, Resolved};
use crate::signature::{
    Candidate, LOOKS_MAX, Rejection, SignatureError, Signed, Wanted, candidates, judge, referrers,
};

/// Documents of one image whose signatures are asked for: its manifest, and indexes that name it.
const DOCUMENTS_MAX: usize = 8;

impl ImageStore {
    /// Whether an image that is here may be used under a name by what is known of its signatures,
    /// without asking anybody.
    #[must_use]
    pub fn is_signed(&self, reference: &ImageRef, image: &Image) -> bool {
        self.inner.is_signed(reference, image)
    }
}

impl Inner {
    fn is_signed(&self, reference: &ImageRef, image: &Image) -> bool {
        self.signatures.wanted(reference).is_none_or(|wanted| {
            let mut kept = image.signed.iter();
            kept.any(|one| one.holds(reference, &image.chain, wanted))
        })
    }

    /// A signature of what a name was resolved to, if the name needs one.
    pub(super) async fn signature_of(
        &self,
        reference: &ImageRef,
        repository: &Repository,
        resolved: &Resolved,
    ) -> Result<Option<Signed>, StoreError> {
        let Some(wanted) = self.signatures.wanted(reference) else {
            return Ok(None);
        };
        let documents = resolved.chain.iter().cloned().collect();
        let id = &resolved.manifest.config.digest;
        let known = self.state().images.get(id).cloned();
        let mut kept = known.iter().flat_map(|image| &image.signed);
        if let Some(signed) = kept.find(|one| one.holds(reference, &documents, wanted)) {
            return Ok(Some(signed.clone()));
        }
        // What was asked for comes first: it is what people sign.
        let search = Search::new(reference, repository, wanted);
        search.run(resolved.chain.iter()).await.map(Some)
    }

    /// Makes sure that an image that is here is signed, if the name that it is used by needs that.
    pub(super) async fn check_signature(
        self: &Arc<Self>,
        reference: &ImageRef,
        image: &Image,
        repository: impl FnOnce() -> Repository,
    ) -> Result<(), StoreError> {
        let Some(wanted) = self.signatures.wanted(reference) else {
            return Ok(());
        };
        if self.is_signed(reference, image) {
            return Ok(());
        }
        let repository = repository();
        let first = std::iter::once(&image.manifest_digest);
        let others = image.chain.iter().filter(|d| **d != image.manifest_digest);
        let search = Search::new(reference, &repository, wanted);
        let signed = search.run(first.chain(others)).await?;
        self.keep_signature(&image.id, signed).await
    }

    async fn keep_signature(
        self: &Arc<Self>,
        id: &Digest,
        signed: Signed,
    ) -> Result<(), StoreError> {
        let _writer = self.writer.lock().await;
        let known = self.state().images.get(id).cloned();
        let known = known.ok_or_else(|| StoreError::NotFound(id.to_string()))?;
        let mut image = Image::clone(&known);
        image.signed.insert(signed);
        self.keep(vec![Arc::new(image)]).await
    }
}

/// The search for a signature of one image at one repository.
struct Search<'a> {
    reference: &'a ImageRef,
    repository: &'a Repository,
    wanted: Wanted<'a>,
    /// How much more is fetched.
    looks_left: usize,
    /// Why the first that was looked at does not count.
    why: Option<Rejection>,
}

impl<'a> Search<'a> {
    const fn new(reference: &'a ImageRef, repository: &'a Repository, wanted: Wanted<'a>) -> Self {
        Self {
            reference,
            repository,
            wanted,
            looks_left: LOOKS_MAX,
            why: None,
        }
    }

    /// The first signature of any of these documents that counts.
    async fn run(mut self, documents: impl Iterator<Item = &Digest>) -> Result<Signed, StoreError> {
        for document in documents.take(DOCUMENTS_MAX) {
            if let Some(signed) = self.by_tag(document).await? {
                return Ok(signed);
            }
            if let Some(signed) = self.by_referrers(document).await? {
                return Ok(signed);
            }
        }
        let image = self.reference.to_string();
        let refused = match self.why {
            Some(why) => SignatureError::Rejected { image, why },
            None => SignatureError::Unsigned {
                image,
                registry: self.reference.registry().to_owned(),
            },
        };
        Err(refused.into())
    }

    async fn by_tag(&mut self, document: &Digest) -> Result<Option<Signed>, RegistryError> {
        match self.repository.signatures(document).await? {
            Some(manifest) => self.among(&manifest, document).await,
            None => Ok(None),
        }
    }

    async fn by_referrers(&mut self, document: &Digest) -> Result<Option<Signed>, RegistryError> {
        let Some(index) = self.repository.referrers(document).await? else {
            return Ok(None);
        };
        let found = self.note(referrers(&index)).unwrap_or_default();
        for referrer in found {
            if !self.may_look() {
                break;
            }
            let Some(referrer) = self.note(referrer) else {
                continue;
            };
            let manifest = self.repository.referrer(document, &referrer).await;
            let Some(manifest) = self.note(or_rejection(manifest)?) else {
                continue;
            };
            if let Some(signed) = self.among(&manifest, document).await? {
                return Ok(Some(signed));
            }
        }
        Ok(None)
    }

    /// The first signature of a manifest that counts.
    async fn among(
        &mut self,
        manifest: &[u8],
        document: &Digest,
    ) -> Result<Option<Signed>, RegistryError> {
        for candidate in self.note(candidates(manifest)).unwrap_or_default() {
            if !self.may_look() {
                break;
            }
            let Some(Candidate { blob, form }) = self.note(candidate) else {
                continue;
            };
            let fetched = self.repository.signed_payload(&blob).await;
            let judged = or_rejection(fetched)?.and_then(|fetched| {
                judge(&form, &fetched, self.wanted, (self.reference, document))
            });
            if let Some(signed) = self.note(judged) {
                return Ok(Some(signed));
            }
        }
        Ok(None)
    }

    /// Whether there is room for one more.
    fn may_look(&mut self) -> bool {
        match self.looks_left.checked_sub(1) {
            Some(left) => self.looks_left = left,
            // It says more than why one of so many does not count.
            None => {
                self.why = Some(Rejection::TooMany);
                return false;
            }
        }
        true
    }

    /// Remembers why something does not count.
    fn note<T>(&mut self, looked_at: Result<T, Rejection>) -> Option<T> {
        match looked_at {
            Ok(found) => Some(found),
            Err(why) => {
                self.why.get_or_insert(why);
                None
            }
        }
    }
}

/// What a registry does not have as it says is no signature; one that fails is another matter.
fn or_rejection(
    fetched: Result<Vec<u8>, RegistryError>,
) -> Result<Result<Vec<u8>, Rejection>, RegistryError> {
    match fetched {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(error) => match error.problem {
            Problem::NotFound | Problem::Content(_) | Problem::TooLarge { .. } => {
                Ok(Err(Rejection::Payload(error.to_string())))
            }
            _ => Err(error),
        },
    }
}
