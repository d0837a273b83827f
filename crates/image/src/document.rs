//! Image indexes and manifests: what a registry or an archive says an image consists of.
//!
//! A document is read as exactly one thing. One that has the fields of both an index and a
//! manifest, or whose own media type differs from the one it was sent as, is refused: two readers
//! could see two different images in it.

use burstlet_model::{Digest, ErrorKind};
use burstlet_strict_json as strict_json;
use serde::Deserialize;
use serde_json::Value;

use crate::Platform;
use crate::platform::RawPlatform;

/// The largest index, manifest or image configuration that is read.
pub const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// How many indexes may stand above a manifest.
pub const INDEX_DEPTH_MAX: usize = 2;
/// overlayfs takes 500 lower layers; images beyond 127 layers cannot be made by common builders.
pub const LAYERS_MAX: usize = 127;
const INDEX_ENTRIES_MAX: usize = 1024;
/// No layer is larger than this, whatever its descriptor says.
const BLOB_BYTES_MAX: u64 = 64 << 30;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// The media types that we ask a registry for, as an `Accept` header has them.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// A blob's name, size and kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// What the blob's bytes hash to.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// What it claims to be.
    pub media_type: String,
}

/// How a layer's tar stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerPacking {
    /// Plain tar.
    None,
    /// gzip, possibly of several members.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// One layer of a manifest, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    /// The packed layer.
    pub blob: Descriptor,
    /// How it is packed, by its media type.
    pub packing: LayerPacking,
}

/// One image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The image configuration; its digest is the image's id.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}

/// One entry of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The manifest or the inner index.
    pub document: Descriptor,
    /// The platform that it is for, if the index says so.
    pub platform: Option<Platform>,
}

/// Images for several platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// In the order of the document.
    pub entries: Vec<IndexEntry>,
}

/// What a document turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// Images for several platforms.
    Index(Index),
    /// One image.
    Manifest(Manifest),
}

/// Why a document is not an image that we run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The text is not JSON of the expected form.
    #[error("the document is not a well-formed image index or manifest: {0}")]
    Malformed(String),
    /// The document can be read as two things.
    #[error(
        "the document is ambiguous: {0}; rebuild the image with a tool that follows the OCI image specification"
    )]
    Ambiguous(String),
    /// The document or a blob is of a kind that we do not take.
    #[error(
        "the media type {0:?} is not supported: use an OCI or Docker schema 2 image with tar, tar+gzip or tar+zstd layers"
    )]
    MediaType(String),
    /// A bound is exceeded.
    #[error("the document has {what} of {got}, more than the {max} allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        got: u64,
        /// How large it may be.
        max: u64,
    },
    /// No entry of an index runs here.
    #[error("the index has no image for {wanted}; it has: {offered}")]
    NoPlatform {
        /// This machine's platform.
        wanted: String,
        /// What the index has.
        offered: String,
    },
}

impl DocumentError {
    /// The class of the failure.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoPlatform { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Invalid,
        }
    }
}

impl DocumentError {
    /// Indexes stand above each other without end.
    pub(crate) const fn nested_too_deep() -> Self {
        let max = INDEX_DEPTH_MAX as u64;
        Self::TooLarge {
            what: "a nesting of indexes",
            got: max + 1,
            max,
        }
    }
}

impl Document {
    /// Reads a document that was sent as `media_type`; none where the sender gave no type, as in
    /// an archive.
    ///
    /// # Errors
    /// The document is malformed, ambiguous, too large or of a kind that we do not take.
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self, DocumentError> {
        check_size("bytes", bytes.len() as u64, DOCUMENT_BYTES_MAX)?;
        let value = strict_json::parse(bytes)
            .map_err(|error| DocumentError::Malformed(error.to_string()))?;
        match kind_of(&value, media_type)? {
            Kind::Index => read_index(value).map(Self::Index),
            Kind::Manifest => read_manifest(value).map(Self::Manifest),
        }
    }
}

impl Index {
    /// The entry that `host` runs best; the first of equals, as Docker and containerd have it.
    ///
    /// # Errors
    /// No entry runs on `host`.
    pub fn choose(&self, host: &Platform) -> Result<&Descriptor, DocumentError> {
        let mut best: Option<(u8, &Descriptor)> = None;
        for entry in &self.entries {
            // A single entry without a platform is taken on trust; its configuration is checked.
            let score = match &entry.platform {
                Some(platform) => host.suits(platform),
                None => Some(0),
            };
            if let Some(score) = score.filter(|score| best.is_none_or(|(top, _)| *score > top)) {
                best = Some((score, &entry.document));
            }
        }
        best.map(|(_, document)| document)
            .ok_or_else(|| DocumentError::NoPlatform {
                wanted: host.to_string(),
                offered: self.offered(),
            })
    }

    fn offered(&self) -> String {
        const SHOWN_MAX: usize = 16;
        let names = self
            .entries
            .iter()
            .filter_map(|entry| entry.platform.as_ref());
        let shown: Vec<_> = names.take(SHOWN_MAX).map(Platform::to_string).collect();
        if shown.is_empty() {
            "nothing".to_owned()
        } else {
            shown.join(", ")
        }
    }
}

enum Kind {
    Index,
    Manifest,
}

