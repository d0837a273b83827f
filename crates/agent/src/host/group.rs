//! What the agent knows of one group's sandbox while it runs. All of it can be found again: from
//! the keeper, the lease and the files in the group's directory.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burstlet_model::spec::GroupSpec;
use burstlet_model::{ContainerName, Digest, ErrorKind, GroupUid, ImageRef};
use burstlet_sandbox::client::Keeper;
use burstlet_supervisor::host::{HostError, HostEvent, Sandbox};
use tokio::sync::{Semaphore, mpsc, watch};

use super::layout::Layout;

/// Connections into a group that clients have made at once; more wait. Far fewer than the keeper
/// makes, so that there is always room for probes, and about as many as a port lets wait.
const DIALS_MAX: usize = 16;

/// One group.
pub(super) struct Group {
    pub(super) uid: GroupUid,
    pub(super) layout: Layout,
    /// Held while the sandbox is made or ended, so that one does not undo the other.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// For connections that clients have made: the keeper refuses what is too much.
    pub(super) dials: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    standing: Option<Standing>,
    listener: Option<mpsc::Sender<Box<HostEvent>>>,
    runs: HashMap<ContainerName, watch::Sender<RunState>>,
    pulled: HashMap<ImageRef, Digest>,
}

/// A sandbox that stands.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) keeper: Keeper,
    pub(super) network: Option<Arc<OwnedFd>>,
    pub(super) sandbox: Sandbox,
    pub(super) spec: Arc<GroupSpec>,
    /// The host id of the group's id 0; 0 without a user namespace.
    pub(super) id_base: u32,
}

/// What a container's latest run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunState {
    /// It runs.
    Running { attempt: u32 },
    /// It ended with this code.
    Ended { attempt: u32, code: i32 },
}

impl RunState {
    pub(super) const fn attempt(self) -> u32 {
        match self {
            Self::Running { attempt } | Self::Ended { attempt, .. } => attempt,
        }
    }

    pub(super) const fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

impl Group {
    pub(super) fn new(uid: GroupUid, dir: PathBuf) -> Self {
        let changing = tokio::sync::Mutex::new(());
        Self {
            uid,
            layout: Layout::new(dir),
            changing,
            dials: Semaphore::new(DIALS_MAX),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sandbox, if it stands.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.state().standing.clone()
    }

    /// The sandbox.
    ///
    /// # Errors
    /// It does not stand.
    pub(super) fn running(&self) -> Result<Standing, HostError> {
        self.standing().ok_or_else(|| {
            let text = format!("group {} is not running", self.uid);
            HostError::new(ErrorKind::FailedPrecondition, "NotRunning", text)
        })
    }

    /// The sandbox, for `spec` from now on.
    ///
    /// # Errors
    /// It does not stand.
    pub(super) fn standing_as(&self, spec: &GroupSpec) -> Result<Standing, HostError> {
        if let Some(standing) = &mut self.state().standing
            && *standing.spec != *spec
        {
            standing.spec = Arc::new(spec.clone());
        }
        self.running()
    }

    /// The keeper.
    ///
    /// # Errors
    /// The sandbox does not stand.
    pub(super) fn keeper(&self) -> Result<Keeper, HostError> {
        self.running().map(|standing| standing.keeper)
    }

    pub(super) fn stands(&self, standing: Standing) {
        self.state().standing = Some(standing);
    }

    /// Takes the sandbox out, so that nobody else uses it.
    pub(super) fn falls(&self) -> Option<Standing> {
        self.state().standing.take()
    }

    /// Puts another connection to the same keeper in place.
    pub(super) fn keep(&self, keeper: Keeper) {
        if let Some(standing) = &mut self.state().standing {
            standing.keeper = keeper;
        }
    }

    /// Whether the keeper with this process id is the one in use.
    pub(super) fn is_kept_by(&self, pid: i32) -> bool {
        self.state()
            .standing
            .as_ref()
            .is_some_and(|standing| standing.keeper.pid() == pid)
    }

    pub(super) fn listen(&self, listener: mpsc::Sender<Box<HostEvent>>) {
        self.state().listener = Some(listener);
    }

    pub(super) fn listener(&self) -> Option<mpsc::Sender<Box<HostEvent>>> {
        self.state().listener.clone()
    }

    /// Notes which manifest a pull for this group has given.
    pub(super) fn has_pulled(&self, image: ImageRef, manifest: Digest) {
        self.state().pulled.insert(image, manifest);
    }

    /// The manifest that the latest pull for this group has given.
    pub(super) fn pulled(&self, image: &ImageRef) -> Option<Digest> {
        self.state().pulled.get(image).cloned()
    }

    /// Notes what a container's latest run does.
    pub(super) fn note(&self, container: &ContainerName, run: RunState) {
        let mut state = self.state();
        match state.runs.get(container) {
            // An end may be told twice, and late; what began after it counts.
            Some(known) if known.borrow().attempt() > run.attempt() => {}
            Some(known) => drop(known.send_replace(run)),
            None => drop(
                state
                    .runs
                    .insert(container.clone(), watch::Sender::new(run)),
            ),
        }
    }

    /// What a container's latest run does, now and from now on.
    pub(super) fn watch(&self, container: &ContainerName) -> Option<watch::Receiver<RunState>> {
        self.state()
            .runs
            .get(container)
            .map(watch::Sender::subscribe)
    }
}
