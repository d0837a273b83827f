//! The field matrix: every field of a `ContainerGroup` and of a Kubernetes `v1` Pod (up to 1.36),
//! with what is done about it. The translator beside it reads what is done; nothing reads a field
//! that is not here.

mod container;
mod ephemeral;
mod security;
mod volume;

use crate::schema::Shape::{Flag, List, Number, Object, Text, TextList, TextMap};
use crate::schema::{Field, Support, done, ignored, policy, refused, warned};

/// One field of the matrix with its full path.
#[derive(Clone, Debug)]
pub struct Row {
    /// `spec.containers[].image`.
    pub path: String,
    /// The field.
    pub field: &'static Field,
}

/// Every field, in the order of the document.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    flatten("", DOCUMENT, &mut rows);
    rows
}

fn flatten(prefix: &str, fields: &'static [Field], rows: &mut Vec<Row>) {
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        rows.push(Row {
            path: path.clone(),
            field,
        });
        let below = match field.shape {
            List(_) => format!("{path}[]."),
            _ => format!("{path}."),
        };
        flatten(&below, field.fields(), rows);
    }
}

/// How many rows of each kind there are: done, by policy, warned, refused, ignored.
#[must_use]
pub fn tally(rows: &[Row]) -> [(Support, usize); 5] {
    [
        Support::Done,
        Support::Policy,
        Support::Warned,
        Support::Refused,
        Support::Ignored,
    ]
    .map(|support| {
        let count = rows.iter().filter(|r| r.field.support == support).count();
        (support, count)
    })
}

pub(crate) const DOCUMENT: &[Field] = &[
    done("apiVersion", Text, "`burstlet.dev/v1`, or `v1` for a Pod."),
    done("kind", Text, "`ContainerGroup` or `Pod`."),
    done(
        "metadata",
        Object(METADATA),
        "What the group is called and how it is marked.",
    ),
    done("spec", Object(SPEC), "What the group should be."),
    ignored("status", "The status is the server's to say."),
];

const METADATA: &[Field] = &[
    done(
        "name",
        Text,
        "Unique among the living groups of the namespace.",
    ),
    done(
        "generateName",
        Text,
        "Where `name` is missing, the name's beginning; five characters are added.",
    ),
    done(
        "namespace",
        Text,
        "The tenant's namespace; `default` if missing.",
    ),
    done("labels", TextMap, "Selectors look at these."),
    done(
        "annotations",
        TextMap,
        "Carried. `tags.burstlet.dev/NAME` is the tag `NAME`, and `burstlet.dev/scheduling` is `spec.scheduling`, for Pods.",
    ),
    done(
        "tags",
        TextMap,
        "Billing tags, frozen when a session opens.",
    )
    .own(),
    ignored("uid", "The uid is the server's to give."),
    ignored(
        "creationTimestamp",
        "The time of creation is the server's to say.",
    ),
    ignored("resourceVersion", "The version is the server's to count."),
    ignored("generation", "The generation is the server's to count."),
    ignored("selfLink", "Not used since Kubernetes 1.20."),
    ignored("managedFields", "There is no server-side apply for groups."),
    ignored(
        "deletionTimestamp",
        "The time of deletion is the server's to say.",
    ),
    ignored(
        "deletionGracePeriodSeconds",
        "A grace period is given when deleting.",
    ),
    warned(
        "ownerReferences",
        "A group has no owners; delete it by itself.",
    ),
    refused(
        "finalizers",
        "A group has no finalizers, so nobody would be waited for.",
        "leave it out",
    ),
];

