//! Other files in the volumes of a group that stands: those on disk are written here, those in
//! memory by the group's keeper.

use std::sync::Arc;

use burstlet_model::ErrorKind;
use burstlet_model::spec::VolumeSource;
use burstlet_supervisor::host::{GroupRef, HostError};

use super::RealHost;
use super::failure::{MOUNT, fail};
use super::plan::secret_volume;
use super::volumes::{self, Owner};

impl RealHost {
    pub(super) async fn renew_volumes(&self, of: GroupRef<'_>) -> Result<(), HostError> {
        let group = self.group(of.uid);
        let _changing = group.changing.lock().await;
        let standing = group.standing_as(of.spec)?;
        let (spec, owner) = (
            Arc::clone(&standing.spec),
            Owner::of(of.spec, standing.id_base),
        );
        let for_disk = Arc::clone(&group);
        self.blocking(move |_| {
            volumes::prepare(&for_disk.layout, &spec, owner)
                .map_err(|error| fail(ErrorKind::Internal, MOUNT, &error))
        })
        .await?;
        for volume in &standing.spec.volumes {
            let VolumeSource::SecretData(files) = &volume.source else {
                continue;
            };
            let plan = secret_volume(&standing.spec, volume, files, None);
            let renewed = standing.keeper.renew(plan).await;
            renewed.map_err(|error| fail(error.kind(), MOUNT, &error))?;
        }
        Ok(())
    }
}
