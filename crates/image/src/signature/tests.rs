use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burstlet_model::ImageRef;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;
use crate::digest_of;

mod bundle;
mod claim;
mod document;
mod made_by_cosign;
mod policy;

/// What keys in DER begin with.
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const ED25519: &str = "302a300506032b6570032100";

/// Somebody who signs.
enum Signer {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    fn p256() -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_ASN1_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self::P256(EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).unwrap())
    }

    fn ed25519() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
    }

    fn public(&self) -> PublicKey {
        let (begin, point) = match self {
            Self::P256(key) => (P256, key.public_key().as_ref()),
            Self::Ed25519(key) => (ED25519, key.public_key().as_ref()),
        };
        PublicKey::from_pem(pem(begin, point).as_bytes()).unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signed = key.sign(&SystemRandom::new(), message).unwrap();
                signed.as_ref().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

/// What counts where only these keys do, and names are asked for.
const fn wanted(keys: &[PublicKey]) -> Wanted<'_> {
    Wanted {
        keys,
        takes_nameless: false,
    }
}

fn pem(begin: &str, point: &[u8]) -> String {
    let der = [&hex::decode(begin).unwrap(), point].concat();
    let text = STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

#[test]
fn keys_are_of_two_kinds_and_one_in_a_file() {
    let mut point = [7; 65];
    point[0] = 4;
    let sound = pem(P256, &point);
    for (text, expected) in [
        (sound.clone(), Ok(())),
        (pem(ED25519, &point[..32]), Ok(())),
        (pem(P256, &[7; 65]), Err("of a kind")),
        (pem(P256, &point[..64]), Err("of a kind")),
        (pem(ED25519, &point), Err("of a kind")),
        (pem("3000", &point), Err("of a kind")),
        (String::new(), Err("it has 0 public keys")),
        (
            sound.replace("PUBLIC", "PRIVATE"),
            Err("it has 0 public keys"),
        ),
        (sound.repeat(2), Err("it has 2 public keys")),
        (
            sound.replace("-----END", "----END"),
            Err("not a public key in PEM"),
        ),
    ] {
        let read = PublicKey::from_pem(text.as_bytes()).map_err(|error| error.to_string());
        match (read, expected) {
            (Ok(_), Ok(())) => {}
            (Err(told), Err(part)) => assert!(told.contains(part), "{told}: {text}"),
            (read, expected) => panic!("{read:?} instead of {expected:?}: {text}"),
        }
    }
}
