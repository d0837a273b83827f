use super::{
    ContainerSecurity, Lifecycle, OwnRestart, Port, Probe, ResizePolicy, Resources, RestartAction,
    RestartPolicy,
};
use crate::{ContainerName, ImageRef, Secret};

/// One container of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Unique within the group, over init containers too.
    pub name: ContainerName,
    /// The image.
    pub image: ImageRef,
    /// When to ask the registry.
    pub pull_policy: PullPolicy,
    /// Replaces the image's entrypoint; empty keeps it.
    pub command: Vec<String>,
    /// Replaces the image's arguments; with `command` given and no arguments, the image's are not
    /// used either (Kubernetes' rule).
    pub args: Vec<String>,
    /// Absolute; the image's by default.
    pub working_dir: Option<String>,
    /// In order; a later one may refer to an earlier one as `$(NAME)`.
    pub env: Vec<EnvVar>,
    /// Ports the container listens on.
    pub ports: Vec<Port>,
    /// Requests and limits.
    pub resources: Resources,
    /// How many devices it has for itself, of the group's resource.
    pub devices: u32,
    /// What changes of them need a new start.
    pub resize_policy: ResizePolicy,
    /// For an init container: `true` makes it a sidecar.
    pub restart_always: bool,
    /// Whether it is started again, if it does not leave that to its group.
    pub restart: Option<OwnRestart>,
    /// Gates the other probes until it succeeds.
    pub startup_probe: Option<Probe>,
    /// Restarts the container when it fails.
    pub liveness_probe: Option<Probe>,
    /// Decides whether the container counts as ready.
    pub readiness_probe: Option<Probe>,
    /// Hooks and the stop signal.
    pub lifecycle: Lifecycle,
    /// What is mounted where.
    pub mounts: Vec<VolumeMount>,
    /// Identity, capabilities, seccomp.
    pub security: ContainerSecurity,
    /// Absolute path of the file that the container may leave its last words in.
    pub termination_message_path: String,
    /// Whether the log's tail stands in when that file is empty and the container failed.
    pub termination_message_policy: TerminationMessagePolicy,
    /// Standard input stays open for attach.
    pub stdin: bool,
    /// Standard input closes when the first attached client leaves.
    pub stdin_once: bool,
    /// Standard streams are a terminal.
    pub tty: bool,
}

impl ContainerSpec {
    /// Whether it is started again after it ended with this code, in a group with this policy.
    #[must_use]
    pub fn restarts(&self, of_group: RestartPolicy, code: i32) -> bool {
        match &self.restart {
            Some(own) => own.restarts(code),
            None => of_group.restarts(code),
        }
    }

    /// Whether every container of its group is started again after it ended with this code.
    #[must_use]
    pub fn restarts_all(&self, code: i32) -> bool {
        let own = self.restart.as_ref();
        own.and_then(|own| own.action(code)) == Some(RestartAction::All)
    }

    /// What this container is, if it stands among the init containers.
    #[must_use]
    pub const fn init_kind(&self) -> ContainerKind {
        if self.restart_always {
            ContainerKind::Sidecar
        } else {
            ContainerKind::Init
        }
    }
}

/// A container that was added to a running group, to look into it. It runs once, and the group's
/// life does not depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EphemeralContainer {
    /// The container: without ports, resources, probes and hooks.
    pub container: ContainerSpec,
    /// The container whose processes it sees, if any but its own.
    pub target: Option<ContainerName>,
}

/// What part a container plays in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerKind {
    /// Runs to its end before the next begins.
    Init,
    /// Starts in its turn among the init containers and runs as long as the main ones do.
    Sidecar,
    /// What the group is for.
    Main,
    /// Was added to look into the group.
    Ephemeral,
}

/// When the registry is asked for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// When it is not in the store.
    IfNotPresent,
    /// Never: an image that is not in the store is an error.
    Never,
}

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvVar {
    /// The name: any printable ASCII but `=`, as Kubernetes allows.
    pub name: String,
    /// Where its value comes from.
    pub value: EnvSource,
}

/// Where an environment variable's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvSource {
    /// Text in which `$(NAME)` is expanded.
    Literal(String),
    /// Secret text, taken as it is, never shown.
    Secret(Secret<String>),
    /// The group's own address, known only after its network is set up.
    GroupIp,
    /// The node's address.
    HostIp,
    /// The node's name.
    NodeName,
    /// The group's uid.
    GroupUid,
}

/// A volume at a place in the container's file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeMount {
    /// Index into [`super::GroupSpec::volumes`].
    pub volume: usize,
    /// Absolute, without `..`.
    pub mount_path: String,
    /// Relative to the volume's root, without `..`; `$(NAME)` already expanded where it could be.
    pub sub_path: Option<String>,
    /// Writes are refused.
    pub read_only: bool,
    /// Mounts below it are read-only too.
    pub recursive_read_only: bool,
}

/// Where a termination message is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationMessagePolicy {
    /// The file only.
    File,
    /// The tail of the log if the file is empty and the container failed: at most 2 KiB or 80 lines.
    FallbackToLogsOnError,
}