const SPEC: &[Field] = &[
    done("initContainers", List(container::INIT), "Run one after another before the containers; with `restartPolicy: Always` a sidecar."),
    done("containers", List(container::MAIN), "What the group is for."),
    policy("ephemeralContainers", List(ephemeral::CONTAINER), "Added to a pod that runs, by its API server (`kubectl debug`); a group is not created with them."),
    done("volumes", List(volume::VOLUME), "Volumes that containers mount by name."),
    done("restartPolicy", Text, "`Always` (default), `OnFailure` or `Never`."),
    done("terminationGracePeriodSeconds", Number, "Between the stop signal and SIGKILL; 30 by default."),
    done("activeDeadlineSeconds", Number, "The group fails when it has been running this long."),
    done("ttlSecondsAfterFinished", Number, "The group is deleted this long after it ended.").own(),
    done("backoff", Object(BACKOFF), "The wait between restarts of one container.").own(),
    done("hostname", Text, "The host name inside; the group's name by default."),
    done("subdomain", Text, "Makes the host name a qualified one, below the node's domain."),
    done("hostnameOverride", Text, "Replaces the host name, without a domain."),
    refused("setHostnameAsFQDN", "The kernel's host name is the short one.", "use hostnameOverride with the whole name").neutral(&["false"]),
    done("dnsPolicy", Text, "`ClusterFirst` (default: the node's resolver, which knows the groups of the namespace), `ClusterFirstWithHostNet`, `Default` or `None`."),
    done("dnsConfig", Object(DNS_CONFIG), "Name servers, search domains and options added."),
    done("hostAliases", List(HOST_ALIAS), "Lines of `/etc/hosts`."),
    policy("hostNetwork", Flag, "Uses the host's network; needs `hostUsers: true`."),
    policy("hostUsers", Flag, "`true` leaves out the group's own user namespace."),
    refused("hostPID", "Groups do not see the host's processes.", "use shareProcessNamespace to see those of the group").neutral(&["false"]),
    refused("hostIPC", "Groups do not share the host's IPC.", "containers of a group share theirs").neutral(&["false"]),
    done("shareProcessNamespace", Flag, "All containers see each other's processes."),
    done("securityContext", Object(security::GROUP), "Identity and kernel settings of all containers."),
    done("resources", Object(container::GROUP_RESOURCES), "Limits of the group as a whole."),
    done("priority", Number, "Larger starts first when the machine is full."),
    done("scheduling", Text, "`OnDemand` (default); or `Spot`: as cheap as the price book has it, and ended, with its grace period of two minutes at most, when a group on demand would have to wait for its room.").own(),
    done("registryCredentials", List(REGISTRY_CREDENTIAL), "Credentials for private registries.").own(),
    policy("networkIsolation", Text, "`Namespace` (default: as the node is configured), `Open` (open groups of every namespace) or, with leave, `Cluster` (what a pod reaches: every pod, and the node itself).").own(),
    done("os", Object(OS), "`{name: linux}`."),
    refused("imagePullSecrets", "There are no Secret objects to look up.", "put registry, username and password into spec.registryCredentials"),
    warned("nodeSelector", "There is one machine to run on."),
    warned("nodeName", "There is one machine to run on."),
    warned("affinity", "There is one machine to run on."),
    warned("tolerations", "There are no taints."),
    warned("topologySpreadConstraints", "There is one machine to run on."),
    warned("schedulerName", "There is no scheduler to choose.").neutral(&["default-scheduler"]),
    warned("priorityClassName", "There are no priority classes; priority is what counts."),
    warned("preemptionPolicy", "Nothing is preempted.").neutral(&["PreemptLowerPriority", "Never"]),
    warned("serviceAccountName", "There are no service accounts; no token is mounted.").neutral(&["default"]),
    warned("serviceAccount", "There are no service accounts; no token is mounted.").neutral(&["default"]),
    warned("automountServiceAccountToken", "There are no service accounts; no token is mounted.").neutral(&["false", "true"]),
    warned("enableServiceLinks", "There are no Services, so no variables for them.").neutral(&["false", "true"]),
    refused("readinessGates", "Nobody would set the conditions, so the group would never be ready.", "use a readinessProbe"),
    refused("schedulingGates", "Nobody would lift the gates, so the group would never start.", "create the group when it may start"),
    refused("runtimeClassName", "There is one runtime, of the class `burstlet`.", "leave it out, or say `burstlet`").neutral(&["burstlet"]),
    warned("overhead", "The runtime's own use counts as the group's.").neutral(&[]),
    refused("resourceClaims", "Devices by claim are not supported.", "leave it out"),
    warned("workloadRef", "There is no gang scheduling."),
    warned("schedulingGroup", "There is no gang scheduling."),
];

const BACKOFF: &[Field] = &[
    done("initialSeconds", Number, "The first wait; 10 by default.").own(),
    done("maxSeconds", Number, "The longest wait; 300 by default.").own(),
    done(
        "resetAfterSeconds",
        Number,
        "A run this long makes the next failure the first again; 600 by default.",
    )
    .own(),
];

const DNS_CONFIG: &[Field] = &[
    done("nameservers", TextList, "At most 3."),
    done("searches", TextList, "At most 32."),
    done("options", List(DNS_OPTION), "Options of the resolver."),
];

const DNS_OPTION: &[Field] = &[
    done("name", Text, "The option's name."),
    done("value", Text, "Its value, if it has one."),
];

const HOST_ALIAS: &[Field] = &[
    done("ip", Text, "The address."),
    done("hostnames", TextList, "Its names."),
];

const REGISTRY_CREDENTIAL: &[Field] = &[
    done(
        "registry",
        Text,
        "Host with its port if any, as image references spell it.",
    )
    .own(),
    done("username", Text, "The user.").own(),
    done("password", Text, "The password or token.")
        .own()
        .secret(),
];

const OS: &[Field] = &[done("name", Text, "`linux`.")];
