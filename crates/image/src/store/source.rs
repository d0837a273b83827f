//! Where an image comes from: a registry, or an archive that somebody gave us. Either is a
//! stranger's word, and everything is verified alike.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use burstlet_model::{Digest, ImageRef, Namespace};

use super::image::Access;
use super::{Inner, StoreError};
use crate::content::{self, ContentError, Partial, Received};
use crate::document::INDEX_DEPTH_MAX;
use crate::import::{Import, ImportError};
use crate::registry::{BlobTarget, RegistryHost, Repository, Resolved};
use crate::signature::Signed;
use crate::{Descriptor, Document, DocumentError, Platform};

/// The origin of what was imported. No registry can have this name.
const IMPORT_ORIGIN: &str = "import";
const COPY_CHUNK_BYTES: usize = 256 << 10;

/// Where one image comes from.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for a whole pull, behind an Arc"
)]
pub(super) enum Source {
    /// A repository, as one namespace sees it.
    Registry {
        repository: Repository,
        reference: ImageRef,
        registry: RegistryHost,
        namespace: Namespace,
    },
    /// A document of an archive or layout.
    Import {
        import: Arc<Import>,
        document: Descriptor,
    },
}

impl Source {
    /// Names it, so that what it sent before is known: the registry, or where that wanted to see a
    /// request's credentials, the one repository that they opened.
    pub(super) fn origin(&self) -> String {
        match self {
            Self::Registry {
                repository,
                reference,
                registry,
                ..
            } if repository.used_request_credentials() => {
                format!("{registry}/{}", reference.repository())
            }
            Self::Registry { registry, .. } => registry.to_string(),
            Self::Import { .. } => IMPORT_ORIGIN.to_owned(),
        }
    }

    /// Whether a layer that came from `origins` is no secret to who asks here: it came from here,
    /// or from anywhere at this registry without credentials.
    pub(super) fn is_among(&self, origins: &BTreeSet<String>) -> bool {
        let open = match self {
            Self::Registry { registry, .. } => registry.as_str(),
            Self::Import { .. } => IMPORT_ORIGIN,
        };
        origins.contains(open) || origins.contains(&self.origin())
    }

    /// Whether a layer's blob, which came from `origins`, is here for who asks. Only a registry that
    /// has sent it is asked: another could claim to have anything. Costs a round trip; where it
    /// fails, the blob is received as any other.
    pub(super) async fn shows(&self, blob: &Digest, origins: &BTreeSet<String>) -> bool {
        match self {
            Self::Registry {
                repository,
                registry,
                ..
            } => {
                let prefix = format!("{registry}/");
                origins.iter().any(|origin| origin.starts_with(&prefix))
                    && repository.has_blob(blob).await.unwrap_or(false)
            }
            Self::Import { .. } => false,
        }
    }

    /// The image of it that suits this machine.
    pub(super) async fn resolve(&self, inner: &Arc<Inner>) -> Result<Resolved, StoreError> {
        match self {
            Self::Registry {
                repository,
                reference,
                ..
            } => {
                let wanted = reference.manifest_reference();
                Ok(repository.resolve(wanted, &inner.platform).await?)
            }
            Self::Import { import, document } => {
                let (import, document) = (import.clone(), document.clone());
                let resolve = move |inner: &Inner| resolve(&import, document, &inner.platform);
                inner.blocking(resolve).await
            }
        }
    }

    /// By whom it is signed, if its name needs that. What is imported is looked at when it is used.
    pub(super) async fn signature(
        &self,
        inner: &Inner,
        resolved: &Resolved,
    ) -> Result<Option<Signed>, StoreError> {
        match self {
            Self::Registry {
                repository,
                reference,
                ..
            } => inner.signature_of(reference, repository, resolved).await,
            Self::Import { .. } => Ok(None),
        }
    }

