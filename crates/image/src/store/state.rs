//! What the store knows, in memory, and its decisions: what a name means, what may be removed,
//! what goes first when room is needed. Nothing here touches the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::{Digest, GroupUid, ImageRef, WallTime};

use super::error::StoreError;
use super::image::Image;
use super::record::LayerRecord;

/// The least digits by which an id can be named.
const SHORT_ID_MIN: usize = 6;

#[derive(Default)]
pub(super) struct State {
    pub(super) images: BTreeMap<Digest, Arc<Image>>,
    /// By diff id.
    pub(super) layers: BTreeMap<Digest, LayerRecord>,
    pub(super) leases: BTreeMap<GroupUid, Lease>,
    /// Images and layers that work in hand relies on, and how often.
    pub(super) pins: BTreeMap<Digest, usize>,
    /// The times of use that are on disk, of images that groups have given back.
    pub(super) uses_saved: BTreeMap<Digest, WallTime>,
}

/// A time of use on disk may be this much older than the true one: it decides what goes first when
/// room is needed, and is not worth a write for each group.
const USE_SAVE_INTERVAL_NS: i64 = 60 * 1_000_000_000;

/// What one group needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lease {
    Known(BTreeSet<Digest>),
    /// The record was unreadable: it may be anything.
    Unknown,
}

/// When unused images are removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrunePolicy {
    /// Those that nobody used for this long.
    pub unused_for: Option<Duration>,
    /// Then the longest unused, until what the store takes on disk is no more than this.
    pub disk_bytes_max: Option<u64>,
}

impl State {
    pub(super) fn by_reference(&self, reference: &ImageRef) -> Option<Arc<Image>> {
        let mut images = self.images.values();
        let named = images
            .clone()
            .find(|image| image.references.contains_key(reference));
        named
            .or_else(|| images.find(|image| image.is_at(reference)))
            .cloned()
    }

    /// The image that a reference, an id or the beginning of one names.
    pub(super) fn find(&self, text: &str) -> Result<Arc<Image>, StoreError> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex = hex.len() >= SHORT_ID_MIN && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if let Some(image) = text
            .parse()
            .ok()
            .and_then(|reference| self.by_reference(&reference))
        {
            return Ok(image);
        }
        let mut begin = self
            .images
            .values()
            .filter(|image| image.id.hex().starts_with(hex));
        match (is_hex, begin.next(), begin.next()) {
            (true, Some(image), None) => Ok(image.clone()),
            (true, Some(_), Some(_)) => Err(StoreError::Ambiguous(text.to_owned())),
            _ => Err(StoreError::NotFound(text.to_owned())),
        }
    }

    /// The images that change when `image` is kept: itself, and those that lose a name to it.
    pub(super) fn changed_by(&self, image: &Arc<Image>) -> Vec<Arc<Image>> {
        let mut changed = vec![image.clone()];
        for other in self.images.values().filter(|other| other.id != image.id) {
            if other
                .references
                .keys()
                .any(|name| image.references.contains_key(name))
            {
                let mut other = Image::clone(other);
                other
                    .references
                    .retain(|name, _| !image.references.contains_key(name));
                changed.push(Arc::new(other));
            }
        }
        changed
    }

    pub(super) fn put(&mut self, images: impl IntoIterator<Item = Arc<Image>>) {
        for image in images {
            self.images.insert(image.id.clone(), image);
        }
    }

    /// Notes that `image` was used now.
    pub(super) fn touch(&mut self, id: &Digest, now: WallTime) -> Option<Arc<Image>> {
        let image = self.images.get_mut(id)?;
        Arc::make_mut(image).used_at = now.max(image.used_at);
        Some(image.clone())
    }

    /// Whether the time of use of the image `id` is to be saved now.
    pub(super) fn use_is_due(&mut self, id: &Digest, now: WallTime) -> bool {
        let saved = self.uses_saved.get(id);
        let is_due = saved
            .is_none_or(|saved| now.0.abs_diff(saved.0) >= USE_SAVE_INTERVAL_NS.unsigned_abs());
        if is_due {
            self.uses_saved.insert(id.clone(), now);
        }
        is_due
    }

    pub(super) fn pin(&mut self, digest: &Digest) {
        *self.pins.entry(digest.clone()).or_default() += 1;
    }

    pub(super) fn unpin(&mut self, digest: &Digest) {
        if let Some(count) = self.pins.get_mut(digest) {
            *count -= 1;
            if *count == 0 {
                self.pins.remove(digest);
            }
        }
    }

    /// Whether nobody needs the image `id`.
    pub(super) fn may_remove(&self, id: &Digest) -> Result<(), StoreError> {
        let mut users = Vec::new();
        for (uid, lease) in &self.leases {
            match lease {
                Lease::Unknown => return Err(StoreError::LeaseUnknown(uid.to_string())),
                Lease::Known(images) if images.contains(id) => users.push(format!("group {uid}")),
                Lease::Known(_) => {}
            }
        }
        if self.pins.contains_key(id) {
            users.push("a pull".to_owned());
        }
        if users.is_empty() {
            return Ok(());
        }
        Err(StoreError::InUse {
            image: id.to_string(),
            users: users.join(", "),
        })
    }

    /// The groups whose needs are not known.
    pub(super) fn unknown_leases(&self) -> Vec<GroupUid> {
        let unknown = self
            .leases
            .iter()
            .filter(|(_, lease)| **lease == Lease::Unknown);
        unknown.map(|(uid, _)| uid.clone()).collect()
    }

    /// Forgets the image `id`, and the layers that only it has: these are returned.
    pub(super) fn forget(&mut self, id: &Digest) -> Vec<Digest> {
        self.images.remove(id);
        self.uses_saved.remove(id);
        self.forget_unused_layers()
    }

    /// Forgets the layers that no image has and no work relies on.
    pub(super) fn forget_unused_layers(&mut self) -> Vec<Digest> {
        let images = self.images.values();
        let used: BTreeSet<&Digest> = images
            .flat_map(|image| image.layers.iter().map(|layer| &layer.diff_id))
            .collect();
        let idle = |id: &&Digest| !used.contains(*id) && !self.pins.contains_key(*id);
        let unused: Vec<Digest> = self.layers.keys().filter(idle).cloned().collect();
        for id in &unused {
            self.layers.remove(id);
        }
        unused
    }

    /// What the unpacked layers take on disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.layers.values().map(|layer| layer.disk_bytes).sum()
    }

    /// The next image to be removed by `policy`, if any.
    pub(super) fn next_to_prune(&self, policy: PrunePolicy, now: WallTime) -> Option<Digest> {
        let idle = self
            .images
            .values()
            .filter(|image| self.may_remove(&image.id).is_ok());
        let oldest = idle.min_by_key(|image| image.used_at)?;
        let unused_ns = i128::from(now.0) - i128::from(oldest.used_at.0);
        let too_old = policy
            .unused_for
            .is_some_and(|age| unused_ns >= age.as_nanos() as i128);
        let too_much = policy
            .disk_bytes_max
            .is_some_and(|max| self.disk_bytes() > max);
        (too_old || too_much).then(|| oldest.id.clone())
    }
}

#[cfg(test)]
mod tests;
