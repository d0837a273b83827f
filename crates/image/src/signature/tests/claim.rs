//! What a signature says.

use super::*;
use crate::signature::claim::Identity;
use crate::signature::document::Form;

const NAME: &str = "registry.example/shop/web";

fn image() -> ImageRef {
    format!("{NAME}:1").parse().unwrap()
}

/// What a signer says of an image.
fn claim(digest: &Digest, name: &str) -> Value {
    json!({
        "critical": {
            "identity": {"docker-reference": name},
            "image": {"docker-manifest-digest": digest.to_string()},
            "type": "cosign container image signature",
        },
        "optional": {"built": "by night"},
    })
}

/// Judges for [`image`] what `signer` has signed.
fn judged(
    signer: &Signer,
    payload: &[u8],
    keys: &[PublicKey],
    digest: &Digest,
) -> Result<Signed, Rejection> {
    let form = Form::Beside(signer.sign(payload));
    judge(&form, payload, wanted(keys), (&image(), digest))
}

#[test]
fn only_a_listed_key_counts_and_only_for_what_it_has_signed() {
    let (digest, other) = (digest_of(b"one"), digest_of(b"other"));
    for (signer, stranger) in [
        (Signer::p256(), Signer::p256()),
        (Signer::ed25519(), Signer::p256()),
        (Signer::p256(), Signer::ed25519()),
    ] {
        let keys = [Signer::p256().public(), signer.public()];
        let payload = claim(&digest, NAME).to_string().into_bytes();
        let signed = judged(&signer, &payload, &keys, &digest).unwrap();
        assert_eq!(signed.key, *keys[1].id());
        assert_eq!(signed.digest, digest);
        let by_stranger = judged(&stranger, &payload, &keys, &digest);
        assert_eq!(by_stranger, Err(Rejection::Key));
        let of_other = judged(&signer, &payload, &keys, &other);
        let why = Rejection::Digest(digest.to_string(), other.clone());
        assert_eq!(of_other, Err(why));
        assert_eq!(judged(&signer, &payload, &[], &digest), Err(Rejection::Key));
    }
}

#[test]
fn the_name_that_is_signed_is_the_name_that_is_used() {
    let (signer, digest) = (Signer::ed25519(), digest_of(b"one"));
    let keys = [signer.public()];
    for (name, counts) in [
        (NAME, true),
        ("registry.example/shop/web:1", true),
        ("Registry.Example:443/shop/web", true),
        ("registry.example/shop/web:2", false),
        ("registry.example/shop/web:latest", false),
        ("registry.example/shop/api", false),
        ("registry.example/shop", false),
        ("registry.example:5000/shop/web", false),
        ("other.example/shop/web", false),
        ("shop/web", false),
        ("", false),
        ("*", false),
    ] {
        let payload = claim(&digest, name).to_string().into_bytes();
        let judged = judged(&signer, &payload, &keys, &digest);
        let expected = Rejection::Name(name.to_owned());
        assert_eq!(judged.is_ok(), counts, "{name}");
        assert!(counts || judged == Err(expected), "{name}");
    }
}

#[test]
fn what_is_signed_has_to_be_a_claim_of_an_image() {
    let (signer, digest) = (Signer::p256(), digest_of(b"one"));
    let keys = [signer.public()];
    let sound = claim(&digest, NAME);
    let changed = |change: fn(&mut Value)| {
        let mut claim = sound.clone();
        change(&mut claim);
        judged(&signer, claim.to_string().as_bytes(), &keys, &digest).unwrap_err()
    };
    let kind = changed(|claim| claim["critical"]["type"] = json!("atomic container signature"));
    assert_eq!(kind, Rejection::Kind);
    assert_eq!(changed(|claim| *claim = json!([])), Rejection::Kind);
    let digest_gone = changed(|claim| claim["critical"]["image"] = json!({}));
    assert_eq!(
        digest_gone,
        Rejection::Digest(String::new(), digest.clone())
    );
    let name_gone = changed(|claim| claim["critical"]["identity"] = json!(null));
    assert_eq!(name_gone, Rejection::Name(String::new()));
    let twice = sound.to_string().replacen('{', "{\"critical\":{},", 1);
    for text in [twice.as_str(), "", "{", "\u{0}"] {
        let why = judged(&signer, text.as_bytes(), &keys, &digest).unwrap_err();
        assert!(matches!(why, Rejection::Claim(_)), "{text}: {why}");
    }
}

#[test]
fn no_byte_can_be_changed() {
    let digest = digest_of(b"one");
    for signer in [Signer::p256(), Signer::ed25519()] {
        let keys = [signer.public()];
        let payload = claim(&digest, NAME).to_string().into_bytes();
        let signature = signer.sign(&payload);
        let check = |signature: &[u8], payload: &[u8]| {
            let form = Form::Beside(signature.to_vec());
            judge(&form, payload, wanted(&keys), (&image(), &digest))
        };
        check(&signature, &payload).unwrap();
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 1;
            assert_eq!(check(&signature, &changed), Err(Rejection::Key), "{at}");
        }
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            assert_eq!(check(&changed, &payload), Err(Rejection::Key), "{at}");
        }
        for end in 0..signature.len() {
            let cut = check(&signature[..end], &payload);
            assert_eq!(cut, Err(Rejection::Key), "{end}");
        }
    }
}

#[test]
fn what_was_found_holds_for_its_key_name_and_documents() {
    let (digest, key) = (digest_of(b"one"), Signer::p256().public());
    let others = [Signer::p256().public(), Signer::ed25519().public()];
    let both = [others[0].clone(), key.clone()];
    let signed = |name: &str| Signed {
        digest: digest.clone(),
        identity: Some(name.parse().unwrap()),
        key: key.id().clone(),
    };
    let documents = BTreeSet::from([digest.clone(), digest_of(b"index")]);
    let unknown = BTreeSet::from([digest_of(b"index")]);
    for (name, documents, keys, holds) in [
        (NAME, &documents, &both, true),
        (NAME, &documents, &others, false),
        (NAME, &unknown, &both, false),
        ("registry.example/shop/web:1", &documents, &both, true),
        ("registry.example/shop/web:2", &documents, &both, false),
        ("registry.example/shop/api", &documents, &both, false),
    ] {
        let signed = signed(name);
        assert_eq!(
            signed.holds(&image(), documents, wanted(keys)),
            holds,
            "{name}"
        );
        let identity = signed.identity.unwrap();
        let again: Identity = identity.to_string().parse().unwrap();
        assert_eq!(again, identity, "{name}");
    }
    let by_digest = image().at_digest(digest.clone());
    let signed = signed("registry.example/shop/web:2");
    assert!(
        signed.holds(&by_digest, &documents, wanted(&both)),
        "no tag is asked for"
    );
}
