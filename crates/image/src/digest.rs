use burstlet_model::Digest;
use sha2::{Digest as _, Sha256};

/// A running SHA-256 that ends in a [`Digest`].
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        let text = format!("sha256:{}", hex::encode(self.0.finalize()));
        // The text has the digest's form by construction.
        Digest::new(text).unwrap_or_else(|_| unreachable!("a SHA-256 in hexadecimal is a digest"))
    }
}

/// The digest of `bytes`.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}
