//! What probes have said, counted for as long as their group is there. An agent counts from its own
//! start; nothing is decided by these numbers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burstlet_model::{ContainerName, GroupUid};

use crate::groups::Groups;
use crate::host::{HostError, ProbeResult};
use crate::seen::ProbeKind;

/// How often a probe of a container said what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeCount {
    /// Whose probe.
    pub container: ContainerName,
    /// `Startup`, `Liveness` or `Readiness`.
    pub kind: &'static str,
    /// It succeeded.
    pub successful: u64,
    /// It failed.
    pub failed: u64,
    /// It could not be made.
    pub unknown: u64,
}

/// The probes of every group.
#[derive(Debug, Default)]
pub(crate) struct ProbeCounts(Mutex<HashMap<GroupUid, OfGroup>>);

type OfGroup = BTreeMap<(ContainerName, &'static str), ProbeCount>;

impl<H> Groups<H> {
    /// What the probes of a group have said; nothing if there is no such group, or none were made.
    #[must_use]
    pub fn probe_counts(&self, uid: &GroupUid) -> Vec<ProbeCount> {
        let counts = self.shared.probe_counts.lock();
        let of_group = counts.get(uid).into_iter();
        of_group.flat_map(BTreeMap::values).cloned().collect()
    }
}

impl ProbeCounts {
    pub(crate) fn count(
        &self,
        uid: &GroupUid,
        (container, kind): (&ContainerName, ProbeKind),
        said: &Result<ProbeResult, HostError>,
    ) {
        let kind = kind.as_str();
        let mut counts = self.lock();
        let of_group = counts.entry(uid.clone()).or_default();
        let count = of_group
            .entry((container.clone(), kind))
            .or_insert_with(|| ProbeCount {
                container: container.clone(),
                kind,
                successful: 0,
                failed: 0,
                unknown: 0,
            });
        match said {
            Ok(ProbeResult::Success | ProbeResult::Warning(_)) => count.successful += 1,
            Ok(ProbeResult::Failure(_)) => count.failed += 1,
            Err(_) => count.unknown += 1,
        }
    }

    pub(crate) fn forget(&self, uid: &GroupUid) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<GroupUid, OfGroup>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
