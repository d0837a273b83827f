//! Containers, init containers and what both are made of.

use super::security;
use crate::schema::Shape::{
    Flag, List, Number, NumberList, NumberOrText, Object, Quantity, Text, TextList,
};
use crate::schema::{EXTENDED_RESOURCE, Field, done, policy, refused, warned};

pub(super) const MAIN: &[Field] = &[
    NAME,
    IMAGE,
    PULL,
    COMMAND,
    ARGS,
    WORKING_DIR,
    ENV,
    ENV_FROM,
    PORTS,
    RESOURCES,
    RESIZE,
    done(
        "restartPolicy",
        Text,
        "`Always`, `OnFailure` or `Never`; the group's by default.",
    ),
    RULES,
    STARTUP,
    LIVENESS,
    READINESS,
    LIFECYCLE,
    MOUNTS,
    DEVICES,
    SECURITY,
    MESSAGE_PATH,
    MESSAGE_POLICY,
    STDIN,
    STDIN_ONCE,
    TTY,
];

pub(super) const INIT: &[Field] = &[
    NAME,
    IMAGE,
    PULL,
    COMMAND,
    ARGS,
    WORKING_DIR,
    ENV,
    ENV_FROM,
    PORTS,
    RESOURCES,
    RESIZE,
    done(
        "restartPolicy",
        Text,
        "`Always` makes it a sidecar: it starts in its turn and runs as long as the group. `OnFailure` \
         or `Never`; the group's by default.",
    ),
    RULES,
    STARTUP,
    LIVENESS,
    READINESS,
    LIFECYCLE,
    MOUNTS,
    DEVICES,
    SECURITY,
    MESSAGE_PATH,
    MESSAGE_POLICY,
    STDIN,
    STDIN_ONCE,
    TTY,
];

pub(super) const NAME: Field = done(
    "name",
    Text,
    "Unique within the group, over init containers too.",
);
pub(super) const IMAGE: Field = done(
    "image",
    Text,
    "An image reference, as Docker and Kubernetes read it.",
);
pub(super) const PULL: Field = done(
    "imagePullPolicy",
    Text,
    "`Always`, `IfNotPresent` or `Never`; `Always` by default for the tag `latest`, else `IfNotPresent`.",
);
pub(super) const COMMAND: Field = done(
    "command",
    TextList,
    "Replaces the image's entrypoint; `$(NAME)` is expanded.",
);
pub(super) const ARGS: Field = done(
    "args",
    TextList,
    "Replaces the image's arguments; `$(NAME)` is expanded.",
);
pub(super) const WORKING_DIR: Field = done("workingDir", Text, "Absolute; the image's by default.");
pub(super) const ENV: Field = done(
    "env",
    List(ENV_VAR),
    "In order; a later one may refer to an earlier one.",
);
pub(super) const ENV_FROM: Field = refused(
    "envFrom",
    "There are no ConfigMap or Secret objects to look up.",
    "list the variables in env, with value or secretValue",
);
const PORTS: Field = done("ports", List(PORT), "Ports that the container listens on.");
const RESOURCES: Field = done(
    "resources",
    Object(CONTAINER_RESOURCES),
    "Requests and limits.",
);
const RESIZE: Field = done(
    "resizePolicy",
    List(RESIZE_POLICY),
    "What of a pod's processors and memory changes only by starting the container again. Those of \
     other groups do not change.",
);
const RULES: Field = done(
    "restartPolicyRules",
    List(RESTART_RULE),
    "Ends after which it is started again whatever its `restartPolicy` says.",
);
const STARTUP: Field = done(
    "startupProbe",
    Object(PROBE),
    "Gates the other probes until it succeeds.",
);
const LIVENESS: Field = done(
    "livenessProbe",
    Object(PROBE),
    "Restarts the container when it fails.",
);
const READINESS: Field = done(
    "readinessProbe",
    Object(READINESS_PROBE),
    "Decides whether the container counts as ready.",
);
const LIFECYCLE: Field = done(
    "lifecycle",
    Object(LIFECYCLE_FIELDS),
    "Hooks and the stop signal.",
);
const MOUNTS: Field = done(
    "volumeMounts",
    List(MOUNT),
    "Which volume is mounted where.",
);
pub(super) const DEVICES: Field = refused(
    "volumeDevices",
    "Block devices are not supported.",
    "use volumeMounts",
);
pub(super) const SECURITY: Field = done(
    "securityContext",
    Object(security::CONTAINER),
    "Identity and rights; decides over the group's.",
);
pub(super) const MESSAGE_PATH: Field = done(
    "terminationMessagePath",
    Text,
    "Where the container may leave its last words; `/dev/termination-log` by default.",
);
pub(super) const MESSAGE_POLICY: Field = done(
    "terminationMessagePolicy",
    Text,
    "`File` (default) or `FallbackToLogsOnError`.",
);
pub(super) const STDIN: Field = done("stdin", Flag, "Standard input stays open for attach.");
pub(super) const STDIN_ONCE: Field = done(
    "stdinOnce",
    Flag,
    "Standard input closes when the first attached client leaves.",
);
pub(super) const TTY: Field = done("tty", Flag, "Standard streams are a terminal.");

