//! `ring` as the cryptography of `jsonwebtoken`, which brings none of its own: there is one provider
//! in this program. Only signatures are looked at; nothing is signed.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: verifier,
    // Only used to derive keys from other keys.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Sees to it that `jsonwebtoken` uses `ring`.
pub(super) fn install() {
    // A second time changes nothing.
    let _ = PROVIDER.install_default();
}

/// A key that is looked at as its algorithm says.
enum Key {
    Rsa {
        algorithm: Algorithm,
        how: &'static RsaParameters,
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Curve {
        algorithm: Algorithm,
        how: &'static dyn VerificationAlgorithm,
        key: Vec<u8>,
    },
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let algorithm = *algorithm;
    let rsa = |how: &'static RsaParameters| -> Result<Key> {
        let DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() else {
            return Err(ErrorKind::InvalidKeyFormat.into());
        };
        let (n, e) = (n.clone(), e.clone());
        Ok(Key::Rsa {
            algorithm,
            how,
            n,
            e,
        })
    };
    let curve = |family, how: &'static dyn VerificationAlgorithm| -> Result<Key> {
        if key.family() != family {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        let key = key.try_get_as_bytes()?.to_vec();
        Ok(Key::Curve {
            algorithm,
            how,
            key,
        })
    };
    let key = match algorithm {
        Algorithm::RS256 => rsa(&RSA_PKCS1_2048_8192_SHA256)?,
        Algorithm::RS384 => rsa(&RSA_PKCS1_2048_8192_SHA384)?,
        Algorithm::RS512 => rsa(&RSA_PKCS1_2048_8192_SHA512)?,
        Algorithm::PS256 => rsa(&RSA_PSS_2048_8192_SHA256)?,
        Algorithm::PS384 => rsa(&RSA_PSS_2048_8192_SHA384)?,
        Algorithm::PS512 => rsa(&RSA_PSS_2048_8192_SHA512)?,
        Algorithm::ES256 => curve(AlgorithmFamily::Ec, &ECDSA_P256_SHA256_FIXED)?,
        Algorithm::EdDSA => curve(AlgorithmFamily::Ed, &ED25519)?,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(Box::new(key))
}

impl Verifier<Vec<u8>> for Key {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let verified = match self {
            Self::Rsa { how, n, e, .. } => {
                RsaPublicKeyComponents { n, e }.verify(how, message, signature)
            }
            Self::Curve { how, key, .. } => {
                UnparsedPublicKey::new(*how, key).verify(message, signature)
            }
        };
        verified.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Key {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { algorithm, .. } | Self::Curve { algorithm, .. } => *algorithm,
        }
    }
}
