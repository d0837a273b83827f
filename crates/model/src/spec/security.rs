use std::collections::BTreeSet;

/// Identity and kernel settings shared by the group's containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSecurity {
    /// Groups added to every process.
    pub supplemental_groups: Vec<u32>,
    /// Whether the image's own group memberships count.
    pub supplemental_groups_policy: SupplementalGroupsPolicy,
    /// Owns the group's volumes and is added to every process.
    pub fs_group: Option<u32>,
    /// When ownership is changed.
    pub fs_group_change_policy: FsGroupChangePolicy,
    /// Namespaced kernel parameters of the safe list.
    pub sysctls: Vec<Sysctl>,
}

/// A kernel parameter for the group's namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// Dotted name, on the safe list or the operator's.
    pub name: String,
    /// Printable, without newline.
    pub value: String,
}

/// Identity and rights of one container; what the group said is already merged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSecurity {
    /// The image's user if `None`.
    pub run_as_user: Option<u32>,
    /// The image's group if `None`.
    pub run_as_group: Option<u32>,
    /// Refuses to start as uid 0; checked at every start, with the image's user too.
    pub run_as_non_root: bool,
    /// All rights over the group's own namespaces and all devices; needs the operator's leave.
    pub privileged: bool,
    /// `false` sets NoNewPrivs.
    pub allow_privilege_escalation: bool,
    /// The root file system is read-only.
    pub read_only_root: bool,
    /// Changes to the default set.
    pub capabilities: Capabilities,
    /// The system call filter.
    pub seccomp: SeccompProfile,
}

impl Default for ContainerSecurity {
    fn default() -> Self {
        Self {
            run_as_user: None,
            run_as_group: None,
            run_as_non_root: false,
            privileged: false,
            allow_privilege_escalation: false,
            read_only_root: false,
            capabilities: Capabilities::default(),
            seccomp: SeccompProfile::RuntimeDefault,
        }
    }
}

/// Changes to the default capability set. Names are upper case without `CAP_`; `ALL` stands for
/// every one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Added.
    pub add: BTreeSet<String>,
    /// Dropped; decides over the default set, and `add` decides over `drop: ALL`.
    pub drop: BTreeSet<String>,
}

/// Which system call filter a container has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeccompProfile {
    /// The profile shipped with Burstlet.
    RuntimeDefault,
    /// A profile that the operator registered under this name.
    Localhost(String),
    /// None; needs the operator's leave.
    Unconfined,
}

/// Kubernetes' `supplementalGroupsPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SupplementalGroupsPolicy {
    /// The image's `/etc/group` counts too.
    #[default]
    Merge,
    /// Only what the specification says.
    Strict,
}

/// Kubernetes' `fsGroupChangePolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FsGroupChangePolicy {
    /// At every start.
    #[default]
    Always,
    /// Only if the volume's root has another owner or mode.
    OnRootMismatch,
}
