#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::semicolon_if_nothing_returned,
    reason = "a table of one-line changes"
)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn descriptor(media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{HEX}"), "size": 10})
}

fn manifest() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
    })
}

fn index() -> Value {
    let entry = |os: &str, architecture: &str| {
        let mut entry = descriptor(OCI_MANIFEST);
        entry["platform"] = json!({"os": os, "architecture": architecture});
        entry
    };
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [entry("linux", "s390x"), entry("linux", "amd64")],
    })
}

fn parse(value: &Value, media_type: Option<&str>) -> Result<Document, DocumentError> {
    Document::parse(value.to_string().as_bytes(), media_type)
}

/// One way to corrupt a document.
type Corruption = (&'static str, fn(&mut Value));

/// Applies `change` to a good manifest or index.
fn corrupted(mut value: Value, change: fn(&mut Value)) -> Value {
    change(&mut value);
    value
}

#[test]
fn good_documents_are_read() {
    let Document::Manifest(read) = parse(&manifest(), Some(OCI_MANIFEST)).unwrap() else {
        panic!("a manifest is read as a manifest");
    };
    assert_eq!(read.layers.len(), 1);
    assert_eq!(read.layers[0].packing, LayerPacking::Gzip);
    assert_eq!(read.config.digest.hex(), HEX);
    let Document::Index(read) = parse(&index(), Some(OCI_INDEX)).unwrap() else {
        panic!("an index is read as an index");
    };
    let host = Platform {
        os: "linux".into(),
        architecture: "amd64".into(),
        variant: None,
    };
    assert_eq!(read.choose(&host).unwrap(), &read.entries[1].document);
    let mut untyped = manifest();
    untyped.as_object_mut().unwrap().remove("mediaType");
    assert!(parse(&untyped, None).is_ok());
    assert!(parse(&untyped, Some(OCI_MANIFEST)).is_ok());
}

#[test]
fn corrupted_manifests_are_refused() {
    let corruptions: &[Corruption] = &[
        ("no config", |m| {
            drop(m.as_object_mut().unwrap().remove("config"))
        }),
        ("no layers", |m| {
            drop(m.as_object_mut().unwrap().remove("layers"))
        }),
        ("no version", |m| {
            drop(m.as_object_mut().unwrap().remove("schemaVersion"))
        }),
        ("schema 1", |m| m["schemaVersion"] = 1.into()),
        ("schema 3", |m| m["schemaVersion"] = 3.into()),
        ("schema text", |m| m["schemaVersion"] = "2".into()),
        ("schema 1 fields", |m| m["fsLayers"] = json!([])),
        ("both shapes", |m| m["manifests"] = json!([])),
        ("claims index", |m| m["mediaType"] = OCI_INDEX.into()),
        ("claims other", |m| m["mediaType"] = "text/plain".into()),
        ("claims docker", |m| m["mediaType"] = DOCKER_MANIFEST.into()),
        ("claims a number", |m| m["mediaType"] = 1.into()),
        ("upper-case digest", |m| {
            m["config"]["digest"] = format!("sha256:{}", HEX.to_uppercase()).into();
        }),
        ("short digest", |m| {
            m["config"]["digest"] = "sha256:abcd".into()
        }),
        ("long digest", |m| {
            m["layers"][0]["digest"] = format!("sha256:{HEX}0").into()
        }),
        ("sha512 digest", |m| {
            m["layers"][0]["digest"] = format!("sha512:{HEX}{HEX}").into()
        }),
        ("md5 digest", |m| {
            m["layers"][0]["digest"] = "md5:d41d8cd98f00b204".into()
        }),
        ("digest without algorithm", |m| {
            m["layers"][0]["digest"] = HEX.into()
        }),
        ("digest as a path", |m| {
            m["layers"][0]["digest"] = format!("sha256:../../{}", &HEX[6..]).into();
        }),
        ("digest null", |m| m["layers"][0]["digest"] = Value::Null),
        ("negative size", |m| m["layers"][0]["size"] = (-1).into()),
        ("fractional size", |m| m["layers"][0]["size"] = json!(1.5)),
        ("size beyond i64", |m| {
            m["layers"][0]["size"] = u64::MAX.into()
        }),
        ("huge layer", |m| {
            m["layers"][0]["size"] = (BLOB_BYTES_MAX + 1).into()
        }),
        ("huge config", |m| {
            m["config"]["size"] = (DOCUMENT_BYTES_MAX + 1).into()
        }),
        ("size missing", |m| {
            drop(m["config"].as_object_mut().unwrap().remove("size"))
        }),
        ("config is no image", |m| {
            m["config"]["mediaType"] = "application/json".into()
        }),
        ("erofs layer", |m| {
            m["layers"][0]["mediaType"] = "application/vnd.erofs".into()
        }),
        ("squashfs layer", |m| {
            m["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.squashfs".into();
        }),
        ("encrypted layer", |m| {
            m["layers"][0]["mediaType"] =
                "application/vnd.oci.image.layer.v1.tar+gzip+encrypted".into();
        }),
        ("layers an object", |m| m["layers"] = json!({})),
        ("too many layers", |m| {
            m["layers"] = vec![m["layers"][0].clone(); LAYERS_MAX + 1].into();
        }),
        ("an array", |m| *m = json!([])),
        ("null", |m| *m = Value::Null),
    ];
    for (name, change) in corruptions {
        let value = corrupted(manifest(), *change);
        assert!(
            parse(&value, Some(OCI_MANIFEST)).is_err(),
            "{name}: {value}"
        );
    }
}

#[test]
fn corrupted_indexes_are_refused() {
    let corruptions: &[Corruption] = &[
        ("both shapes", |i| i["layers"] = json!([])),
        ("a config", |i| i["config"] = json!({})),
        ("claims manifest", |i| i["mediaType"] = OCI_MANIFEST.into()),
        ("bad digest", |i| {
            i["manifests"][0]["digest"] = "sha256:".into()
        }),
        ("huge manifest", |i| {
            i["manifests"][0]["size"] = (DOCUMENT_BYTES_MAX + 1).into()
        }),
        ("too many entries", |i| {
            i["manifests"] = vec![i["manifests"][0].clone(); INDEX_ENTRIES_MAX + 1].into();
        }),
        ("manifests null", |i| i["manifests"] = Value::Null),
    ];
    for (name, change) in corruptions {
        let value = corrupted(index(), *change);
        assert!(parse(&value, Some(OCI_INDEX)).is_err(), "{name}: {value}");
    }
}

#[test]
fn the_type_sent_and_the_type_claimed_agree() {
    assert!(matches!(
        parse(&manifest(), Some(OCI_INDEX)),
        Err(DocumentError::Ambiguous(_))
    ));
    assert!(matches!(
        parse(&index(), Some(OCI_MANIFEST)),
        Err(DocumentError::Ambiguous(_))
    ));
    let mut untyped = index();
    untyped.as_object_mut().unwrap().remove("mediaType");
    assert!(matches!(
        parse(&untyped, Some(OCI_MANIFEST)),
        Err(DocumentError::Ambiguous(_))
    ));
    let html = parse(&json!({}), Some("text/html"));
    assert_eq!(html, Err(DocumentError::MediaType("text/html".into())));
}

#[test]
fn duplicate_keys_and_trailing_bytes_are_refused() {
    let text = manifest().to_string();
    let doubled = text.replacen('{', r#"{"schemaVersion":2,"#, 1);
    for bytes in [doubled, format!("{text}{text}"), format!("{text}x")] {
        assert!(
            Document::parse(bytes.as_bytes(), Some(OCI_MANIFEST)).is_err(),
            "{bytes}"
        );
    }
    let padded = format!("{text}{}", " ".repeat(DOCUMENT_BYTES_MAX as usize));
    let error = Document::parse(padded.as_bytes(), Some(OCI_MANIFEST));
    assert!(matches!(
        error,
        Err(DocumentError::TooLarge { what: "bytes", .. })
    ));
}

#[test]
fn an_index_without_our_platform_says_what_it_has() {
    let Document::Index(index) = parse(&index(), None).unwrap() else {
        panic!("an index is read as an index");
    };
    let host = Platform {
        os: "linux".into(),
        architecture: "riscv64".into(),
        variant: None,
    };
    let error = index.choose(&host).unwrap_err();
    let expected = "the index has no image for linux/riscv64; it has: linux/s390x, linux/amd64";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn foreign_urls_are_not_read() {
    let mut value = manifest();
    value["layers"][0]["urls"] = json!(["https://elsewhere.example/layer"]);
    assert_eq!(
        parse(&value, Some(OCI_MANIFEST)),
        parse(&manifest(), Some(OCI_MANIFEST))
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::parse(&bytes, None);
    }
}
