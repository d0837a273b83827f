//! Taking over a sandbox that an earlier agent left: its keeper is asked what there is.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use burstlet_failpoint::{Point, reach};
use burstlet_model::spec::GroupSpec;
use burstlet_model::{ContainerName, ErrorKind, GroupUid, Stamp};
use burstlet_sandbox::client::{self, ClientError, Keeper};
use burstlet_sandbox::exits::ExitRecord;
use burstlet_sandbox::protocol::{ContainerPhase, ContainerView, Snapshot};
use burstlet_supervisor::host::{
    Adopted, AdoptedContainer, AdoptedState, Adoption, GroupRef, HostError, Sandbox, Started,
};
use oci_spec::runtime::Process;

use super::exit::explain;
use super::failure::{SANDBOX, fail, pass};
use super::group::{Group, RunState, Standing};
use super::layout::Layout;
use super::run_file::RunFile;
use super::sandbox::MARKER;
use super::{RealHost, complete};
use crate::vault::Vault;

/// Looks at a container that is being launched, and the pause between them: together longer than
/// the two limits that the keeper sets a launch.
const LAUNCH_LOOKS_MAX: u32 = 3500;
const LAUNCH_LOOK_PAUSE: Duration = Duration::from_millis(20);
/// What asks a container to end of which nobody knows what else does.
const SIGTERM: u8 = 15;

impl RealHost {
    pub(super) async fn take_over(&self, of: GroupRef<'_>) -> Result<Adoption, HostError> {
        let group = self.group(of.uid);
        let _changing = group.changing.lock().await;
        let spec = Arc::new(of.spec.clone());
        let id_base = self.ids_of(&group, &spec).await?;
        pass(Point::AdoptBegun)?;
        let adopted = match self.launcher.adopt(of.uid).await {
            Ok(adopted) => adopted,
            Err(ClientError::NoKeeper(_)) => return self.without_keeper(&group).await,
            Err(error) => return Err(fail(error.kind(), SANDBOX, &error)),
        };
        let client::Adopted {
            connected,
            snapshot,
        } = adopted;
        let snapshot = launched(&connected.keeper, snapshot).await;
        let snapshot = snapshot.map_err(|error| fail(error.kind(), SANDBOX, &error))?;
        reach(Point::AdoptTold);
        if snapshot.containers.is_empty() && !self.is_complete(&group).await? {
            // Nothing has run in it, and nobody knows how far it came: it is made anew.
            tracing::warn!(group = %group.uid, "an agent went while it made the sandbox; ending it");
            drop(connected);
            self.tear_down(&group, None).await?;
            return Ok(Adoption::Absent);
        }
        let sandbox = self.sandbox_since(of.uid, snapshot.since)?;
        let containers = self.adopted_containers(&group, snapshot).await?;
        let pid = connected.keeper.pid();
        group.stands(Standing {
            keeper: connected.keeper,
            network: connected.network.map(Arc::new),
            sandbox: sandbox.clone(),
            spec,
            id_base,
        });
        self.follow(&group, pid, connected.events);
        reach(Point::AdoptDone);
        Ok(Adoption::Standing(Adopted {
            sandbox,
            containers,
        }))
    }

    /// The host id of the group's id 0, which stays the group's.
    async fn ids_of(&self, group: &Arc<Group>, spec: &GroupSpec) -> Result<u32, HostError> {
        if !spec.user_namespace {
            return Ok(0);
        }
        let of = Arc::clone(group);
        self.blocking(move |parts| {
            let taken = parts.ids.take(&of.uid, of.layout.dir());
            taken.map_err(|error| fail(ErrorKind::Internal, SANDBOX, &error))
        })
        .await
    }

    fn sandbox_since(&self, uid: &GroupUid, since: Stamp) -> Result<Sandbox, HostError> {
        let ip = self.network.get().map(|network| network.address_of(uid));
        let ip = ip.transpose();
        Ok(Sandbox {
            ip: ip
                .map_err(|error| fail(error.kind(), SANDBOX, &error))?
                .flatten(),
            created: since,
            network_ready: since,
            processors: self.processors.of(uid),
        })
    }

    async fn is_complete(&self, group: &Arc<Group>) -> Result<bool, HostError> {
        let of = Arc::clone(group);
        self.blocking(move |_: &super::Parts| Ok(complete::is_marked(of.layout.dir())))
            .await
    }

    /// What a keeper that is gone left behind, if there was one since the machine was started.
    async fn without_keeper(&self, group: &Arc<Group>) -> Result<Adoption, HostError> {
        let group = Arc::clone(group);
        let look = move |parts: &super::Parts| {
            let marker = fs::read_to_string(group.layout.dir().join(MARKER)).unwrap_or_default();
            if marker.trim() != parts.boot_id {
                return Ok(Adoption::Absent);
            }
            Ok(Adoption::Lost(recorded_ends(&group.layout, &parts.boot_id)))
        };
        self.blocking(look).await
    }

