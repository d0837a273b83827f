//! `securityContext` of a group and of a container.

use crate::schema::Shape::{Flag, List, Number, NumberList, Object, Text, TextList};
use crate::schema::{Field, done, policy, refused, warned};

const SELINUX: Field = refused(
    "seLinuxOptions",
    "SELinux labels are not set.",
    "leave it out",
);
const WINDOWS: Field = refused("windowsOptions", "Groups run Linux.", "leave it out");

pub(super) const GROUP: &[Field] = &[
    done(
        "runAsUser",
        Number,
        "The user of all containers; the image's by default.",
    ),
    done(
        "runAsGroup",
        Number,
        "The group of all containers; the image's by default.",
    ),
    done(
        "runAsNonRoot",
        Flag,
        "Refuses to start as root, with the image's user too.",
    ),
    done(
        "supplementalGroups",
        NumberList,
        "Groups added to every process.",
    ),
    done(
        "supplementalGroupsPolicy",
        Text,
        "`Merge` (default) or `Strict`.",
    ),
    done(
        "fsGroup",
        Number,
        "Owns the volumes and is added to every process.",
    ),
    done(
        "fsGroupChangePolicy",
        Text,
        "`Always` (default) or `OnRootMismatch`: when what is on a claim's volume is given to the `fsGroup`. Other volumes are made with its ownership.",
    ),
    policy(
        "sysctls",
        List(SYSCTL),
        "Kernel parameters of the group's namespaces: the safe list, and what the operator adds.",
    ),
    policy(
        "seccompProfile",
        Object(SECCOMP),
        "The system call filter; `RuntimeDefault` if missing.",
    ),
    done("appArmorProfile", Object(APPARMOR), "Only `Unconfined`."),
    SELINUX,
    warned("seLinuxChangePolicy", "SELinux labels are not set."),
    WINDOWS,
];

pub(super) const CONTAINER: &[Field] = &[
    done("runAsUser", Number, "Decides over the group's."),
    done("runAsGroup", Number, "Decides over the group's."),
    done("runAsNonRoot", Flag, "Decides over the group's."),
    policy(
        "privileged",
        Flag,
        "All rights over the group's namespaces, and the devices.",
    ),
    done(
        "allowPrivilegeEscalation",
        Flag,
        "`false` sets NoNewPrivs; the operator's default if missing.",
    ),
    done(
        "readOnlyRootFilesystem",
        Flag,
        "The root file system is read-only.",
    ),
    done(
        "capabilities",
        Object(CAPABILITIES),
        "Changes to the default set.",
    ),
    policy(
        "seccompProfile",
        Object(SECCOMP),
        "Decides over the group's.",
    ),
    done("appArmorProfile", Object(APPARMOR), "Only `Unconfined`."),
    refused("procMount", "Parts of /proc stay masked.", "leave it out").neutral(&["Default"]),
    SELINUX,
    WINDOWS,
];

const SYSCTL: &[Field] = &[
    policy("name", Text, "Dotted or with slashes."),
    done("value", Text, "Printable."),
];

const CAPABILITIES: &[Field] = &[
    policy(
        "add",
        TextList,
        "Those of the default set, and what the operator adds.",
    ),
    done("drop", TextList, "`ALL` drops every one."),
];

const SECCOMP: &[Field] = &[
    policy(
        "type",
        Text,
        "`RuntimeDefault`; `Localhost` and `Unconfined` where the operator allows them.",
    ),
    policy(
        "localhostProfile",
        Text,
        "For `Localhost`: a profile that the operator registered.",
    ),
];

const APPARMOR: &[Field] = &[
    done("type", Text, "`Unconfined`; no profile is loaded."),
    refused(
        "localhostProfile",
        "AppArmor profiles are not loaded.",
        "leave it out",
    ),
];
