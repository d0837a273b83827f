//! Public keys: ECDSA on P-256 and Ed25519.

use burstlet_model::{Digest, ErrorKind};
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::{self, PemObject};

use crate::digest_of;

/// What a key in DER begins with: its algorithm, in the only way to write it, up to the byte that says
/// that both coordinates of the point follow.
const P256_BEGIN: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P256_POINT_BYTES: usize = 65;
/// What a point with both coordinates begins with.
const P256_UNCOMPRESSED: u8 = 4;
const ED25519_BEGIN: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const ED25519_POINT_BYTES: usize = 32;

/// A key whose owner signs images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    id: Digest,
    algorithm: Algorithm,
    point: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    EcdsaP256,
    Ed25519,
}

/// Why a text is not a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is not a public key in PEM.
    #[error("it is not a public key in PEM")]
    NotPem(#[source] pem::Error),
    /// It has none, or several.
    #[error("it has {0} public keys in PEM instead of one; give each a file of its own")]
    Count(usize),
    /// It is of another kind.
    #[error("the key is of a kind that is not known here: use ECDSA on P-256, or Ed25519")]
    Unknown,
}

impl KeyError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl PublicKey {
    /// Takes a key in PEM (`PUBLIC KEY`).
    ///
    /// # Errors
    /// It is none, one of several, or of a kind that is not known here.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let found: Result<Vec<_>, _> = SubjectPublicKeyInfoDer::pem_slice_iter(pem).collect();
        let found = found.map_err(KeyError::NotPem)?;
        let [der] = found.as_slice() else {
            return Err(KeyError::Count(found.len()));
        };
        let (algorithm, point) = point(der).ok_or(KeyError::Unknown)?;
        Ok(Self {
            id: digest_of(der),
            algorithm,
            point: point.to_vec(),
        })
    }

    /// The digest of the key.
    pub(crate) const fn id(&self) -> &Digest {
        &self.id
    }

    /// Whether its owner has signed a message.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Algorithm::Ed25519 => &ED25519,
        };
        let key = UnparsedPublicKey::new(algorithm, &self.point);
        key.verify(message, signature).is_ok()
    }
}

/// The point of a key in DER, if it is of a kind that is known.
fn point(der: &[u8]) -> Option<(Algorithm, &[u8])> {
    if let Some(point) = der.strip_prefix(P256_BEGIN) {
        let is_whole = point.len() == P256_POINT_BYTES && point.first() == Some(&P256_UNCOMPRESSED);
        return is_whole.then_some((Algorithm::EcdsaP256, point));
    }
    let point = der.strip_prefix(ED25519_BEGIN)?;
    (point.len() == ED25519_POINT_BYTES).then_some((Algorithm::Ed25519, point))
}
