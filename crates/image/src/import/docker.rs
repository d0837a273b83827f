//! What `docker save` writes: `manifest.json`, configurations and unpacked layers under names of
//! no meaning. An OCI manifest is written for each image, so that it looks like any other.

use std::collections::HashMap;
use std::io::Read;

use burstlet_model::{Digest, ImageRef};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Blobs, IMPORTED_IMAGES_MAX, Import, ImportError, ImportedImage, malformed, parse, read_failed,
};
use crate::LAYERS_MAX;
use crate::unpack::name::EntryName;

pub(super) const MANIFEST: &str = "manifest.json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const READ_BYTES: usize = 256 << 10;
const NAME_DEPTH_MAX: u64 = 16;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// A member that was hashed.
#[derive(Clone)]
struct Hashed {
    digest: Digest,
    size: u64,
    packing: &'static str,
}

/// Reads the list of images and hashes what they consist of, each part once.
pub(super) fn open(blobs: Blobs) -> Result<Import, ImportError> {
    let saved: Vec<SavedImage> = parse(MANIFEST, &blobs.document(MANIFEST)?)?;
    if saved.len() > IMPORTED_IMAGES_MAX {
        return Err(ImportError::TooMany {
            what: "images",
            max: IMPORTED_IMAGES_MAX as u64,
        });
    }
    if saved.is_empty() {
        return Err(malformed(MANIFEST, "it lists no image"));
    }
    let mut hasher = Hasher {
        blobs,
        known: HashMap::new(),
    };
    let images = saved
        .iter()
        .map(|image| hasher.image(image))
        .collect::<Result<_, _>>()?;
    Ok(Import {
        images,
        blobs: hasher.blobs,
    })
}

struct Hasher {
    blobs: Blobs,
    known: HashMap<String, Hashed>,
}

impl Hasher {
    fn image(&mut self, saved: &SavedImage) -> Result<ImportedImage, ImportError> {
        if saved.layers.len() > LAYERS_MAX {
            return Err(ImportError::TooMany {
                what: "layers",
                max: LAYERS_MAX as u64,
            });
        }
        let config = self.hash(&saved.config)?;
        let layers = saved
            .layers
            .iter()
            .map(|name| self.hash(name).map(|layer| layer.descriptor(layer.packing)))
            .collect::<Result<Vec<_>, _>>()?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.descriptor(OCI_CONFIG),
            "layers": layers,
        });
        let document = self
            .blobs
            .write(manifest.to_string().into_bytes(), OCI_MANIFEST);
        let tags = saved.repo_tags.as_deref().unwrap_or_default();
        let references = tags
            .iter()
            .map(|tag| {
                tag.parse::<ImageRef>()
                    .map_err(|error| malformed(MANIFEST, error))
            })
            .collect::<Result<_, _>>()?;
        Ok(ImportedImage {
            references,
            document,
        })
    }

    fn hash(&mut self, name: &str) -> Result<Hashed, ImportError> {
        let name = EntryName::parse(name.as_bytes(), NAME_DEPTH_MAX)
            .ok()
            .and_then(|name| String::from_utf8(name.path().to_vec()).ok())
            .ok_or_else(|| malformed(MANIFEST, format!("{name:?} is no member's name")))?;
        if let Some(known) = self.known.get(&name) {
            return Ok(known.clone());
        }
        let mut blob = self.blobs.member(&name)?;
        let size = blob.size();
        let mut hash = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut packing = None;
        loop {
            let length = blob
                .read(&mut buffer)
                .map_err(|error| read_failed(&name, error))?;
            let run = buffer.get(..length).unwrap_or_default();
            packing.get_or_insert_with(|| packing_of(run));
            if run.is_empty() {
                break;
            }
            hash.update(run);
        }
        let digest = Digest::new(format!("sha256:{}", hex::encode(hash.finalize())))
            .map_err(|error| malformed(MANIFEST, error))?;
        let hashed = Hashed {
            digest,
            size,
            packing: packing.unwrap_or(packing_of(b"")),
        };
        self.blobs.named.insert(hashed.digest.clone(), name.clone());
        self.known.insert(name, hashed.clone());
        Ok(hashed)
    }
}

impl Hashed {
    fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest.as_str(), "size": self.size })
    }
}

/// The media type of a layer by its first bytes; docker's own archives do not say.
fn packing_of(head: &[u8]) -> &'static str {
    match head {
        [0x1f, 0x8b, ..] => "application/vnd.oci.image.layer.v1.tar+gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "application/vnd.oci.image.layer.v1.tar+zstd",
        _ => "application/vnd.oci.image.layer.v1.tar",
    }
}
