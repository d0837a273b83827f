use crate::spec::Resources;
use crate::{ContainerName, Digest, Stamp};

/// A container as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// Its name.
    pub name: ContainerName,
    /// The image as the specification names it, in its canonical form.
    pub image: String,
    /// The manifest that runs.
    pub image_digest: Option<Digest>,
    /// What it does now.
    pub state: ContainerState,
    /// How it ended the time before.
    pub last_exit: Option<ExitStatus>,
    /// How often it was started again.
    pub restart_count: u32,
    /// Startup probe and postStart hook are done.
    pub started: bool,
    /// Counts as ready.
    pub ready: bool,
    /// The identity it runs with: uid, gid, supplementary groups.
    pub user: Option<(u32, u32, Vec<u32>)>,
    /// What it runs with, or will: others than the specification's while those are being given.
    /// `None` if that was not written down.
    pub resources: Option<Resources>,
}

/// The reason of a container that waits until all others have ended, to be started again with them
/// (Kubernetes' word).
pub const RESTARTING_ALL: &str = "RestartingAllContainers";

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Not running, for a stated reason (`ContainerCreating`, `PodInitializing`,
    /// `CrashLoopBackOff`, `ErrImagePull`, `ImagePullBackOff`, ...).
    Waiting {
        /// A stable word, Kubernetes' own where it has one.
        reason: String,
        /// For people; may be empty.
        message: String,
    },
    /// Running.
    Running {
        /// Since when.
        started_at: Stamp,
        /// Its first process as the host numbers it.
        pid: u32,
    },
    /// Ended, and not waiting to be started again.
    Terminated(ExitStatus),
}

impl ContainerState {
    /// Whether a process of it is running.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// How one run of a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitStatus {
    /// The exit code; 128 + signal if a signal ended it.
    pub code: i32,
    /// The signal, if one ended it.
    pub signal: Option<u8>,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, `ContainerStatusUnknown`, ...
    pub reason: String,
    /// The termination message, or what went wrong.
    pub message: String,
    /// When its first process started; `None` if it never did.
    pub started_at: Option<Stamp>,
    /// When it ended.
    pub finished_at: Stamp,
}

impl ExitStatus {
    /// Whether it ended well.
    #[must_use]
    pub const fn success(&self) -> bool {
        self.code == 0
    }
}
