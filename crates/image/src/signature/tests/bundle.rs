//! Signatures that come in bundles.

use super::*;
use crate::signature::document::Form;

const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
const TYPE: &str = "application/vnd.in-toto+json";

fn statement(digest: &Digest) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": &digest.as_str()["sha256:".len()..]}}],
        "predicateType": SIGN,
        "predicate": {},
    })
}

/// A bundle in which `signer` signs a statement.
fn bundle(signer: &Signer, statement: &str) -> Value {
    let message = format!(
        "DSSEv1 {} {TYPE} {} {statement}",
        TYPE.len(),
        statement.len()
    );
    let signature = STANDARD.encode(signer.sign(message.as_bytes()));
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "any"}},
        "dsseEnvelope": {
            "payload": STANDARD.encode(statement),
            "payloadType": TYPE,
            "signatures": [{"sig": signature}],
        },
    })
}

/// Judges where signatures without a name are taken.
fn judged(bundle: &Value, keys: &[PublicKey], digest: &Digest) -> Result<Signed, Rejection> {
    let wanted = Wanted {
        keys,
        takes_nameless: true,
    };
    let bundle = bundle.to_string();
    let image: ImageRef = "registry.example/shop/web:1".parse().unwrap();
    judge(&Form::Bundle, bundle.as_bytes(), wanted, (&image, digest))
}

#[test]
fn a_bundle_counts_for_its_digest_where_no_name_is_asked_for() {
    let (digest, other) = (digest_of(b"one"), digest_of(b"other"));
    for signer in [Signer::p256(), Signer::ed25519()] {
        let keys = [Signer::p256().public(), signer.public()];
        let sound = bundle(&signer, &statement(&digest).to_string());
        let signed = judged(&sound, &keys, &digest).unwrap();
        assert_eq!((&signed.digest, &signed.key), (&digest, keys[1].id()));
        assert_eq!(signed.identity, None);
        let why = Rejection::Digest(digest.as_str()["sha256:".len()..].to_owned(), other.clone());
        assert_eq!(judged(&sound, &keys, &other), Err(why));
        assert_eq!(judged(&sound, &keys[..1], &digest), Err(Rejection::Key));

        let (image, bytes) = ("registry.example/a".parse().unwrap(), sound.to_string());
        let by_name = judge(
            &Form::Bundle,
            bytes.as_bytes(),
            wanted(&keys),
            (&image, &digest),
        );
        assert_eq!(by_name, Err(Rejection::Nameless));
        let documents = BTreeSet::from([digest.clone()]);
        let takes_nameless = Wanted {
            takes_nameless: true,
            ..wanted(&keys)
        };
        assert!(signed.holds(&image, &documents, takes_nameless));
        assert!(!signed.holds(&image, &documents, wanted(&keys)));
    }
}

#[test]
fn what_else_is_said_of_an_image_is_no_signature() {
    let (signer, digest) = (Signer::p256(), digest_of(b"one"));
    let keys = [signer.public()];
    let says = |change: fn(&mut Value)| {
        let mut statement = statement(&digest);
        change(&mut statement);
        judged(&bundle(&signer, &statement.to_string()), &keys, &digest)
    };
    says(|_| ()).unwrap();
    let others = json!([{"digest": {"sha256": "00"}}, {"name": "x"}]);
    let other_kinds: [fn(&mut Value); 3] = [
        |s| s["predicateType"] = json!("https://slsa.dev/provenance/v1"),
        |s| s["_type"] = json!("https://in-toto.io/Statement/v9"),
        |s| *s = json!([]),
    ];
    for change in other_kinds {
        assert_eq!(says(change), Err(Rejection::Kind));
    }
    assert_eq!(
        says(|s| s["subject"] = json!({})),
        Err(Rejection::Field("subject"))
    );
    let none = Rejection::Digest(String::new(), digest.clone());
    assert_eq!(says(|s| s["subject"] = json!([])), Err(none));
    let mut elsewhere = statement(&digest);
    elsewhere["subject"] = others;
    let elsewhere = bundle(&signer, &elsewhere.to_string());
    let why = Rejection::Digest("00".to_owned(), digest.clone());
    assert_eq!(judged(&elsewhere, &keys, &digest), Err(why));
    for text in ["", "{", r#"{"_type": 1, "_type": 2}"#] {
        let why = judged(&bundle(&signer, text), &keys, &digest).unwrap_err();
        assert!(matches!(why, Rejection::Claim(_)), "{text}: {why}");
    }
}

#[test]
fn an_envelope_has_one_signature_of_all_that_it_holds() {
    let (signer, digest) = (Signer::ed25519(), digest_of(b"one"));
    let keys = [signer.public()];
    let sound = bundle(&signer, &statement(&digest).to_string());
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut bundle = sound.clone();
        change(&mut bundle["dsseEnvelope"]);
        judged(&bundle, &keys, &digest).unwrap_err()
    };
    let field = Rejection::Field;
    assert_eq!(
        changed(&|e| e["payloadType"] = json!("text/plain")),
        field("payloadType")
    );
    assert_eq!(changed(&|e| e["payload"] = json!("?")), field("payload"));
    assert_eq!(
        changed(&|e| e["signatures"] = json!([])),
        field("signature")
    );
    let one = sound["dsseEnvelope"]["signatures"][0].clone();
    assert_eq!(
        changed(&|e| e["signatures"] = json!([one, one])),
        field("signature")
    );
    assert_eq!(
        changed(&|e| e["signatures"][0]["sig"] = json!(3)),
        field("signature")
    );
    let other = STANDARD.encode(statement(&digest_of(b"other")).to_string());
    assert_eq!(changed(&|e| e["payload"] = json!(other)), Rejection::Key);
    // The statement signed by itself is not the envelope signed.
    let bare = STANDARD.encode(signer.sign(statement(&digest).to_string().as_bytes()));
    assert_eq!(
        changed(&|e| e["signatures"][0]["sig"] = json!(bare)),
        Rejection::Key
    );
    let empty = judged(&json!({}), &keys, &digest);
    assert_eq!(empty, Err(field("dsseEnvelope")));
}
