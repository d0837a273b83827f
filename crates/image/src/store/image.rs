use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use burstlet_model::{Digest, ImageRef, Namespace, WallTime};

use super::record::{ImageRecord, ReferenceRecord, SignedRecord};
use crate::ImageConfig;
use crate::signature::Signed;

/// An image whose layers are all unpacked and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digest of its configuration.
    pub id: Digest,
    /// The digest of its manifest for this platform.
    pub manifest_digest: Digest,
    /// The digests of all documents that named it: an index above the manifest, too.
    pub chain: BTreeSet<Digest>,
    /// What names it, and since when.
    pub references: BTreeMap<ImageRef, WallTime>,
    /// How to run it.
    pub config: ImageConfig,
    /// Lowest first.
    pub layers: Vec<LayerDir>,
    /// What its packed layers and documents have in bytes.
    pub size_bytes: u64,
    /// When it was last pulled.
    pub pulled_at: WallTime,
    /// When it was last pulled, leased or released.
    pub used_at: WallTime,
    /// Who may use it without proof.
    pub access: Access,
    /// Registries from which all of it was received.
    pub(super) origins: BTreeSet<String>,
    /// Signatures of it that were found to count.
    pub(super) signed: BTreeSet<Signed>,
}

/// An unpacked layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LayerDir {
    /// The digest of its tar stream.
    pub diff_id: Digest,
    /// The directory. It is shared by all images that have the layer: never to be written.
    pub path: PathBuf,
}

/// Who may use an image without proving it to its registry again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It was had without credentials, with the node's own, or by import.
    Everyone,
    /// It took credentials of requests from these namespaces.
    Namespaces(BTreeSet<Namespace>),
}

impl Access {
    /// Whether `namespace` may use the image.
    #[must_use]
    pub fn allows(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Everyone => true,
            Self::Namespaces(allowed) => allowed.contains(namespace),
        }
    }

    /// Both together.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Namespaces(mut allowed), Self::Namespaces(more)) => {
                allowed.extend(more);
                Self::Namespaces(allowed)
            }
            _ => Self::Everyone,
        }
    }
}

impl Image {
    /// Adds what is known of the same image: its other names, places and users.
    pub(super) fn merge(&mut self, known: &Self) {
        self.chain.extend(known.chain.iter().cloned());
        self.origins.extend(known.origins.iter().cloned());
        self.signed.extend(known.signed.iter().cloned());
        for (name, since) in &known.references {
            self.references.entry(name.clone()).or_insert(*since);
        }
        self.access = self.access.clone().or(known.access.clone());
        self.used_at = self.used_at.max(known.used_at);
    }

    /// Whether it was all received from `origin`.
    pub(super) fn came_from(&self, origin: &str) -> bool {
        self.origins.contains(origin)
    }

    /// Whether `reference` names it by digest: the same repository, and a document that led to it.
    pub(super) fn is_at(&self, reference: &ImageRef) -> bool {
        let same = |known: &ImageRef| {
            known.registry() == reference.registry() && known.repository() == reference.repository()
        };
        let digest = reference.digest();
        digest.is_some_and(|digest| self.chain.contains(digest)) && self.references.keys().any(same)
    }

    pub(super) fn to_record(&self) -> ImageRecord {
        let references = self
            .references
            .iter()
            .map(|(reference, since)| ReferenceRecord {
                reference: reference.to_string(),
                since_ns: since.0,
            });
        ImageRecord {
            id: self.id.to_string(),
            manifest_digest: self.manifest_digest.to_string(),
            chain: self.chain.iter().map(Digest::to_string).collect(),
            references: references.collect(),
            size_bytes: self.size_bytes,
            origins: self.origins.clone(),
            signed: self.signed.iter().map(SignedRecord::of).collect(),
            private_to: match &self.access {
                Access::Everyone => None,
                Access::Namespaces(allowed) => {
                    Some(allowed.iter().map(Namespace::to_string).collect())
                }
            },
            pulled_at_ns: self.pulled_at.0,
            used_at_ns: self.used_at.0,
            layers: self.layers.len(),
        }
    }

    /// The image of a record, with what only the disk knows.
    pub(super) fn from_record(
        record: ImageRecord,
        config: ImageConfig,
        layer_dir: impl Fn(&Digest) -> PathBuf,
    ) -> Result<Self, String> {
        let mut references = BTreeMap::new();
        for known in &record.references {
            references.insert(parse(&known.reference)?, WallTime(known.since_ns));
        }
        let layers = config.diff_ids.iter().map(|diff_id| LayerDir {
            diff_id: diff_id.clone(),
            path: layer_dir(diff_id),
        });
        let access = match record.private_to {
            None => Access::Everyone,
            Some(allowed) => Access::Namespaces(parse_all(&allowed)?),
        };
        Ok(Self {
            id: parse(&record.id)?,
            manifest_digest: parse(&record.manifest_digest)?,
            chain: parse_all(&record.chain)?,
            references,
            layers: layers.collect(),
            config,
            size_bytes: record.size_bytes,
            pulled_at: WallTime(record.pulled_at_ns),
            used_at: WallTime(record.used_at_ns),
            access,
            origins: record.origins,
            signed: record
                .signed
                .iter()
                .map(SignedRecord::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

pub(super) fn parse<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

pub(super) fn parse_all<'a, T: FromStr<Err: ToString> + Ord>(
    texts: impl IntoIterator<Item = &'a String>,
) -> Result<BTreeSet<T>, String> {
    texts.into_iter().map(|text| parse(text)).collect()
}
