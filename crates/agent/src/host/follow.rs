//! What a keeper tells while it lives: passed on to the group's loop.

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::ContainerName;
use burstlet_sandbox::client::{ClientError, KeeperEvent, Launcher};
use burstlet_sandbox::protocol::Exit;
use burstlet_supervisor::host::HostEvent;
use tokio::sync::mpsc;

use super::RealHost;
use super::exit::{explain, plain};
use super::group::{Group, RunState};

/// Tries to reach a keeper whose connection ended, before it counts as lost.
const RECONNECTS_MAX: u32 = 20;
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

impl RealHost {
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

async fn tell(group: &Group, event: HostEvent) {
    if let Some(listener) = group.listener() {
        // A loop that is gone finds ends on disk when it comes back.
        let _ = listener.send(Box::new(event)).await;
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
