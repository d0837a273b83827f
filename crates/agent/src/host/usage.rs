//! What a group uses, as its cgroups and its link count it.

use std::time::Duration;

use burstlet_cgroup::{Cgroup, CgroupError};
use burstlet_failpoint::Point;
use burstlet_model::{ContainerName, GroupUid, NetworkUsage, Usage};
use burstlet_supervisor::host::{GroupUsage, HostError};

use super::RealHost;
use super::failure::{fail, pass};
use super::sandbox::REMOVAL_PATIENCE;
use crate::machine;
use crate::metering::Look;

const USAGE_FAILED: &str = "UsageFailed";
/// How long a keeper that has said that its group is over may take to end itself.
const KEEPER_PATIENCE: Duration = Duration::from_millis(250);

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
            let failed = |error: CgroupError| fail(error.kind(), USAGE_FAILED, &error);
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
        let look = async || self.network.usage().await;
        let network = self.links.get(look).await;
        let network = network.map_err(|error| fail(error.kind(), USAGE_FAILED, &error))?;
        Ok(GroupUsage {
            group,
            containers,
            network: network.get(uid).copied(),
        })
    }

    /// Takes a sample of the memory of every group whose sandbox stands, and of its processor time
    /// if that is asked for.
    pub(crate) async fn sample(&self, with_cpu: bool) {
        let standing: Vec<GroupUid> = self.standing().into_iter().map(|(uid, _)| uid).collect();
        let sample = move |parts: &super::Parts| {
            for uid in &standing {
                // A group that ends meanwhile is counted by its last reading.
                let cgroup = parts.cgroups.group(uid);
                if let Ok(memory) = cgroup.memory() {
                    let look = Look {
                        at: machine::now().boot,
                        memory,
                        cpu_ns: with_cpu.then(|| cgroup.cpu_ns().ok()).flatten(),
                    };
                    parts.metering.sample(uid, look);
                }
            }
            Ok(())
        };
        if let Err(error) = self.blocking(sample).await {
            tracing::warn!(%error, "sample what the groups use");
        }
    }

    /// Writes down what every group whose sandbox stands has used.
    pub(crate) async fn write_down_usage(&self) {
        for (uid, _) in self.standing() {
            if let Err(error) = self.write_down(&uid, false).await {
                tracing::warn!(group = %uid, %error, "write down what a group has used");
            }
        }
    }

    /// Writes down what a group has used. For the last time, before its cgroup goes, that is all
    /// that its processes ever used: whatever is left of them is ended first.
    pub(super) async fn write_down(&self, uid: &GroupUid, is_final: bool) -> Result<(), HostError> {
        let of = uid.clone();
        let read = move |parts: &super::Parts| {
            let cgroup = parts.cgroups.group(&of);
            if !cgroup.exists() {
                return Ok(None);
            }
            let usage = match is_final {
                true => last_usage(&cgroup),
                false => cgroup.usage(machine::now().boot),
            };
            usage
                .map(Some)
                .map_err(|error| fail(error.kind(), USAGE_FAILED, &error))
        };
        let Some(usage) = self.blocking(read).await? else {
            return Ok(());
        };
        // Where links cannot be counted, there is nothing to write down of them.
        let links = self.network.usage().await.unwrap_or_default();
        let network: NetworkUsage = links.get(uid).copied().unwrap_or_default();
        pass(Point::UsageBegun)?;
        let told = self.metering.used(uid, (usage, network), is_final).await;
        told.map_err(|error| fail(error.kind(), USAGE_FAILED, &error))
    }
}

/// What a group's processes have used in all. The keeper, which counts towards its group, ends by
/// itself; what does not is killed. Blocks.
fn last_usage(cgroup: &Cgroup) -> Result<Usage, CgroupError> {
    let read = |patience| cgroup.last_usage(machine::now().boot, patience);
    match read(KEEPER_PATIENCE) {
        Err(CgroupError::Busy { .. }) => {
            cgroup.kill_all(REMOVAL_PATIENCE)?;
            read(REMOVAL_PATIENCE)
        }
        read => read,
    }
}
