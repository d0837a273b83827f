//! An OCI image layout: `index.json` and `blobs/sha256/…`.

use std::collections::HashMap;

use burstlet_model::{Digest, ImageRef};
use serde::Deserialize;

use super::{Blobs, IMPORTED_IMAGES_MAX, Import, ImportError, ImportedImage, malformed, parse};
use crate::Descriptor;

pub(super) const INDEX: &str = "index.json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The image's whole name, as containerd and buildkit write it.
const FULL_NAME: &str = "io.containerd.image.name";
/// The image's name or only its tag, at the writer's pleasure.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

#[derive(Deserialize)]
struct RootIndex {
    manifests: Vec<RootEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RootEntry {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

/// Reads the index. Entries with names are images of their own; an index without any names is one
/// image, for as many platforms as it has entries.
pub(super) fn open(mut blobs: Blobs) -> Result<Import, ImportError> {
    let bytes = blobs.document(INDEX).map_err(|error| match error {
        ImportError::Missing(_) => ImportError::NotAnImage,
        error => error,
    })?;
    let index: RootIndex = parse(INDEX, &bytes)?;
    if index.manifests.len() > IMPORTED_IMAGES_MAX {
        let max = IMPORTED_IMAGES_MAX as u64;
        return Err(ImportError::TooMany {
            what: "images",
            max,
        });
    }
    let mut images = Vec::new();
    for entry in &index.manifests {
        let digest = Digest::new(&entry.digest).map_err(|error| malformed(INDEX, error))?;
        let media_type = entry.media_type.clone();
        let document = Descriptor {
            digest,
            size: entry.size,
            media_type,
        };
        add(&mut images, document, entry.reference());
    }
    let nameless = images.iter().all(|image| image.references.is_empty());
    if nameless && images.len() > 1 {
        let document = blobs.write(bytes, OCI_INDEX);
        images = vec![ImportedImage {
            references: Vec::new(),
            document,
        }];
    }
    if images.is_empty() {
        return Err(malformed(INDEX, "it lists no image"));
    }
    Ok(Import { images, blobs })
}

/// One image may be listed once for each of its names.
fn add(images: &mut Vec<ImportedImage>, document: Descriptor, reference: Option<ImageRef>) {
    match images.iter_mut().find(|image| image.document == document) {
        Some(known) => known.references.extend(reference),
        None => images.push(ImportedImage {
            references: reference.into_iter().collect(),
            document,
        }),
    }
}

impl RootEntry {
    /// A bare tag names nothing by itself, so it is left to the importer to name the image.
    fn reference(&self) -> Option<ImageRef> {
        let full = self.annotations.get(FULL_NAME);
        let short = self
            .annotations
            .get(REF_NAME)
            .filter(|name| name.contains(['/', ':']));
        full.or(short).and_then(|name| name.parse().ok())
    }
}