    async fn adopted_containers(
        &self,
        group: &Arc<Group>,
        snapshot: Snapshot,
    ) -> Result<Vec<AdoptedContainer>, HostError> {
        let of = Arc::clone(group);
        let see = move |parts: &super::Parts| {
            let vault = parts.records.vault();
            Ok(snapshot
                .containers
                .iter()
                .filter_map(|view| seen(vault, &of.layout, view))
                .collect::<Vec<_>>())
        };
        let containers = self.blocking(see).await?;
        for container in &containers {
            let attempt = container.attempt;
            let run = match &container.state {
                AdoptedState::Running(_) => RunState::Running { attempt },
                AdoptedState::Exited(exit) => RunState::Ended {
                    attempt,
                    code: exit.code,
                },
            };
            group.note(&container.name, run);
        }
        Ok(containers)
    }
}

/// What the keeper knows once no container is between its plan and its program: one that an agent
/// asked for before it went will run, or be forgotten. The keeper sets both a limit.
async fn launched(keeper: &Keeper, mut snapshot: Snapshot) -> Result<Snapshot, ClientError> {
    let under_way = |view: &ContainerView| {
        view.exit.is_none()
            && !matches!(
                view.phase,
                ContainerPhase::Running | ContainerPhase::Ending | ContainerPhase::Exited
            )
    };
    for _ in 0..LAUNCH_LOOKS_MAX {
        if !snapshot.containers.iter().any(under_way) {
            break;
        }
        tokio::time::sleep(LAUNCH_LOOK_PAUSE).await;
        snapshot = keeper.snapshot().await?;
    }
    Ok(snapshot)
}

fn seen(vault: &Vault, layout: &Layout, view: &ContainerView) -> Option<AdoptedContainer> {
    let state = match (&view.exit, view.phase) {
        (Some(exit), _) => AdoptedState::Exited(explain(layout, &view.name, view.attempt, exit)),
        (None, ContainerPhase::Running | ContainerPhase::Ending) => {
            AdoptedState::Running(started(vault, layout, view)?)
        }
        // Not even the keeper's limit has ended its launch.
        (None, _) => return None,
    };
    Some(AdoptedContainer {
        name: view.name.clone(),
        attempt: view.attempt,
        state,
    })
}

fn started(vault: &Vault, layout: &Layout, view: &ContainerView) -> Option<Started> {
    let place = (layout.dir(), &view.name);
    let known = RunFile::read(layout.dir(), &view.name).and_then(|file| {
        let stop_signal = file.stop_signal;
        Ok((stop_signal, file.process(vault, place)?))
    });
    // It runs, whatever became of the file: to take it for absent would start it twice.
    let (stop_signal, process) = known.unwrap_or_else(|error| {
        tracing::error!(container = %view.name, %error, "cannot read what a container runs");
        (SIGTERM, Process::default())
    });
    let started = view.started?;
    Some(Started {
        pid: view
            .pid
            .and_then(|pid| u32::try_from(pid).ok())
            .unwrap_or_default(),
        created: view.created.unwrap_or(started),
        started,
        user: super::plan::identity(&process),
        stop_signal: super::plan::signal(stop_signal),
    })
}

/// The latest end of each container that a keeper wrote down during this boot.
fn recorded_ends(layout: &Layout, boot_id: &str) -> Vec<AdoptedContainer> {
    let mut latest: Vec<AdoptedContainer> = Vec::new();
    for entry in fs::read_dir(layout.dir().join("exits"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let Some((container, attempt)) = name.to_str().and_then(parse_exit_name) else {
            continue;
        };
        let record = match ExitRecord::read(layout.dir(), &container, attempt) {
            Ok(Some(record)) if record.boot_id == boot_id => record,
            Ok(_) => continue,
            Err(error) => {
                tracing::error!(%error, "an exit record cannot be read");
                continue;
            }
        };
        let exit = explain(layout, &container, attempt, &record.exit);
        let found = AdoptedContainer {
            name: container,
            attempt,
            state: AdoptedState::Exited(exit),
        };
        match latest.iter_mut().find(|known| known.name == found.name) {
            Some(known) if known.attempt < found.attempt => *known = found,
            Some(_) => {}
            None => latest.push(found),
        }
    }
    latest
}

/// `web.3.json` as the third run of `web`.
fn parse_exit_name(name: &str) -> Option<(ContainerName, u32)> {
    let (container, attempt) = name.strip_suffix(".json")?.rsplit_once('.')?;
    Some((ContainerName::new(container).ok()?, attempt.parse().ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn exit_names() {
        assert_eq!(
            parse_exit_name("web.3.json"),
            Some((ContainerName::new("web").unwrap(), 3))
        );
        for bad in ["web.json", "web.3.tmp", ".3.json", "web.x.json", "..json"] {
            assert_eq!(parse_exit_name(bad), None, "{bad}");
        }
    }
}
