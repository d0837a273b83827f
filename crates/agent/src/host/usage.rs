//! What a group uses, as its cgroups and its link count it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use burstlet_cgroup::{Cgroup, CgroupError};
use burstlet_failpoint::Point;
use burstlet_metering::sampler::Look;
use burstlet_model::{ContainerName, GroupUid, NetworkUsage, Usage};
use burstlet_supervisor::host::{GroupUsage, HostError};

use super::RealHost;
use super::failure::{fail, pass};
use super::sandbox::REMOVAL_PATIENCE;
use crate::machine;

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
        let gauges = Arc::clone(&self.gauges);
        let sample = move |parts: &super::Parts| {
            // Files that could not be read are opened anew the next time.
            let mut gauges = gauges.lock().unwrap_or_else(PoisonError::into_inner);
            gauges.keep(&standing.iter().collect());
            for uid in &standing {
                // A group that ends meanwhile is counted by its last reading.
                if let Ok(reading) = gauges.read(&parts.cgroups, uid, with_cpu) {
                    let look = Look {
                        at: machine::now().boot,
                        memory: reading.memory,
                        cpu_ns: reading.cpu_ns,
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

    /// Writes down what every group whose sandbox stands has used. All links are looked at once: for
    /// each group anew that would be many looks at many.
    pub(crate) async fn write_down_usage(&self) {
        let links = self.network.usage().await.unwrap_or_default();
        for (uid, _) in self.standing() {
            let network = links.get(&uid).copied().unwrap_or_default();
            let told = match self.counted(&uid, false).await {
                Ok(Some(usage)) => self.tell_used(&uid, (usage, network), false).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = told {
                tracing::warn!(group = %uid, %error, "write down what a group has used");
            }
        }
    }

    /// Writes down what a group has used for the last time, before its cgroup and its link go: all
    /// that its processes ever used. Whatever is left of them is ended first.
    pub(super) async fn write_down_last(&self, uid: &GroupUid) -> Result<(), HostError> {
        let Some(usage) = self.counted(uid, true).await? else {
            return Ok(());
        };
        // Where links cannot be counted, there is nothing to write down of them.
        let links = self.network.usage().await.unwrap_or_default();
        let network = links.get(uid).copied().unwrap_or_default();
        self.tell_used(uid, (usage, network), true).await
    }

    /// What a group's cgroup has counted; nothing of one that is gone.
    async fn counted(&self, uid: &GroupUid, is_final: bool) -> Result<Option<Usage>, HostError> {
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
        self.blocking(read).await
    }

    async fn tell_used(
        &self,
        uid: &GroupUid,
        used: (Usage, NetworkUsage),
        is_final: bool,
    ) -> Result<(), HostError> {
        pass(Point::UsageBegun)?;
        let told = self.metering.used(uid, used, is_final).await;
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
