//! What the host mends after an earlier agent, or somebody else, left it in disorder.

use std::os::fd::AsFd;

use burstlet_model::{Digest, GroupUid};
use burstlet_supervisor::record::GroupRecord;

use super::image_volumes::{self, by_manifest};
use super::layout::Layout;
use super::{RealHost, failure};
use crate::machine;

impl RealHost {
    /// Makes leases that cannot be read anew from the groups' records: until that is done no image
    /// can be removed.
    pub(crate) async fn renew_leases(&self, records: &[GroupRecord]) {
        for uid in self.images.unknown_leases() {
            let now = machine::now().wall;
            let renewed = match records.iter().find(|record| record.uid == uid) {
                Some(record) => self.images.lease(&uid, &self.needed(record), now).await,
                None => self.images.release(&uid, now).await,
            };
            match renewed {
                Ok(()) => tracing::info!(group = %uid, "made the group's image lease anew"),
                Err(error) => {
                    let error = failure::chain(&error);
                    tracing::error!(group = %uid, error, "cannot make the group's image lease anew");
                }
            }
        }
    }

    /// The images that a group's record names. One that is gone will be pulled again.
    fn needed(&self, record: &GroupRecord) -> Vec<Digest> {
        let layout = Layout::new(self.records.dir(&record.uid));
        let status = &record.status;
        let containers = status.init_containers.iter().chain(&status.containers);
        let used = containers.filter_map(|container| container.image_digest.clone());
        let shown = image_volumes::settled(&layout, &record.definition.spec);
        used.chain(shown)
            .filter_map(|manifest| by_manifest(&self.images, &manifest))
            .map(|image| image.id.clone())
            .collect()
    }

    /// Connects groups whose link somebody has removed.
    pub(crate) async fn attach_again(&self, detached: &[GroupUid]) {
        for uid in detached {
            let group = self.group(uid);
            // One that is being made or ended is none of ours; the next look comes soon.
            let Ok(_changing) = group.changing.try_lock() else {
                continue;
            };
            let Some(network) = group.standing().and_then(|standing| standing.network) else {
                continue;
            };
            match self.network.attach(uid, network.as_fd()).await {
                Ok(_) => tracing::warn!(group = %uid, "the group's link was gone; made it anew"),
                Err(error) => {
                    let error = failure::chain(&error);
                    tracing::error!(group = %uid, error, "cannot connect the group again");
                }
            }
        }
    }
}
