//! From a tag or digest to one manifest and its configuration.

use burstlet_model::Digest;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};

use super::Repository;
use super::body::{self, Bound};
use super::error::{Problem, RegistryError};
use super::session::{Ask, Session};
use crate::content::{self, ContentError};
use crate::document::{ACCEPTED, DOCUMENT_BYTES_MAX, INDEX_DEPTH_MAX};
use crate::{Descriptor, Document, DocumentError, Manifest, Platform, digest_of};

/// The image for this platform that a reference names.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The manifest.
    pub manifest: Manifest,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The digests of the documents that led to it, the manifest's own last.
    pub chain: Vec<Digest>,
}

struct Fetched {
    bytes: Vec<u8>,
    digest: Digest,
    document: Document,
}

impl Repository {
    /// Resolves a tag or digest to the image that suits `platform`.
    ///
    /// # Errors
    /// No host has it, a document is not what its digest says, or none suits the platform.
    pub async fn resolve(
        &self,
        reference: &str,
        platform: &Platform,
    ) -> Result<Resolved, RegistryError> {
        let expected = Digest::new(reference).ok();
        let mut fetched = self.document(reference, expected.as_ref()).await?;
        let mut chain = vec![fetched.digest.clone()];
        for _ in 0..=INDEX_DEPTH_MAX {
            let index = match fetched.document {
                Document::Manifest(manifest) => {
                    let Fetched { bytes, digest, .. } = fetched;
                    return Ok(Resolved {
                        manifest,
                        bytes,
                        digest,
                        chain,
                    });
                }
                Document::Index(index) => index,
            };
            let choice = index
                .choose(platform)
                .map_err(|error| self.refuse(reference, error))?;
            fetched = self
                .document(choice.digest.as_str(), Some(&choice.digest))
                .await?;
            content::check(choice, &fetched.bytes)
                .map_err(|error| self.at_origin(reference, error.into()))?;
            chain.push(fetched.digest.clone());
        }
        Err(self.refuse(reference, DocumentError::nested_too_deep()))
    }

    /// Whether this caller may see the manifest `digest`, asked without transferring it.
    ///
    /// # Errors
    /// No host answers.
    pub async fn may_see(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let ask = manifest_ask(Method::HEAD, digest.as_str());
        self.shows(&format!("manifest {digest}"), &ask).await
    }

    /// Whether the repository has a blob and shows it to the bearer of its credentials.
    ///
    /// # Errors
    /// No host answers.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let ask = blob_ask(Method::HEAD, digest);
        self.shows(&format!("blob {digest}"), &ask).await
    }

    async fn shows(&self, action: &str, ask: &Ask) -> Result<bool, RegistryError> {
        let asked = self.ask_each(
            action,
            |session| async move { session.ask(ask).await.map(drop) },
        );
        match asked.await {
            Ok(()) => Ok(true),
            Err(error) => match error.problem {
                Problem::NotFound | Problem::Denied(_) | Problem::Unauthorized(_) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// A small blob, verified.
    ///
    /// # Errors
    /// No host has it as it is described.
    pub async fn small_blob(&self, blob: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let action = format!("blob {}", blob.digest);
        self.ask_each(&action, |session| {
            read_small_blob(session, blob, "image configuration")
        })
        .await
    }

    async fn document(
        &self,
        reference: &str,
        expected: Option<&Digest>,
    ) -> Result<Fetched, RegistryError> {
        let action = format!("manifest {reference}");
        self.ask_each(&action, |session| fetch(session, reference, expected))
            .await
    }

    fn refuse(&self, reference: &str, error: DocumentError) -> RegistryError {
        self.at_origin(reference, Problem::Document(error))
    }
}

fn manifest_ask(method: Method, reference: &str) -> Ask {
    let path = format!("manifests/{reference}");
    Ask {
        method,
        path,
        accept: Some(ACCEPTED),
        from: 0,
    }
}

fn blob_ask(method: Method, digest: &Digest) -> Ask {
    Ask {
        method,
        path: format!("blobs/{digest}"),
        accept: None,
        from: 0,
    }
}

async fn fetch(
    session: &Session,
    reference: &str,
    expected: Option<&Digest>,
) -> Result<Fetched, Problem> {
    let response = session.ask(&manifest_ask(Method::GET, reference)).await?;
    if response.status() != StatusCode::OK {
        return Err(Problem::Protocol(format!(
            "status {}",
            response.status().as_u16()
        )));
    }
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type =
        content_type.map(|text| text.split(';').next().unwrap_or("").trim().to_owned());
    let media_type = media_type.ok_or_else(|| Problem::Protocol("no Content-Type".to_owned()))?;
    let bound = Bound {
        what: "manifest",
        max: DOCUMENT_BYTES_MAX,
    };
    let bytes = body::read(response, bound).await?;
    // What the registry says the digest is does not matter.
    let digest = digest_of(&bytes);
    if let Some(expected) = expected.filter(|expected| **expected != digest) {
        let expected = expected.clone();
        return Err(ContentError::Digest {
            expected,
            got: digest,
        }
        .into());
    }
    let document = Document::parse(&bytes, Some(&media_type))?;
    Ok(Fetched {
        bytes,
        digest,
        document,
    })
}

/// A blob that fits into memory, verified; `what` it is, for errors.
pub(super) async fn read_small_blob(
    session: &Session,
    blob: &Descriptor,
    what: &'static str,
) -> Result<Vec<u8>, Problem> {
    let ask = blob_ask(Method::GET, &blob.digest);
    let bound = Bound {
        what,
        max: blob.size,
    };
    let bytes = body::read(session.ask(&ask).await?, bound).await?;
    content::check(blob, &bytes)?;
    Ok(bytes)
}
