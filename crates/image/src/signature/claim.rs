//! What a signature says, and whether that counts.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use burstlet_model::{Digest, ImageRef, ImageRefError};
use burstlet_strict_json as strict_json;

use super::bundle;
use super::document::{Form, text};
use super::policy::{Wanted, repository};
use super::{PublicKey, Rejection};

/// What somebody who signs an image says that he does.
const CLAIM: &str = "cosign container image signature";
/// The most characters that a message repeats of what a signature says.
const SHOWN_CHARS_MAX: usize = 200;

/// A signature that was found to count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Signed {
    /// The document that was signed: the image's manifest, or an index that names it.
    pub(crate) digest: Digest,
    /// What it was called, if it was called something.
    pub(crate) identity: Option<Identity>,
    /// The key's id.
    pub(crate) key: Digest,
}

/// What somebody who signs calls an image: one of a repository, or the one that has a tag there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    repository: String,
    tag: Option<String>,
}

impl Signed {
    /// Whether it still counts for an image with these documents, by what counts now.
    pub(crate) fn holds(
        &self,
        image: &ImageRef,
        documents: &BTreeSet<Digest>,
        wanted: Wanted<'_>,
    ) -> bool {
        let identity = self.identity.as_ref();
        documents.contains(&self.digest)
            && identity.map_or(wanted.takes_nameless, |identity| identity.is_of(image))
            && wanted.keys.iter().any(|key| *key.id() == self.key)
    }
}

impl Identity {
    fn is_of(&self, image: &ImageRef) -> bool {
        let is_tag = |tag: &String| image.tag().is_none_or(|asked| asked == tag);
        self.repository == repository(image) && self.tag.as_ref().is_none_or(is_tag)
    }
}

impl FromStr for Identity {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, ImageRefError> {
        let named: ImageRef = text.parse()?;
        // A name without a tag is read as one with `latest`: what is not written does not count.
        let tag = named
            .tag()
            .filter(|tag| text.ends_with(&format!(":{tag}")))
            .map(str::to_owned);
        Ok(Self {
            repository: repository(&named),
            tag,
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

/// Judges a signature in its form, with what was fetched for it: it counts if it is by one of the keys, and
/// says that the document with this digest is what `image` names.
///
/// # Errors
/// It does not count.
pub(crate) fn judge(
    form: &Form,
    fetched: &[u8],
    wanted: Wanted<'_>,
    (image, digest): (&ImageRef, &Digest),
) -> Result<Signed, Rejection> {
    let signature = match form {
        Form::Beside(signature) => signature,
        Form::Bundle => return bundle::judge(fetched, wanted, digest),
    };
    // Nothing that a stranger has written is read.
    let by = signer(wanted.keys, fetched, signature)?;
    let identity = claimed(fetched, image, digest)?;
    Ok(Signed {
        digest: digest.clone(),
        identity: Some(identity),
        key: by.id().clone(),
    })
}

/// Who of those whose keys count has signed a message.
pub(super) fn signer<'k>(
    keys: &'k [PublicKey],
    message: &[u8],
    signature: &[u8],
) -> Result<&'k PublicKey, Rejection> {
    let mut keys = keys.iter();
    keys.find(|key| key.has_signed(message, signature))
        .ok_or(Rejection::Key)
}

/// What the image is called by what is signed, if that is about it.
fn claimed(payload: &[u8], image: &ImageRef, digest: &Digest) -> Result<Identity, Rejection> {
    let parsed = strict_json::parse(payload);
    let claim = parsed.map_err(|error| Rejection::Claim(error.to_string()))?;
    if text(&claim, "/critical/type") != Some(CLAIM) {
        return Err(Rejection::Kind);
    }
    let signed = text(&claim, "/critical/image/docker-manifest-digest").unwrap_or_default();
    if signed != digest.as_str() {
        return Err(Rejection::Digest(shown(signed), digest.clone()));
    }
    let name = text(&claim, "/critical/identity/docker-reference").unwrap_or_default();
    let identity = name.parse().ok();
    let is_of = |identity: &Identity| identity.is_of(image);
    identity
        .filter(is_of)
        .ok_or_else(|| Rejection::Name(shown(name)))
}

/// As much of a text as a message repeats.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
