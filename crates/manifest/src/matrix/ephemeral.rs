//! Ephemeral containers: a container without what only those have that a group is made with.

use super::container::{
    ARGS, COMMAND, DEVICES, ENV, ENV_FROM, IMAGE, MESSAGE_PATH, MESSAGE_POLICY, MOUNT_NAME,
    MOUNT_PATH, NAME, PROPAGATION, PULL, READ_ONLY, RECURSIVE, SECURITY, STDIN, STDIN_ONCE, TTY,
    WORKING_DIR,
};
use crate::schema::Shape::{List, Text};
use crate::schema::{Field, done, refused};

pub(super) const CONTAINER: &[Field] = &[
    NAME,
    IMAGE,
    PULL,
    COMMAND,
    ARGS,
    WORKING_DIR,
    ENV,
    ENV_FROM,
    done(
        "targetContainerName",
        Text,
        "The container whose processes it sees; its own by default.",
    ),
    done(
        "volumeMounts",
        List(MOUNT),
        "Which volume is mounted where.",
    ),
    DEVICES,
    SECURITY,
    MESSAGE_PATH,
    MESSAGE_POLICY,
    STDIN,
    STDIN_ONCE,
    TTY,
    refused(
        "ports",
        "An ephemeral container serves nobody.",
        "port-forward reaches what listens in the group",
    ),
    refused(
        "resources",
        "An ephemeral container takes from what the group has.",
        "leave it out",
    ),
    refused(
        "resizePolicy",
        "An ephemeral container takes from what the group has.",
        "leave it out",
    ),
    refused(
        "restartPolicy",
        "An ephemeral container runs once.",
        "add another one",
    ),
    refused(
        "restartPolicyRules",
        "An ephemeral container runs once.",
        "add another one",
    ),
    refused(
        "startupProbe",
        "An ephemeral container is not probed.",
        "leave it out",
    ),
    refused(
        "livenessProbe",
        "An ephemeral container is not probed.",
        "leave it out",
    ),
    refused(
        "readinessProbe",
        "An ephemeral container is not probed.",
        "leave it out",
    ),
    refused(
        "lifecycle",
        "An ephemeral container has no hooks.",
        "leave it out",
    ),
];

const MOUNT: &[Field] = &[
    MOUNT_NAME,
    MOUNT_PATH,
    refused(
        "subPath",
        "An ephemeral container mounts whole volumes.",
        "leave it out",
    ),
    refused(
        "subPathExpr",
        "An ephemeral container mounts whole volumes.",
        "leave it out",
    ),
    READ_ONLY,
    RECURSIVE,
    PROPAGATION,
];