    /// Who may use what was had: everyone, unless it took a request's credentials.
    pub(super) fn access(&self) -> Access {
        match self {
            Self::Registry {
                repository,
                namespace,
                ..
            } if repository.used_request_credentials() => {
                Access::Namespaces(BTreeSet::from([namespace.clone()]))
            }
            Self::Registry { .. } | Self::Import { .. } => Access::Everyone,
        }
    }

    /// A small blob, verified.
    pub(super) async fn small_blob(&self, blob: &Descriptor) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Registry { repository, .. } => Ok(repository.small_blob(blob).await?),
            Self::Import { import, .. } => read_document(import, blob),
        }
    }

    /// A layer's blob, verified, in the content store.
    pub(super) async fn layer_blob(
        &self,
        inner: &Arc<Inner>,
        blob: &Descriptor,
        report: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Received, StoreError> {
        match self {
            Self::Registry { repository, .. } => {
                let target = BlobTarget {
                    store: &inner.content,
                    report,
                };
                Ok(repository.blob(blob, target).await?)
            }
            Self::Import { import, .. } => {
                let (import, blob) = (import.clone(), blob.clone());
                let size = blob.size;
                let copy = move |inner: &Inner| {
                    let partial = inner.content.partial(&blob, IMPORT_ORIGIN)?;
                    copy_blob(&import, &blob, partial)
                };
                let received = inner.blocking(copy).await?;
                report(size);
                Ok(received)
            }
        }
    }
}

/// The image of an import's document that suits `platform`.
fn resolve(
    import: &Import,
    mut wanted: Descriptor,
    platform: &Platform,
) -> Result<Resolved, StoreError> {
    let mut chain = Vec::new();
    for _ in 0..=INDEX_DEPTH_MAX {
        let bytes = read_document(import, &wanted)?;
        let digest = wanted.digest.clone();
        chain.push(digest.clone());
        match Document::parse(&bytes, Some(&wanted.media_type))? {
            Document::Manifest(manifest) => {
                return Ok(Resolved {
                    manifest,
                    bytes,
                    digest,
                    chain,
                });
            }
            Document::Index(index) => wanted = index.choose(platform)?.clone(),
        }
    }
    Err(DocumentError::nested_too_deep().into())
}

fn read_document(import: &Import, blob: &Descriptor) -> Result<Vec<u8>, StoreError> {
    let found = open(import, &blob.digest)?;
    if found.size() != blob.size {
        return Err(wrong_size(blob, found.size()).into());
    }
    let mut bytes = Vec::new();
    let read = found.take(blob.size).read_to_end(&mut bytes);
    read.map_err(|source| read_failed(&blob.digest, source))?;
    content::check(blob, &bytes)?;
    Ok(bytes)
}

fn copy_blob(
    import: &Import,
    blob: &Descriptor,
    mut partial: Partial,
) -> Result<Received, StoreError> {
    let mut found = open(import, &blob.digest)?;
    if found.size() != blob.size {
        return Err(wrong_size(blob, found.size()).into());
    }
    partial.restart()?;
    let mut chunk = vec![0; COPY_CHUNK_BYTES];
    loop {
        let read = found.read(&mut chunk);
        let count = read.map_err(|source| read_failed(&blob.digest, source))?;
        if count == 0 {
            return Ok(partial.verify()?);
        }
        partial.append(chunk.get(..count).unwrap_or_default())?;
    }
}

fn open(import: &Import, digest: &Digest) -> Result<crate::import::ImportedBlob, StoreError> {
    import
        .blob(digest)
        .map_err(|error| StoreError::Import(Arc::new(error)))
}

fn read_failed(digest: &Digest, source: std::io::Error) -> StoreError {
    StoreError::Import(Arc::new(ImportError::Read {
        what: digest.to_string(),
        source,
    }))
}

fn wrong_size(blob: &Descriptor, got: u64) -> ContentError {
    ContentError::Size {
        digest: blob.digest.clone(),
        expected: blob.size,
        got,
    }
}
