//! What the host mends after an earlier agent, or somebody else, left it in disorder.

use std::os::fd::AsFd;

use burstlet_image::store::StoreError;
use burstlet_model::{Digest, GroupUid};
use burstlet_supervisor::record::GroupRecord;

use super::image_volumes::{self, by_manifest};
use super::layout::Layout;
use super::{RealHost, failure};
use crate::machine;

impl RealHost {
    /// Makes the image leases what the groups' records say: a power cut may have lost some, and one
    /// that cannot be read keeps every image.
    pub(crate) async fn renew_leases(&self, records: &[GroupRecord]) {
        let now = machine::now().wall;
        for record in records {
            let images = self.needed(record);
            if images.is_empty() {
                continue;
            }
            let renewed = self.images.lease(&record.uid, &images, now).await;
            Self::tell_renewal(&record.uid, renewed);
        }
        for uid in self.images.unknown_leases() {
            let released = self.images.release(&uid, now).await;
            Self::tell_renewal(&uid, released);
        }
    }

    fn tell_renewal(uid: &GroupUid, renewed: Result<(), StoreError>) {
        if let Err(error) = renewed {
            let error = failure::chain(&error);
            tracing::error!(group = %uid, error, "cannot make the group's image lease anew");
        }
    }

    /// The images that a group's record names. One that is gone will be pulled again.
    fn needed(&self, record: &GroupRecord) -> Vec<Digest> {
        let layout = Layout::new(self.records.dir(&record.uid));
        let status = &record.status;
        let used = status
            .all_containers()
            .filter_map(|container| container.image_digest.clone());
        let shown = image_volumes::settled(&layout, &record.definition.spec);
        used.chain(shown)
            .filter_map(|manifest| by_manifest(&self.images, &manifest))
            .map(|image| image.id.clone())
            .collect()
    }

    /// Connects groups whose link somebody has removed.
    pub(crate) async fn attach_again(&self, detached: &[GroupUid]) {
        let Some(groups) = self.network.get() else {
            return;
        };
        for uid in detached {
            let group = self.group(uid);
            // One that is being made or ended is none of ours; the next look comes soon.
            let Ok(_changing) = group.changing.try_lock() else {
                continue;
            };
            let Some(network) = group.standing().and_then(|standing| standing.network) else {
                continue;
            };
            match groups.attach(uid, network.as_fd()).await {
                Ok(_) => tracing::warn!(group = %uid, "the group's link was gone; made it anew"),
                Err(error) => {
                    let error = failure::chain(&error);
                    tracing::error!(group = %uid, error, "cannot connect the group again");
                }
            }
        }
    }
}
