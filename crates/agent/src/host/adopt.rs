//! Keepers and what they tell: taking over one that an earlier agent left, and passing on ends.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use burstlet_cgroup::FinalUsage;
use burstlet_model::status::ExitStatus;
use burstlet_model::{ContainerName, ErrorKind};
use burstlet_sandbox::client::{self, ClientError, Keeper, KeeperEvent, Launcher};
use burstlet_sandbox::exits::ExitRecord;
use burstlet_sandbox::logs::{LogQuery, LogReader, Progress, Record};
use burstlet_sandbox::protocol::{ContainerPhase, ContainerView, Exit, Snapshot};
use burstlet_supervisor::host::{
    Adopted, AdoptedContainer, AdoptedState, Adoption, GroupRef, HostError, HostEvent, Sandbox,
    Started,
};
use tokio::sync::mpsc;

use super::failure::{SANDBOX, fail};
use super::group::{Group, RunState, Standing};
use super::layout::{Layout, Run};
use super::run_file::{RunFile, Termination};
use super::sandbox::MARKER;
use super::{RealHost, complete};

/// Of the file that a container leaves its last words in, as Kubernetes has it.
const MESSAGE_BYTES_MAX: u64 = 4096;
/// Of the log that stands in for it.
const LOG_BYTES_MAX: usize = 2048;
const LOG_LINES_MAX: u64 = 80;
const SIGKILL: i32 = 9;
/// Tries to reach a keeper whose connection ended, before it counts as lost.
const RECONNECTS_MAX: u32 = 20;
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);
/// Looks at a container that is being launched, and the pause between them: together longer than
/// the two limits that the keeper sets a launch.
const LAUNCH_LOOKS_MAX: u32 = 3500;
const LAUNCH_LOOK_PAUSE: Duration = Duration::from_millis(20);