const ENV_VAR: &[Field] = &[
    done("name", Text, "Printable ASCII but `=`."),
    done("value", Text, "`$(NAME)` is expanded."),
    done("secretValue", Text, "Taken as it is, never shown.")
        .own()
        .secret(),
    done(
        "valueFrom",
        Object(ENV_SOURCE),
        "A field or resource of the group.",
    ),
];

const ENV_SOURCE: &[Field] = &[
    done("fieldRef", Object(FIELD_REF), "A field of the group."),
    done(
        "resourceFieldRef",
        Object(RESOURCE_REF),
        "A request or limit of a container.",
    ),
    refused(
        "configMapKeyRef",
        "There are no ConfigMap objects to look up.",
        "use value",
    ),
    refused(
        "secretKeyRef",
        "There are no Secret objects to look up.",
        "use secretValue",
    ),
    refused(
        "fileKeyRef",
        "Variables are not read from files.",
        "use value",
    ),
];

pub(super) const FIELD_REF: &[Field] = &[
    done(
        "fieldPath",
        Text,
        "`metadata.name`, `.namespace`, `.uid`, `.labels['KEY']`, `.annotations['KEY']`, `spec.nodeName`, `status.podIP`, `.podIPs`, `.hostIP`, `.hostIPs`; in files `metadata` only, and all labels or annotations.",
    ),
    warned("apiVersion", "Fields are those of v1.").neutral(&["v1"]),
];

pub(super) const RESOURCE_REF: &[Field] = &[
    done("resource", Text, "`limits.cpu`, `requests.memory`, ..."),
    done(
        "containerName",
        Text,
        "The container itself if missing; needed in files.",
    ),
    done(
        "divisor",
        Quantity,
        "The result is divided by it and rounded up; 1 by default.",
    ),
];

const PORT: &[Field] = &[
    done("name", Text, "Probes may use it."),
    done("containerPort", Number, "The port inside."),
    done("protocol", Text, "`TCP` (default), `UDP` or `SCTP`."),
    done("hostPort", Number, "The port of the host that leads to it."),
    done(
        "hostIP",
        Text,
        "The address of the host that is published on; all by default.",
    ),
];

const RESTART_RULE: &[Field] = &[
    done(
        "action",
        Text,
        "`Restart`, or `RestartAllContainers`: all begin again, from the first init container on.",
    ),
    done("exitCodes", Object(EXIT_CODES), "Of which ends it speaks."),
];

const EXIT_CODES: &[Field] = &[
    done("operator", Text, "`In` or `NotIn`."),
    done("values", NumberList, "Exit codes."),
];

const RESIZE_POLICY: &[Field] = &[
    done("resourceName", Text, "`cpu` or `memory`."),
    done(
        "restartPolicy",
        Text,
        "`RestartContainer`; `NotRequired` changes it while the container runs.",
    ),
];

const CONTAINER_RESOURCES: &[Field] = &[
    done(
        "requests",
        Object(CONTAINER_REQUESTS),
        "Set aside; what is limited but not requested is requested as limited.",
    ),
    done("limits", Object(CONTAINER_LIMITS), "The most it may use."),
    refused(
        "claims",
        "Devices by claim are not supported.",
        "leave it out",
    ),
];

pub(super) const GROUP_RESOURCES: &[Field] = &[
    done(
        "requests",
        Object(REQUESTS),
        "Decides over the sum of the containers' requests.",
    ),
    done(
        "limits",
        Object(LIMITS),
        "The most that all containers together may use.",
    ),
    refused(
        "claims",
        "Devices by claim are not supported.",
        "leave it out",
    ),
];

const CPU: Field = done("cpu", Quantity, "Cores; thousandths count.");
const MEMORY: Field = done("memory", Quantity, "Bytes.");
const STORAGE: Field = done(
    "ephemeral-storage",
    Quantity,
    "Writable layer, logs and disk-backed emptyDir together.",
);

const PIDS: Field = done("pids", Quantity, "Processes and threads.").own();

const REQUESTS: &[Field] = &[CPU, MEMORY, STORAGE];
const LIMITS: &[Field] = &[CPU, MEMORY, STORAGE, PIDS];
const CONTAINER_REQUESTS: &[Field] = &[
    CPU,
    MEMORY,
    STORAGE,
    policy(EXTENDED_RESOURCE, Quantity, "As many as its limit."),
];
const CONTAINER_LIMITS: &[Field] = &[
    CPU,
    MEMORY,
    STORAGE,
    PIDS,
    policy(
        EXTENDED_RESOURCE,
        Quantity,
        "How many devices of an extended resource (`example.com/gpu`) it has for itself, a whole number. \
         Those of a group are of one resource.",
    ),
];

