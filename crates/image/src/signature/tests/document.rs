//! What a registry lists.

use super::*;
use crate::signature::document::Form;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn layer(change: fn(&mut Value)) -> Value {
    let mut layer = json!({
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "digest": digest_of(b"payload").to_string(),
        "size": 7,
        "annotations": {"dev.cosignproject.cosign/signature": "AQID"},
    });
    change(&mut layer);
    layer
}

#[test]
fn each_layer_is_a_signature_or_says_why_it_is_none() {
    let read = |change| {
        let document = json!({"layers": [layer(change)]}).to_string();
        let mut found = candidates(document.as_bytes()).unwrap();
        found.pop()
    };
    let sound = read(|_| ()).unwrap().unwrap();
    assert_eq!(sound.form, Form::Beside(vec![1, 2, 3]));
    assert_eq!(sound.blob.digest, digest_of(b"payload"));
    for other in [
        "other",
        "",
        "application/vnd.dev.cosign.simplesigning.v1+json2",
    ] {
        let document = json!({"layers": [{"mediaType": other}]}).to_string();
        assert_eq!(candidates(document.as_bytes()), Ok(vec![]), "{other}");
    }
    let field = |name| Some(Err(Rejection::Field(name)));
    assert_eq!(read(|l| l["digest"] = json!("sha256:x")), field("digest"));
    assert_eq!(read(|l| l["digest"] = json!(5)), field("digest"));
    assert_eq!(read(|l| l["size"] = json!(-1)), field("size"));
    assert_eq!(read(|l| l["size"] = json!("7")), field("size"));
    assert_eq!(read(|l| l["annotations"] = json!({})), field("signature"));
    let unread = |text: Value| {
        let mut layer = layer(|_| ());
        layer["annotations"]["dev.cosignproject.cosign/signature"] = text;
        let document = json!({"layers": [layer]}).to_string();
        candidates(document.as_bytes()).unwrap().pop()
    };
    for text in [json!("?"), json!("AQI"), json!(1), json!("A".repeat(260))] {
        assert_eq!(unread(text.clone()), field("signature"), "{text}");
    }
    let (got, max) = (1 << 30, 64 << 10);
    let huge = read(|l| l["size"] = json!(1 << 30));
    assert_eq!(huge, Some(Err(Rejection::TooLarge { got, max })));
}

#[test]
fn a_layer_may_be_a_bundle() {
    let layer = json!({"mediaType": BUNDLE, "digest": digest_of(b"b").to_string(), "size": 2});
    let document = json!({"layers": [layer, {"mediaType": BUNDLE}]}).to_string();
    let found = candidates(document.as_bytes()).unwrap();
    let [Ok(bundle), Err(Rejection::Field("digest"))] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(bundle.form, Form::Bundle);
    assert_eq!(
        (bundle.blob.size, &bundle.blob.digest),
        (2, &digest_of(b"b"))
    );
}

#[test]
fn documents_are_manifests() {
    let read = |document: Value| candidates(document.to_string().as_bytes()).map(|all| all.len());
    let layers = [layer(|_| ()), layer(|l| l["size"] = json!(null)), json!(5)];
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(read(json!({"layers": layers})), Ok(2));
    for media_type in [OCI_MANIFEST, docker] {
        assert_eq!(
            read(json!({"mediaType": media_type, "layers": layers})),
            Ok(2)
        );
    }
    let index = "application/vnd.oci.image.index.v1+json";
    for media_type in [json!(index), json!("text/html"), json!(null), json!(2)] {
        let refused = read(json!({"mediaType": media_type, "layers": layers}));
        assert_eq!(refused, Err(Rejection::Field("mediaType")), "{media_type}");
    }
    assert_eq!(read(json!({})), Err(Rejection::Field("layers")));
    assert_eq!(read(json!({"layers": {}})), Err(Rejection::Field("layers")));
    for text in ["<html>", "", "{\"layers\": [], \"layers\": []}"] {
        let refused = candidates(text.as_bytes());
        assert!(matches!(refused, Err(Rejection::Malformed(_))), "{text}");
    }
}

#[test]
fn of_what_refers_to_an_image_signatures_count() {
    let entry = |kind: &str, size: u64| {
        json!({
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "digest": digest_of(b"manifest").to_string(),
            "size": size,
        })
    };
    let ours = "application/vnd.dev.cosign.artifact.sig.v1+json";
    let bundle = |predicate: &str, size| {
        let mut entry = entry(BUNDLE, size);
        entry["annotations"] = json!({"dev.sigstore.bundle.predicateType": predicate});
        entry
    };
    let index = json!({"manifests": [
        entry("application/spdx+json", 1),
        entry(ours, 9),
        entry(ours, 2 << 20),
        {"mediaType": OCI_MANIFEST},
        {"artifactType": ours},
        bundle("https://slsa.dev/provenance/v1", 3),
        bundle("https://sigstore.dev/cosign/sign/v1", 4),
        entry(BUNDLE, 5),
    ]});
    let found = referrers(index.to_string().as_bytes()).unwrap();
    let [
        Ok(sound),
        huge,
        Err(Rejection::Field("digest")),
        Ok(signs),
        Ok(may),
    ] = found.as_slice()
    else {
        panic!("{found:?}")
    };
    assert_eq!((signs.size, may.size), (4, 5));
    assert_eq!(
        (sound.size, sound.digest.clone()),
        (9, digest_of(b"manifest"))
    );
    let (got, max) = (2 << 20, 1 << 20);
    assert_eq!(*huge, Err(Rejection::TooLarge { got, max }));
    assert_eq!(referrers(b"{}"), Err(Rejection::Field("manifests")));
    assert!(matches!(referrers(b"["), Err(Rejection::Malformed(_))));
}
