//! Other processors and memory for a group that stands.
//!
//! Where limits are nested, the kernel may refuse a child more than its parent has, and a parent less
//! than its child: the group is raised first, then its containers get theirs, then the group is
//! lowered.

use std::sync::Arc;

use burstlet_cgroup::{Cgroup, CgroupError, Limits};
use burstlet_model::spec::GroupSpec;
use burstlet_model::{ContainerName, ErrorKind, GroupUid};
use burstlet_supervisor::host::{GroupRef, HostError, Resized};

use super::failure::fail;
use super::{Parts, RealHost, limits};
use crate::machine;

/// Kubernetes' word.
const ERROR: &str = "ResizeError";

impl RealHost {
    pub(super) async fn resize_group(
        &self,
        of: GroupRef<'_>,
        containers: &[ContainerName],
    ) -> Result<Resized, HostError> {
        let group = self.group(of.uid);
        let _changing = group.changing.lock().await;
        let spec = Arc::clone(&group.standing_as(of.spec)?.spec);
        let (uid, running) = (of.uid.clone(), containers.to_vec());
        self.blocking(move |parts| resize(parts, (&uid, &spec), &running))
            .await
    }
}

/// One cgroup, and what it is to have.
struct Sized {
    what: String,
    cgroup: Cgroup,
    limits: Limits,
}

/// Blocks.
fn resize(
    parts: &Parts,
    (uid, spec): (&GroupUid, &GroupSpec),
    running: &[ContainerName],
) -> Result<Resized, HostError> {
    let group = Sized {
        what: "the group".to_owned(),
        cgroup: parts.cgroups.group(uid),
        limits: limits::of_group(parts, spec),
    };
    let of_containers = spec.all_containers().map(|(_, container)| container);
    let running = of_containers.filter(|container| running.contains(&container.name));
    let containers: Vec<Sized> = running
        .map(|container| Sized {
            what: format!("container {}", container.name),
            cgroup: parts.cgroups.container(uid, &container.name),
            // Its devices stay as they are.
            limits: limits::of_container(parts, spec, container, Vec::new()),
        })
        // One that has ended meanwhile gets its own when it is started again.
        .filter(|sized| sized.cgroup.exists())
        .collect();
    for sized in containers.iter().chain([&group]) {
        sized.check()?;
    }
    let moved = parts.processors.resize(uid, spec);
    moved.map_err(|error| fail(error.kind(), ERROR, &error))?;
    group.write(Cgroup::raise)?;
    for container in &containers {
        container.write(Cgroup::resize)?;
    }
    group.write(Cgroup::resize)?;
    Ok(Resized {
        at: machine::now(),
        processors: parts.processors.of(uid),
    })
}

impl Sized {
    /// Less memory than is used would not be a limit but an end.
    fn check(&self) -> Result<(), HostError> {
        let used = self.cgroup.memory_beyond(&self.limits);
        let used = used.map_err(|error| fail(error.kind(), ERROR, &error))?;
        let (Some(used), Some(limit)) = (used, self.limits.memory_limit) else {
            return Ok(());
        };
        let text = format!(
            "{}: memory limit ({}) below current usage ({})",
            self.what, limit.0, used.0
        );
        Err(HostError::new(ErrorKind::FailedPrecondition, ERROR, text))
    }

    fn write(
        &self,
        how: impl Fn(&Cgroup, &Limits) -> Result<(), CgroupError>,
    ) -> Result<(), HostError> {
        how(&self.cgroup, &self.limits).map_err(|error| {
            let text = format!("{}: {}", self.what, super::failure::chain(&error));
            HostError::new(error.kind(), ERROR, text)
        })
    }
}
