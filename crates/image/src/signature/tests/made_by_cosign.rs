//! What cosign 3.1.3 has made of one image at a registry with one key, kept as the registry had it:
//!
//! ```text
//! cosign sign --key K --new-bundle-format=false --use-signing-config=false --tlog-upload=false IMAGE
//! cosign sign --key K --signing-config FILE IMAGE     (a file that names no service)
//! ```

use super::*;
use crate::signature::document::Form;

const IMAGE: &str = "127.0.0.1:5917/team/app:v1";
const DIGEST: &str = "sha256:0f0a856448ed66403758cb4cd436e3c22471ab006d6ee68c75f7b5910f2bff17";
const KEY: &str = include_str!("cosign/key.pem");
const SIGNATURES: &[u8] = include_bytes!("cosign/signatures.json");
const PAYLOAD: &[u8] = include_bytes!("cosign/payload.json");
const REFERRERS: &[u8] = include_bytes!("cosign/referrers.json");
const BUNDLE_MANIFEST: &[u8] = include_bytes!("cosign/bundle-manifest.json");
const BUNDLE: &[u8] = include_bytes!("cosign/bundle.json");

/// The one signature of a manifest, whose blob is `fetched`, judged for an image.
fn judged(manifest: &[u8], fetched: &[u8], image: &str, digest: &str) -> Result<Signed, Rejection> {
    let mut found = candidates(manifest).unwrap();
    let candidate = found.pop().unwrap().unwrap();
    assert!(found.is_empty());
    assert_eq!(candidate.blob.digest, digest_of(fetched));
    let key = PublicKey::from_pem(KEY.as_bytes()).unwrap();
    let wanted = Wanted {
        keys: &[key],
        takes_nameless: candidate.form == Form::Bundle,
    };
    let of = (&image.parse().unwrap(), &digest.parse().unwrap());
    judge(&candidate.form, fetched, wanted, of)
}

#[test]
fn a_signature_with_a_name_counts_for_it() {
    let signed = judged(SIGNATURES, PAYLOAD, IMAGE, DIGEST).unwrap();
    let name = signed.identity.unwrap().to_string();
    assert_eq!(name, "127.0.0.1:5917/team/app");
    let other = judged(SIGNATURES, PAYLOAD, "127.0.0.1:5917/team/other:v1", DIGEST);
    assert_eq!(other, Err(Rejection::Name(name)));
}

#[test]
fn a_bundle_is_found_and_counts_for_its_digest() {
    let found = referrers(REFERRERS).unwrap();
    let [Ok(manifest)] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(manifest.digest, digest_of(BUNDLE_MANIFEST));
    let signed = judged(BUNDLE_MANIFEST, BUNDLE, IMAGE, DIGEST).unwrap();
    assert_eq!(signed.identity, None);
    let other = digest_of(b"other");
    let refused = judged(BUNDLE_MANIFEST, BUNDLE, IMAGE, other.as_str());
    assert!(matches!(refused, Err(Rejection::Digest(..))), "{refused:?}");
}
