//! What a group should be: `GroupSpec`, in the words and meanings of a Kubernetes PodSpec, so that
//! a pod maps one to one.
//!
//! Every value here is valid: names are checked, defaults are filled in, references are resolved
//! (a volume that a mount names exists, a port that a probe names is a number). What could not be
//! so was refused by the translator at the edge.

mod container;
mod devices;
mod lifecycle;
mod network;
mod probe;
mod processors;
mod resources;
mod scheduling;
mod security;
mod volume;

use std::collections::BTreeMap;

pub use container::{
    ContainerKind, ContainerSpec, EnvSource, EnvVar, EphemeralContainer, PullPolicy,
    TerminationMessagePolicy, VolumeMount,
};
pub use devices::DeviceRequest;
pub use lifecycle::{
    Backoff, Ends, Hook, HookAction, Lifecycle, OwnRestart, RestartAction, RestartPolicy,
    RestartRule, Signal,
};
pub use network::{DnsPolicy, DnsSpec, HostAlias, NetworkSpec, Port, Protocol, Reach};
pub use probe::{HttpGet, HttpScheme, Probe, ProbeAction};
pub use resources::{ResizePolicy, ResourceList, Resources};
pub use scheduling::Scheduling;
pub use security::{
    Capabilities, ContainerSecurity, FsGroupChangePolicy, GroupSecurity, SeccompProfile,
    SupplementalGroupsPolicy, Sysctl,
};
pub use volume::{DataFile, HostPathType, Medium, Volume, VolumeSource};

use crate::{ContainerName, ExtendedResource, GroupName, ImageRef, Secret};

/// The specification of one container group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// Namespace and name.
    pub name: GroupName,
    /// Labels, as Kubernetes has them; selectors look at these.
    pub labels: BTreeMap<String, String>,
    /// Annotations: carried, never interpreted.
    pub annotations: BTreeMap<String, String>,
    /// Billing tags; frozen when the group's session opens.
    pub tags: BTreeMap<String, String>,
    /// Init containers and sidecars, run in this order before `containers`.
    pub init_containers: Vec<ContainerSpec>,
    /// The containers the group is for; at least one.
    pub containers: Vec<ContainerSpec>,
    /// Containers that were added to the running group to look into it.
    pub ephemeral_containers: Vec<EphemeralContainer>,
    /// What happens when a container ends.
    pub restart_policy: RestartPolicy,
    /// The back-off between restarts of one container.
    pub backoff: Backoff,
    /// How long a container has between its stop signal and SIGKILL.
    pub termination_grace_period_s: u32,
    /// The group fails when it has been running this long.
    pub active_deadline_s: Option<u32>,
    /// The group is deleted this long after it ended.
    pub ttl_after_finished_s: Option<u32>,
    /// The host name inside; the group's name by default, cut to 63 characters.
    pub hostname: String,
    /// With a domain the host name is fully qualified in `/etc/hosts`.
    pub domain: Option<String>,
    /// Name resolution.
    pub dns: DnsSpec,
    /// Lines added to `/etc/hosts`.
    pub host_aliases: Vec<HostAlias>,
    /// Network isolation and the use of the host's network.
    pub network: NetworkSpec,
    /// Volumes by name, unique.
    pub volumes: Vec<Volume>,
    /// Defaults of identity and sysctls for all containers.
    pub security: GroupSecurity,
    /// All containers see each other's processes.
    pub share_process_namespace: bool,
    /// Whether the group has a user namespace of its own. `false` needs the operator's leave.
    pub user_namespace: bool,
    /// Limits for the group as a whole, beside those of its containers.
    pub resources: Option<Resources>,
    /// The resource whose devices its containers have, if any of them has one.
    pub device_resource: Option<ExtendedResource>,
    /// Larger starts first when the machine is full.
    pub priority: i32,
    /// Whether it may be ended for others.
    pub scheduling: Scheduling,
    /// Registry credentials given with the group.
    pub registry_credentials: Vec<RegistryCredential>,
}

impl GroupSpec {
    /// All containers with their kind, init containers first and ephemeral ones last, each in the
    /// order of the spec: one that is added does not change the places of the others.
    pub fn all_containers(&self) -> impl Iterator<Item = (ContainerKind, &ContainerSpec)> {
        let ephemeral = self.ephemeral_containers.iter();
        self.lasting_containers()
            .chain(ephemeral.map(|c| (ContainerKind::Ephemeral, &c.container)))
    }

    /// Those that the group was made with: what it is sized, classed and sold by.
    pub fn lasting_containers(&self) -> impl Iterator<Item = (ContainerKind, &ContainerSpec)> {
        let init = self.init_containers.iter().map(|c| (c.init_kind(), c));
        init.chain(self.containers.iter().map(|c| (ContainerKind::Main, c)))
    }

    /// Whether a container of it may end so that all are started again.
    #[must_use]
    pub fn may_begin_again(&self) -> bool {
        let rules = |container: &ContainerSpec| {
            let own = container.restart.as_ref();
            own.is_some_and(|own| own.rules.iter().any(|r| r.action == RestartAction::All))
        };
        self.lasting_containers().any(|(_, c)| rules(c))
    }

    /// Whose processes a container of this name is to see: that of an ephemeral one that says so.
    #[must_use]
    pub fn target_of(&self, name: &ContainerName) -> Option<&ContainerName> {
        let mut ephemeral = self.ephemeral_containers.iter();
        let found = ephemeral.find(|c| c.container.name == *name)?;
        found.target.as_ref()
    }

    /// The resources that the group asks the machine for: the sum over its main containers and
    /// sidecars, or the largest of what an init container needs beside the sidecars started before
    /// it, per resource; a group-level request decides over both. (Kubernetes' rule for pods.)
    #[must_use]
    pub fn requested(&self) -> ResourceList {
        self.requested_with(self.resources, |_, container| container.resources)
    }

    /// The same for a group that has other resources than these: `group` as a whole, and what `of`
    /// says of a container at its place in [`Self::all_containers`].
    #[must_use]
    pub fn requested_with(
        &self,
        group: Option<Resources>,
        of: impl Fn(usize, &ContainerSpec) -> Resources,
    ) -> ResourceList {
        let mut sidecars = ResourceList::default();
        let mut init_peak = ResourceList::default();
        for (index, container) in self.init_containers.iter().enumerate() {
            let wants = of(index, container).requests;
            if container.init_kind() == ContainerKind::Sidecar {
                sidecars = sidecars.plus(wants);
                init_peak = init_peak.max(sidecars);
            } else {
                init_peak = init_peak.max(sidecars.plus(wants));
            }
        }
        let mains = (self.init_containers.len()..).zip(&self.containers);
        let steady = mains.fold(sidecars, |sum, (index, container)| {
            sum.plus(of(index, container).requests)
        });
        let computed = steady.max(init_peak);
        group.map_or(computed, |group| group.requests.or(computed))
    }
}

/// A credential for one registry, as given with a group or a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryCredential {
    /// The registry's host with its port if any, as [`ImageRef::registry`] spells it.
    pub registry: String,
    /// The user's name.
    pub username: String,
    /// The password or token.
    pub password: Secret<String>,
}

/// The image that a container or an image volume is made from.
pub type Image = ImageRef;

#[cfg(test)]
mod tests;
