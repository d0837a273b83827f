//! What a container is made from.

use std::net::IpAddr;

use burstlet_model::spec::{ContainerSpec, GroupSpec, Signal};
use burstlet_model::{Bytes, GroupUid};

/// Everything that decides about one start of one container.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The group.
    pub group: &'a GroupSpec,
    /// One of its containers.
    pub container: &'a ContainerSpec,
    /// What its image says.
    pub image: &'a ImageDefaults,
    /// Who it runs as: [`user_to_resolve`] held against the image's accounts.
    pub user: &'a User,
    /// What only the host knows.
    pub facts: &'a Facts,
}

/// What an image says about running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageDefaults {
    /// The command's fixed part.
    pub entrypoint: Vec<String>,
    /// Default arguments, or the command where there is no entry point.
    pub cmd: Vec<String>,
    /// Environment in order.
    pub env: Vec<(String, String)>,
    /// Absolute; empty for `/`.
    pub working_dir: String,
    /// As written: `SIGTERM`, `RTMIN+3`, `15`.
    pub stop_signal: Option<String>,
}

/// Who a container runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The groups that the image makes the user a member of.
    pub groups: Vec<u32>,
    /// The home directory, if the image names one.
    pub home: Option<String>,
}

/// What only the host knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The group's identity.
    pub group_uid: GroupUid,
    /// The group's address, if it has one.
    pub group_ip: Option<IpAddr>,
    /// The node's address, if it is known.
    pub host_ip: Option<IpAddr>,
    /// The node's name.
    pub node_name: String,
    /// The size of `/dev/shm`; `None` if the group's containers share one that comes as a volume.
    pub shm: Option<Bytes>,
    /// The node's memory, which memory requests are weighed against.
    pub memory: Bytes,
    /// The lowest `oom_score_adj` that the starter of containers may set: its own, if it lacks
    /// `CAP_SYS_RESOURCE`.
    pub oom_score_min: i32,
    /// The capabilities that the starter of containers can give, as bits by the kernel's numbers: what
    /// it has given up itself is not to be had without a user namespace.
    pub capabilities: u64,
    /// Whether cgroups refuse to open a device that is not on a container's list.
    pub devices_listed: bool,
    /// Paths below `/sys` that differ from host to host and tell of others' work, to be hidden:
    /// the `thermal_throttle` directories of the processors.
    pub masked_paths: Vec<String>,
}

impl Inputs<'_> {
    /// Where `field` of this container stands in the group's specification.
    pub(crate) fn path(&self, field: &str) -> String {
        let is_own = |other: &ContainerSpec| other.name == self.container.name;
        let position = |list: &[ContainerSpec]| list.iter().position(is_own);
        let mut ephemeral = self.group.ephemeral_containers.iter();
        let (list, index) = if let Some(index) = position(&self.group.init_containers) {
            ("initContainers", index)
        } else if let Some(index) = ephemeral.position(|c| is_own(&c.container)) {
            ("ephemeralContainers", index)
        } else {
            ("containers", position(&self.group.containers).unwrap_or(0))
        };
        format!("spec.{list}[{index}].{field}")
    }
}

/// The `USER` to hold against the image's accounts: the specification's, else the image's.
#[must_use]
pub fn user_to_resolve(container: &ContainerSpec, image_user: &str) -> String {
    let security = &container.security;
    let user = match security.run_as_user {
        Some(uid) => uid.to_string(),
        None => match (security.run_as_group, image_user.split_once(':')) {
            // The image's group gives way, its user stays.
            (Some(_), Some((user, _))) => user.to_owned(),
            (Some(_), None) if image_user.is_empty() => "0".to_owned(),
            _ => image_user.to_owned(),
        },
    };
    match security.run_as_group {
        Some(gid) => format!("{user}:{gid}"),
        None => user,
    }
}

/// The signal that asks a container to stop: the specification's, else the image's, else SIGTERM.
/// An image that names no signal of Linux counts as naming none, as it does for other runtimes.
#[must_use]
pub fn stop_signal(container: &ContainerSpec, image: &ImageDefaults) -> Signal {
    let of_image = || Signal::parse(image.stop_signal.as_deref()?);
    container
        .lifecycle
        .stop_signal
        .or_else(of_image)
        .unwrap_or(Signal::TERM)
}
