//! What a registry has of an image's signatures. All of it is a stranger's word; bounded here, judged
//! elsewhere.

use burstlet_model::Digest;
use reqwest::Method;

use super::Repository;
use super::body::{self, Bound};
use super::error::{Problem, RegistryError};
use super::resolve::read_small_blob;
use super::session::Ask;
use crate::content;
use crate::document::{OCI_INDEX, OCI_MANIFEST};
use crate::signature::SIGNATURES_BYTES_MAX;
use crate::{DOCUMENT_BYTES_MAX, Descriptor};

impl Repository {
    /// The manifest with the signatures of a document, by the tag that cosign gives it; `None` if
    /// there is none.
    ///
    /// # Errors
    /// No host answers, or the answer is too long.
    pub(crate) async fn signatures(
        &self,
        signed: &Digest,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let path = format!("manifests/{}.sig", tag(signed));
        self.optional(signed, path, &MANIFEST).await
    }

    /// The index of what refers to a document, from the API for that or, where a registry has none,
    /// by the tag that stands for it; `None` if there is none.
    ///
    /// # Errors
    /// No host answers, or the answer is too long.
    pub(crate) async fn referrers(
        &self,
        signed: &Digest,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        // Not of one type only: there are two, and one question is enough.
        let path = format!("referrers/{signed}");
        match self.optional(signed, path, &INDEX).await? {
            Some(index) => Ok(Some(index)),
            None => {
                let path = format!("manifests/{}", tag(signed));
                self.optional(signed, path, &INDEX).await
            }
        }
    }

    /// A manifest with signatures of a document, verified.
    ///
    /// # Errors
    /// No host has it as it is described.
    pub(crate) async fn referrer(
        &self,
        signed: &Digest,
        manifest: &Descriptor,
    ) -> Result<Vec<u8>, RegistryError> {
        let ask = &MANIFEST.ask(format!("manifests/{}", manifest.digest));
        self.ask_each(&action(signed), |session| async move {
            let bytes = body::read(session.ask(ask).await?, MANIFEST.bound).await?;
            content::check(manifest, &bytes)?;
            Ok(bytes)
        })
        .await
    }

    /// What is signed, verified.
    ///
    /// # Errors
    /// No host has it as it is described.
    pub(crate) async fn signed_payload(
        &self,
        payload: &Descriptor,
    ) -> Result<Vec<u8>, RegistryError> {
        let action = format!("signed payload {}", payload.digest);
        self.ask_each(&action, |session| {
            read_small_blob(session, payload, "signed payload")
        })
        .await
    }

    async fn optional(
        &self,
        signed: &Digest,
        path: String,
        kind: &Kind,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let ask = &kind.ask(path);
        let asked = self
            .ask_each(&action(signed), |session| async move {
                body::read(session.ask(ask).await?, kind.bound).await
            })
            .await;
        match asked {
            Ok(document) => Ok(Some(document)),
            Err(error) if is_absence(&error.problem) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A kind of document, and how large one may be.
struct Kind {
    accept: &'static str,
    bound: Bound,
}

const MANIFEST: Kind = Kind {
    accept: OCI_MANIFEST,
    bound: Bound {
        what: "manifest with signatures",
        max: SIGNATURES_BYTES_MAX,
    },
};
const INDEX: Kind = Kind {
    accept: OCI_INDEX,
    bound: Bound {
        what: "index of signatures",
        max: DOCUMENT_BYTES_MAX,
    },
};

impl Kind {
    const fn ask(&self, path: String) -> Ask {
        Ask {
            method: Method::GET,
            path,
            accept: Some(self.accept),
            from: 0,
        }
    }
}

/// Whether an answer says that there is nothing: registries say in more than one way that they do not
/// know a part of the protocol. An image without signatures is refused, so nothing is lost by it.
const fn is_absence(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::NotFound
            | Problem::Status {
                status: 400 | 405 | 501,
                ..
            }
    )
}

fn action(signed: &Digest) -> String {
    format!("signatures of {signed}")
}

/// The digest as tags have it.
fn tag(digest: &Digest) -> String {
    digest.as_str().replace(':', "-")
}
