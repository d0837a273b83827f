//! What a group uses, as its cgroups and its link count it.

use burstlet_model::{ContainerName, GroupUid};
use burstlet_supervisor::host::{GroupUsage, HostError};

use super::RealHost;
use super::failure::fail;
use crate::machine;

const USAGE_FAILED: &str = "UsageFailed";

impl RealHost {
    pub(super) async fn measure(&self, uid: &GroupUid) -> Result<GroupUsage, HostError> {
        let group = self.group(uid);
        let standing = group.running()?;
        let containers: Vec<ContainerName> = standing
            .spec
            .all_containers()
            .map(|(_, container)| container.name.clone())
            .filter(|name| {
                group
                    .watch(name)
                    .is_some_and(|watch| watch.borrow().is_running())
            })
            .collect();
        let of = uid.clone();
        let read = move |parts: &super::Parts| {
            let at = machine::now().boot;
            let failed =
                |error: burstlet_cgroup::CgroupError| fail(error.kind(), USAGE_FAILED, &error);
            let group = parts.cgroups.group(&of).usage(at).map_err(failed)?;
            let mut used = Vec::with_capacity(containers.len());
            for name in containers {
                let cgroup = parts.cgroups.container(&of, &name);
                if cgroup.exists() {
                    used.push((name, cgroup.usage(at).map_err(failed)?));
                }
            }
            Ok((group, used))
        };
        let (group, containers) = self.blocking(read).await?;
        let network = self
            .network
            .usage()
            .await
            .map_err(|error| fail(error.kind(), USAGE_FAILED, &error))?;
        Ok(GroupUsage {
            group,
            containers,
            network: network.get(uid).copied(),
        })
    }
}
