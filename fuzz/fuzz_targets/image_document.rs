//! What registries and archives say of images: indexes, manifests, configurations. What is taken is
//! within its bounds, is one thing and not another, and holds no value that means something else where
//! it ends up.
#![no_main]

use burstlet_image::{DOCUMENT_BYTES_MAX, Document, ImageConfig, LAYERS_MAX, Platform};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Bytes of the largest layer.
const BLOB_BYTES_MAX: u64 = 64 << 30;

fuzz_target!(|data: &[u8]| {
    let Some((kind, text)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => check_config(text, usize::from(*kind) / 4),
        1 => check_document(text, None),
        2 => check_document(text, Some("application/vnd.oci.image.manifest.v1+json")),
        _ => check_document(text, Some("application/vnd.oci.image.index.v1+json")),
    }
});

fn check_document(text: &[u8], media_type: Option<&str>) {
    let Ok(document) = Document::parse(text, media_type) else {
        return;
    };
    let value: Value = serde_json::from_slice(text).expect("it is JSON");
    let claimed = value.get("mediaType").and_then(Value::as_str);
    assert!(claimed.is_none() || media_type.is_none() || claimed == media_type);
    match document {
        Document::Index(index) => {
            assert!(value.get("layers").is_none() && value.get("config").is_none());
            if let Ok(chosen) = index.choose(&Platform::host()) {
                assert!(chosen.size <= DOCUMENT_BYTES_MAX);
                assert!(index.entries.iter().any(|entry| entry.document == *chosen));
            }
        }
        Document::Manifest(manifest) => {
            assert!(value.get("manifests").is_none());
            assert!(manifest.layers.len() <= LAYERS_MAX);
            assert!(manifest.config.size <= DOCUMENT_BYTES_MAX);
            assert!(
                manifest
                    .layers
                    .iter()
                    .all(|l| l.blob.size <= BLOB_BYTES_MAX)
            );
            let listed = value["layers"].as_array().expect("its layers");
            assert_eq!(listed.len(), manifest.layers.len());
            for (raw, layer) in listed.iter().zip(&manifest.layers) {
                assert_eq!(raw["digest"], layer.blob.digest.as_str());
            }
        }
    }
}

fn check_config(text: &[u8], layers: usize) {
    let Ok(config) = ImageConfig::parse(text, layers) else {
        return;
    };
    assert_eq!(config.diff_ids.len(), layers);
    let texts = config.entrypoint.iter().chain(&config.cmd);
    assert!(texts.into_iter().all(|text| !text.contains('\0')));
    let mut names: Vec<&str> = config.env.iter().map(|(name, _)| name.as_str()).collect();
    for (name, value) in &config.env {
        assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
    }
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    for path in config.volumes.iter().chain([&config.working_dir]) {
        assert!(path.starts_with('/') && !path.contains('\0'), "{path:?}");
        assert!(
            path.split('/').all(|part| part != ".." && part != "."),
            "{path:?}"
        );
    }
    let reserved = |label: &String| label.starts_with("io.kubernetes.");
    assert!(!config.labels.keys().any(reserved));
    assert!(config.exposed_ports.iter().all(|port| port.number > 0));
}