const EXEC: Field = done(
    "exec",
    Object(EXEC_ACTION),
    "Runs a command in the container; exit 0 is success.",
);
const HTTP_GET: Field = done(
    "httpGet",
    Object(HTTP_GET_ACTION),
    "Makes an HTTP request; 200 to 399 is success.",
);
const TCP_SOCKET: Field = done("tcpSocket", Object(TCP_ACTION), "A connection is success.");
const GRPC: Field = done(
    "grpc",
    Object(GRPC_ACTION),
    "`grpc.health.v1.Health/Check` answering SERVING is success.",
);
const DELAY: Field = done("initialDelaySeconds", Number, "0 by default.");
const PERIOD: Field = done("periodSeconds", Number, "10 by default.");
const TIMEOUT: Field = done("timeoutSeconds", Number, "1 by default.");
const FAILURES: Field = done("failureThreshold", Number, "3 by default.");

const PROBE: &[Field] = &[
    EXEC,
    HTTP_GET,
    TCP_SOCKET,
    GRPC,
    DELAY,
    PERIOD,
    TIMEOUT,
    warned("successThreshold", "One success is enough for this probe.").neutral(&["1"]),
    FAILURES,
    done(
        "terminationGracePeriodSeconds",
        Number,
        "Replaces the group's grace period when this probe ends the container.",
    ),
];

const READINESS_PROBE: &[Field] = &[
    EXEC,
    HTTP_GET,
    TCP_SOCKET,
    GRPC,
    DELAY,
    PERIOD,
    TIMEOUT,
    done("successThreshold", Number, "1 by default."),
    FAILURES,
    refused(
        "terminationGracePeriodSeconds",
        "A readiness probe ends nothing.",
        "leave it out",
    ),
];

const EXEC_ACTION: &[Field] = &[done(
    "command",
    TextList,
    "Program and arguments; no shell.",
)];

const HTTP_GET_ACTION: &[Field] = &[
    done("path", Text, "`/` by default."),
    done(
        "port",
        NumberOrText,
        "A number, or the name of a port of the container.",
    ),
    done("host", Text, "The group's own address by default."),
    done("scheme", Text, "`HTTP` (default) or `HTTPS`."),
    done("httpHeaders", List(HTTP_HEADER), "Added to the request."),
];

const HTTP_HEADER: &[Field] = &[
    done("name", Text, "The header's name."),
    done("value", Text, "Its value."),
];

const TCP_ACTION: &[Field] = &[
    done(
        "port",
        NumberOrText,
        "A number, or the name of a port of the container.",
    ),
    done("host", Text, "The group's own address by default."),
];

const GRPC_ACTION: &[Field] = &[
    done("port", Number, "The port."),
    done(
        "service",
        Text,
        "The service asked about; the server as a whole by default.",
    ),
];

const LIFECYCLE_FIELDS: &[Field] = &[
    done(
        "postStart",
        Object(HOOK),
        "Run right after the start; its failure ends the container.",
    ),
    done(
        "preStop",
        Object(HOOK),
        "Run before the stop signal, within the grace period.",
    ),
    done(
        "stopSignal",
        Text,
        "Replaces the image's: `SIGTERM`, `SIGUSR1`, ...",
    ),
];

const HOOK: &[Field] = &[
    done(
        "exec",
        Object(EXEC_ACTION),
        "Runs a command in the container.",
    ),
    done("httpGet", Object(HTTP_GET_ACTION), "Makes an HTTP request."),
    done("sleep", Object(SLEEP), "Waits."),
    refused(
        "tcpSocket",
        "Kubernetes accepts it and does nothing.",
        "use exec, httpGet or sleep",
    ),
];

const SLEEP: &[Field] = &[done("seconds", Number, "How long.")];

const MOUNT: &[Field] = &[
    MOUNT_NAME,
    MOUNT_PATH,
    done("subPath", Text, "A path within the volume."),
    done(
        "subPathExpr",
        Text,
        "The same with `$(NAME)` expanded from variables known before the start.",
    ),
    READ_ONLY,
    RECURSIVE,
    PROPAGATION,
];

pub(super) const MOUNT_NAME: Field = done("name", Text, "A volume of the group.");
pub(super) const MOUNT_PATH: Field = done("mountPath", Text, "Absolute.");
pub(super) const READ_ONLY: Field = done("readOnly", Flag, "Writes are refused.");
pub(super) const RECURSIVE: Field = done(
    "recursiveReadOnly",
    Text,
    "`Disabled` (default), `IfPossible` or `Enabled`.",
);
pub(super) const PROPAGATION: Field = refused(
    "mountPropagation",
    "Mounts do not travel between a group and the host.",
    "leave it out",
)
.neutral(&["None"]);
