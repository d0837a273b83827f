//! Signatures of images: who must have signed an image before it is used under a name.
//!
//! The operator lists repositories with the public keys whose signatures count there. A signature says
//! that whoever has the key calls a document, by its digest, an image of a repository. That it is there
//! is a stranger's word, like everything else of a registry; whether it is true is computed here.
//!
//! The forms are cosign's for keys: a manifest has a layer for each signature, which is what is signed with
//! the signature beside it, or a bundle of both. Nothing else of them counts: no key, certificate or log
//! entry that they bring along.
//!
//! This module judges what it is shown; who asks registries for it is the store.

mod bundle;
mod claim;
mod document;
mod key;
mod policy;

use burstlet_model::{Digest, ErrorKind};

pub(crate) use claim::{Signed, judge};
pub(crate) use document::{Candidate, SIGNATURES_BYTES_MAX, candidates, referrers};
pub use key::{KeyError, PublicKey};
pub(crate) use policy::Wanted;
pub use policy::{ScopeError, SignaturePolicy};

/// Documents and signatures that are fetched for one image.
pub(crate) const LOOKS_MAX: usize = 64;

/// Why an image is not used under a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature at the registry.
    #[error(
        "image {image} has to be signed, and {registry} has no signature of it; have it signed, or change [images.signatures]"
    )]
    Unsigned {
        /// The name.
        image: String,
        /// The registry.
        registry: String,
    },
    /// There are some, by others or for others.
    #[error("image {image} has to be signed, and none of its signatures counts: {why}")]
    Rejected {
        /// The name.
        image: String,
        /// Why the first that was looked at does not.
        why: Rejection,
    },
}

/// Why what a registry has does not count as a signature of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The document is not JSON that all read alike.
    #[error("what should list them is not well-formed: {0}")]
    Malformed(String),
    /// A field is missing or something else.
    #[error("what should list them has no sound {0}")]
    Field(&'static str),
    /// What is signed, or a document with signatures, is larger than anything of its kind.
    #[error("one has {got} bytes, more than the {max} that are looked at")]
    TooLarge {
        /// Its size.
        got: u64,
        /// The largest that is looked at.
        max: u64,
    },
    /// There is more than is looked at.
    #[error("there are more than the {LOOKS_MAX} that are looked at")]
    TooMany,
    /// What is signed is not there as it is described.
    #[error("what is signed is not there: {0}")]
    Payload(String),
    /// Somebody else has signed.
    #[error("it is by none of the keys that are listed for this name")]
    Key,
    /// What is signed is not JSON that all read alike.
    #[error("what is signed is not well-formed: {0}")]
    Claim(String),
    /// What is signed is something else than an image.
    #[error("it is not for an image")]
    Kind,
    /// Another image is signed.
    #[error("it is for {0:?} and not for {1}")]
    Digest(String, Digest),
    /// It says nothing of a name, and that is not taken.
    #[error(
        "it names no repository, as what cosign 3 makes by itself: sign with --new-bundle-format=false, or set images.nameless_signatures"
    )]
    Nameless,
    /// The image is signed under another name.
    #[error("it is for the name {0:?}")]
    Name(String),
}

impl SignatureError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::PermissionDenied
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