fn kind_by_type(media_type: &str) -> Result<Kind, DocumentError> {
    match media_type {
        OCI_INDEX | DOCKER_LIST => Ok(Kind::Index),
        OCI_MANIFEST | DOCKER_MANIFEST => Ok(Kind::Manifest),
        other => Err(DocumentError::MediaType(other.to_owned())),
    }
}

/// Decides what the document is, from the type that it was sent as, the type that it claims and
/// the fields that it has. All three must agree.
fn kind_of(value: &Value, sent_as: Option<&str>) -> Result<Kind, DocumentError> {
    let claimed = match value.get("mediaType") {
        None => None,
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => {
            return Err(DocumentError::Malformed(
                "mediaType is not a string".to_owned(),
            ));
        }
    };
    if let (Some(sent), Some(claimed)) = (sent_as, claimed)
        && sent != claimed
    {
        let problem = format!("it was sent as {sent:?} but says that it is {claimed:?}");
        return Err(DocumentError::Ambiguous(problem));
    }
    let has = |field: &str| value.get(field).is_some();
    let (index, manifest) = (has("manifests"), has("layers") || has("config"));
    if index && manifest {
        let problem = "it has the fields of an index and of a manifest".to_owned();
        return Err(DocumentError::Ambiguous(problem));
    }
    if has("fsLayers") || has("signatures") {
        return Err(DocumentError::MediaType("Docker schema 1".to_owned()));
    }
    let kind = match claimed.or(sent_as) {
        Some(media_type) => kind_by_type(media_type)?,
        None if index => Kind::Index,
        None => Kind::Manifest,
    };
    match kind {
        Kind::Index if manifest => Err(DocumentError::Ambiguous("an index with layers".to_owned())),
        Kind::Manifest if index => Err(DocumentError::Ambiguous(
            "a manifest with manifests".to_owned(),
        )),
        kind => Ok(kind),
    }
}

/// A descriptor as documents write it. `urls` is not read: a layer comes from its repository.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: String,
    digest: String,
    size: i64,
    #[serde(default)]
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawIndex {
    schema_version: u32,
    manifests: Vec<RawDescriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: u32,
    config: RawDescriptor,
    layers: Vec<RawDescriptor>,
}

impl RawDescriptor {
    fn into_descriptor(self, max: u64) -> Result<Descriptor, DocumentError> {
        let digest = Digest::new(&self.digest)
            .map_err(|error| DocumentError::Malformed(error.to_string()))?;
        let size = u64::try_from(self.size)
            .map_err(|_| DocumentError::Malformed(format!("the size of {digest} is negative")))?;
        check_size("a blob size", size, max)?;
        Ok(Descriptor {
            digest,
            size,
            media_type: self.media_type,
        })
    }
}

fn read_index(value: Value) -> Result<Index, DocumentError> {
    let raw: RawIndex = from_value(value)?;
    check_schema(raw.schema_version)?;
    check_size(
        "index entries",
        raw.manifests.len() as u64,
        INDEX_ENTRIES_MAX as u64,
    )?;
    let mut entries = Vec::with_capacity(raw.manifests.len());
    for mut entry in raw.manifests {
        // An index may list things that are no images (attestations of other kinds): left out.
        if kind_by_type(&entry.media_type).is_err() {
            continue;
        }
        let platform = entry.platform.take().map(Platform::from);
        let document = entry.into_descriptor(DOCUMENT_BYTES_MAX)?;
        entries.push(IndexEntry { document, platform });
    }
    Ok(Index { entries })
}

fn read_manifest(value: Value) -> Result<Manifest, DocumentError> {
    let raw: RawManifest = from_value(value)?;
    check_schema(raw.schema_version)?;
    if !matches!(raw.config.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG) {
        return Err(DocumentError::MediaType(raw.config.media_type));
    }
    check_size("layers", raw.layers.len() as u64, LAYERS_MAX as u64)?;
    let config = raw.config.into_descriptor(DOCUMENT_BYTES_MAX)?;
    let layers = raw.layers.into_iter().map(|layer| {
        let packing = packing_of(&layer.media_type)?;
        Ok(Layer {
            packing,
            blob: layer.into_descriptor(BLOB_BYTES_MAX)?,
        })
    });
    Ok(Manifest {
        config,
        layers: layers.collect::<Result<_, DocumentError>>()?,
    })
}

/// Foreign ("nondistributable") layers are layers like others, taken from the repository itself.
fn packing_of(media_type: &str) -> Result<LayerPacking, DocumentError> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Ok(LayerPacking::None),
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Ok(LayerPacking::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(LayerPacking::Zstd),
        other => Err(DocumentError::MediaType(other.to_owned())),
    }
}

fn from_value<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, DocumentError> {
    serde_json::from_value(value).map_err(|error| DocumentError::Malformed(error.to_string()))
}

fn check_schema(version: u32) -> Result<(), DocumentError> {
    if version == 2 {
        return Ok(());
    }
    Err(DocumentError::Malformed(format!(
        "schemaVersion is {version}, not 2"
    )))
}

const fn check_size(what: &'static str, got: u64, max: u64) -> Result<(), DocumentError> {
    if got > max {
        return Err(DocumentError::TooLarge { what, got, max });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