impl RealHost {
    pub(super) async fn take_over(&self, of: GroupRef<'_>) -> Result<Adoption, HostError> {
        let group = self.group(of.uid);
        let _changing = group.changing.lock().await;
        let spec = Arc::new(of.spec.clone());
        let known = Arc::clone(&group);
        let wants_ids = spec.user_namespace;
        let taken = self.blocking(move |parts| {
            let taken = wants_ids
                .then(|| parts.ids.take(&known.uid, known.layout.dir()))
                .transpose();
            taken.map_err(|error| fail(ErrorKind::Internal, SANDBOX, &error))
        });
        let id_base = taken.await?.unwrap_or(0);
        let adopted = match self.launcher.adopt(of.uid).await {
            Ok(adopted) => adopted,
            Err(ClientError::NoKeeper(_)) => return self.without_keeper(&group).await,
            Err(error) => return Err(fail(error.kind(), SANDBOX, &error)),
        };
        let client::Adopted {
            connected,
            snapshot,
        } = adopted;
        let snapshot = launched(&connected.keeper, snapshot)
            .await
            .map_err(|error| fail(error.kind(), SANDBOX, &error))?;
        if snapshot.containers.is_empty() && !self.is_complete(&group).await? {
            // Nothing has run in it, and nobody knows how far it came: it is made anew.
            tracing::warn!(group = %group.uid, "an agent went while it made the sandbox; ending it");
            drop(connected);
            self.tear_down(&group, None).await?;
            return Ok(Adoption::Absent);
        }
        let ip = self
            .network
            .address_of(of.uid)
            .map_err(|error| fail(error.kind(), SANDBOX, &error))?;
        let sandbox = Sandbox {
            ip,
            created: snapshot.since,
            network_ready: snapshot.since,
        };
        let containers = self.adopted_containers(&group, snapshot).await?;
        let pid = connected.keeper.pid();
        let network = connected.network.map(Arc::new);
        group.stands(Standing {
            keeper: connected.keeper,
            network,
            sandbox,
            spec,
            id_base,
        });
        self.follow(&group, pid, connected.events);
        Ok(Adoption::Standing(Adopted {
            sandbox,
            containers,
        }))
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
        let see = move |_: &super::Parts| {
            Ok(snapshot
                .containers
                .iter()
                .filter_map(|view| seen(&of.layout, view))
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

    /// Passes on what a keeper tells until its connection ends.
    pub(super) fn follow(
        &self,
        group: &Arc<Group>,
        pid: i32,
        mut events: mpsc::Receiver<KeeperEvent>,
    ) {
        let (group, parts) = (Arc::clone(group), Arc::clone(&self.parts));
        tokio::spawn(async move {
            loop {
                pass_on(&group, &mut events).await;
                // The end of a sandbox that was ended on purpose is no loss.
                if !group.is_kept_by(pid) {
                    return;
                }
                match reconnect(&parts.launcher, &group, pid).await {
                    Some(again) => events = again,
                    None => return tell(&group, HostEvent::KeeperLost).await,
                }
            }
        });
    }
}

/// Tells the loop what a keeper tells, until the connection ends.
async fn pass_on(group: &Arc<Group>, events: &mut mpsc::Receiver<KeeperEvent>) {
    while let Some(event) = events.recv().await {
        match event {
            KeeperEvent::Exited {
                container,
                attempt,
                exit,
            } => {
                let event = ended(group, container, attempt, exit).await;
                tell(group, event).await;
            }
            KeeperEvent::Lost => return,
        }
    }
}

/// A connection may end though the keeper lives, when one side was too slow for the other. Only a
/// keeper that does not answer any more is lost.
async fn reconnect(
    launcher: &Launcher,
    group: &Arc<Group>,
    pid: i32,
) -> Option<mpsc::Receiver<KeeperEvent>> {
    for _ in 0..RECONNECTS_MAX {
        match launcher.adopt(&group.uid).await {
            Ok(adopted) if adopted.snapshot.pid == pid => {
                tracing::warn!(group = %group.uid, "connected to the keeper again");
                group.keep(adopted.connected.keeper);
                for view in adopted.snapshot.containers {
                    if let Some(exit) = view.exit {
                        let event = ended(group, view.name, view.attempt, exit).await;
                        tell(group, event).await;
                    }
                }
                return Some(adopted.connected.events);
            }
            Ok(_) | Err(ClientError::NoKeeper(_)) => return None,
            Err(error) => {
                tracing::warn!(group = %group.uid, %error, "cannot connect to the keeper again");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }
    None
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

async fn tell(group: &Group, event: HostEvent) {
    if let Some(listener) = group.listener() {
        // A loop that is gone finds ends on disk when it comes back.
        let _ = listener.send(event).await;
    }
}

async fn ended(
    group: &Arc<Group>,
    container: ContainerName,
    attempt: u32,
    exit: Exit,
) -> HostEvent {
    let (of, name) = (Arc::clone(group), container.clone());
    let fallback = plain(&exit, String::new());
    let explained =
        tokio::task::spawn_blocking(move || explain(&of.layout, &name, attempt, &exit)).await;
    let exit = explained.unwrap_or(fallback);
    group.note(
        &container,
        RunState::Ended {
            attempt,
            code: exit.code,
        },
    );
    HostEvent::Exited {
        container,
        attempt,
        exit,
    }
}

/// The end of a run with its reason and last words. Blocks.
fn explain(layout: &Layout, container: &ContainerName, attempt: u32, exit: &Exit) -> ExitStatus {
    let run = Run { container, attempt };
    let mut message = read_message(&layout.termination(run));
    let of_log = RunFile::read(layout.dir(), container)
        .is_ok_and(|file| file.termination == Termination::FileOrLog && file.attempt == attempt);
    if message.is_empty() && of_log && exit.code != Some(0) {
        message = log_tail(&layout.logs(run));
    }
    plain(exit, message)
}

fn plain(exit: &Exit, message: String) -> ExitStatus {
    let code = exit
        .code
        .unwrap_or_else(|| 128 + exit.signal.unwrap_or(SIGKILL));
    let contents = exit
        .finals
        .iter()
        .filter_map(|f| Some((f.key.as_str(), f.content.as_deref()?)));
    let oom = FinalUsage::parse(contents)
        .oom_kills
        .is_some_and(|kills| kills > 0);
    let reason = match code {
        0 => "Completed",
        _ if oom => "OOMKilled",
        _ => "Error",
    };
    ExitStatus {
        code,
        signal: exit.signal.and_then(|signal| u8::try_from(signal).ok()),
        reason: reason.to_owned(),
        message,
        started_at: Some(exit.started),
        finished_at: exit.finished,
    }
}

/// The container writes this file, so no more of it is read than may be shown.
fn read_message(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(MESSAGE_BYTES_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of what a run logged. A piece at a time, and no more kept than is shown.
fn log_tail(dir: &Path) -> String {
    let query = LogQuery {
        tail_lines: Some(LOG_LINES_MAX),
        ..LogQuery::default()
    };
    let mut tail = Vec::new();
    if let Ok(mut reader) = LogReader::open(dir, query) {
        let mut keep = |record: Record<'_>| {
            tail.extend_from_slice(record.text);
            tail.drain(..tail.len().saturating_sub(LOG_BYTES_MAX));
        };
        while let Ok(Progress::More) = reader.read(&mut keep) {}
    }
    String::from_utf8_lossy(&tail).into_owned()
}

fn seen(layout: &Layout, view: &ContainerView) -> Option<AdoptedContainer> {
    let state = match (&view.exit, view.phase) {
        (Some(exit), _) => AdoptedState::Exited(explain(layout, &view.name, view.attempt, exit)),
        (None, ContainerPhase::Running | ContainerPhase::Ending) => {
            AdoptedState::Running(started(layout, view)?)
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

fn started(layout: &Layout, view: &ContainerView) -> Option<Started> {
    let file = RunFile::read(layout.dir(), &view.name).ok()?;
    let started = view.started?;
    Some(Started {
        pid: view
            .pid
            .and_then(|pid| u32::try_from(pid).ok())
            .unwrap_or_default(),
        created: view.created.unwrap_or(started),
        started,
        user: super::plan::identity(&file.process),
        stop_signal: super::plan::signal(file.stop_signal),
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
    use burstlet_model::Stamp;
    use burstlet_sandbox::protocol::FinalValue;

    use super::*;

    fn exit(code: Option<i32>, signal: Option<i32>, oom_kills: u64) -> Exit {
        let content = Some(format!(
            "oom_kill_disable 0\nunder_oom 0\noom_kill {oom_kills}\n"
        ));
        let finals = vec![FinalValue {
            key: "memory.oom_control".to_owned(),
            content,
        }];
        Exit {
            code,
            signal,
            started: Stamp::default(),
            finished: Stamp::default(),
            finals,
        }
    }

    #[test]
    fn reasons() {
        for (exit, code, reason) in [
            (exit(Some(0), None, 0), 0, "Completed"),
            (exit(Some(3), None, 0), 3, "Error"),
            (exit(None, Some(9), 0), 137, "Error"),
            (exit(None, Some(9), 1), 137, "OOMKilled"),
            (exit(Some(1), None, 2), 1, "OOMKilled"),
            (exit(Some(0), None, 2), 0, "Completed"),
        ] {
            let status = plain(&exit, String::new());
            assert_eq!((status.code, status.reason.as_str()), (code, reason));
        }
    }

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
