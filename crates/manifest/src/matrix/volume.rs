//! Volumes. Where a pod names a ConfigMap or Secret, a group carries the data inline.

use super::container::{FIELD_REF, RESOURCE_REF};
use crate::schema::Shape::{Base64Map, Flag, List, Number, Object, Quantity, Text, TextMap};
use crate::schema::{Field, done, policy, refused, warned};

const CLOUD: &str = "Disks of this provider are not supported.";
const USE: &str = "use emptyDir, nfs or hostPath";

pub(super) const VOLUME: &[Field] = &[
    done("name", Text, "Unique within the group."),
    done(
        "emptyDir",
        Object(EMPTY_DIR),
        "Empty at first, lives as long as the group.",
    ),
    done(
        "configMap",
        Object(CONFIG_MAP),
        "Files with the given contents.",
    ),
    done(
        "secret",
        Object(SECRET),
        "Files with the given contents, kept in memory, never shown.",
    ),
    done(
        "projected",
        Object(PROJECTED),
        "Several sources in one directory.",
    ),
    done(
        "downwardAPI",
        Object(DOWNWARD),
        "Fields of the group as files.",
    ),
    done(
        "image",
        Object(IMAGE),
        "The file system of an image, read-only.",
    ),
    policy(
        "nfs",
        Object(NFS),
        "An export of an NFS server, on nodes that can mount it; needs `hostUsers: true`, for such a mount cannot be mapped into a user namespace.",
    ),
    policy(
        "hostPath",
        Object(HOST_PATH),
        "A path of the host, within the operator's list.",
    ),
    policy(
        "persistent",
        Object(PERSISTENT),
        "A path of the host that outlives the group: what a cluster's claim is bound to. Ids on it are the group's own.",
    )
    .own(),
    refused(
        "persistentVolumeClaim",
        "There are no claims outside Kubernetes.",
        USE,
    ),
    refused("csi", "CSI drivers are not called.", USE),
    refused(
        "ephemeral",
        "There are no claims outside Kubernetes.",
        "use emptyDir",
    ),
    refused(
        "gitRepo",
        "Kubernetes has turned it off too.",
        "clone in an init container, or use an image volume",
    ),
    refused("iscsi", "Block devices are not attached.", USE),
    refused("fc", "Block devices are not attached.", USE),
    refused("flexVolume", "Flex drivers are not called.", USE),
    refused("azureFile", CLOUD, USE),
    refused("azureDisk", CLOUD, USE),
    refused("awsElasticBlockStore", CLOUD, USE),
    refused("gcePersistentDisk", CLOUD, USE),
    refused("cephfs", CLOUD, USE),
    refused("cinder", CLOUD, USE),
    refused("flocker", CLOUD, USE),
    refused("glusterfs", CLOUD, USE),
    refused("photonPersistentDisk", CLOUD, USE),
    refused("portworxVolume", CLOUD, USE),
    refused("quobyte", CLOUD, USE),
    refused("rbd", CLOUD, USE),
    refused("scaleIO", CLOUD, USE),
    refused("storageos", CLOUD, USE),
    refused("vsphereVolume", CLOUD, USE),
];

const EMPTY_DIR: &[Field] = &[
    done(
        "medium",
        Text,
        "Empty for the node's disk, `Memory` for a tmpfs that counts as the group's memory.",
    ),
    done("sizeLimit", Quantity, "The most it may hold."),
];

const MODE: Field = done(
    "defaultMode",
    Number,
    "Permission bits; 0644 (420) by default.",
);
const ITEMS: Field = done(
    "items",
    List(KEY_TO_PATH),
    "Which keys become which files; all under their own names by default.",
);
const DATA: Field = done("data", TextMap, "A ConfigMap's data, inline.").own();
const BINARY: Field = done("binaryData", Base64Map, "A ConfigMap's binaryData, inline.").own();
const SECRET_DATA: Field = done("data", Base64Map, "A Secret's data, inline.")
    .own()
    .secret();
const STRING_DATA: Field = done("stringData", TextMap, "A Secret's stringData, inline.")
    .own()
    .secret();
const NO_CONFIG_MAP: Field = refused(
    "name",
    "There are no ConfigMap objects to look up.",
    "put the ConfigMap's data into configMap.data, in a manifest of kind ContainerGroup",
);
const OPTIONAL: Field =
    warned("optional", "Data given inline is never missing.").neutral(&["false"]);

const CONFIG_MAP: &[Field] = &[DATA, BINARY, ITEMS, MODE, NO_CONFIG_MAP, OPTIONAL];

const SECRET: &[Field] = &[
    SECRET_DATA,
    STRING_DATA,
    ITEMS,
    MODE,
    refused(
        "secretName",
        "There are no Secret objects to look up.",
        "put the Secret's data into secret.data, in a manifest of kind ContainerGroup",
    ),
    OPTIONAL,
];

const KEY_TO_PATH: &[Field] = &[
    done("key", Text, "The key."),
    done("path", Text, "Relative, without `..`."),
    done(
        "mode",
        Number,
        "Permission bits; the volume's default if missing.",
    ),
];

const PROJECTED: &[Field] = &[
    done(
        "sources",
        List(PROJECTION),
        "What is put together; no path may come twice.",
    ),
    MODE,
];

const PROJECTION: &[Field] = &[
    done(
        "configMap",
        Object(CONFIG_MAP_PROJECTION),
        "Files with the given contents.",
    ),
    done(
        "secret",
        Object(SECRET_PROJECTION),
        "Files with the given contents; the whole volume is kept in memory.",
    ),
    done(
        "downwardAPI",
        Object(DOWNWARD_PROJECTION),
        "Fields of the group as files.",
    ),
    refused(
        "serviceAccountToken",
        "There are no service accounts outside Kubernetes.",
        "leave it out",
    ),
    refused(
        "clusterTrustBundle",
        "There are no trust bundles outside Kubernetes.",
        "use configMap.data",
    ),
    refused(
        "podCertificate",
        "There is no signer outside Kubernetes.",
        "use secret.data",
    ),
];

const CONFIG_MAP_PROJECTION: &[Field] = &[DATA, BINARY, ITEMS, NO_CONFIG_MAP, OPTIONAL];

const SECRET_PROJECTION: &[Field] = &[
    SECRET_DATA,
    STRING_DATA,
    ITEMS,
    refused(
        "name",
        "There are no Secret objects to look up.",
        "put the Secret's data into secret.data, in a manifest of kind ContainerGroup",
    ),
    OPTIONAL,
];

const DOWNWARD: &[Field] = &[done("items", List(DOWNWARD_FILE), "The files."), MODE];
const DOWNWARD_PROJECTION: &[Field] = &[done("items", List(DOWNWARD_FILE), "The files.")];

const DOWNWARD_FILE: &[Field] = &[
    done("path", Text, "Relative, without `..`."),
    done(
        "fieldRef",
        Object(FIELD_REF),
        "A field of the group's metadata.",
    ),
    done(
        "resourceFieldRef",
        Object(RESOURCE_REF),
        "A request or limit of a container.",
    ),
    done(
        "mode",
        Number,
        "Permission bits; the volume's default if missing.",
    ),
];

const IMAGE: &[Field] = &[
    done("reference", Text, "An image reference."),
    done("pullPolicy", Text, "As a container's imagePullPolicy."),
];

const NFS: &[Field] = &[
    done("server", Text, "Host name or address."),
    done("path", Text, "Absolute path on the server."),
    done("readOnly", Flag, "Mounted read-only."),
];

const HOST_PATH: &[Field] = &[
    policy(
        "path",
        Text,
        "Absolute, below a prefix that the operator lists.",
    ),
    done(
        "type",
        Text,
        "What must be there, or is made: by the host's root, for others to read; Kubernetes' words.",
    ),
];

const PERSISTENT: &[Field] = &[
    policy(
        "path",
        Text,
        "Absolute, below a prefix that the operator lists for clusters.",
    ),
    done(
        "type",
        Text,
        "What must be there, or is made: by the host's root, for others to read; as of a hostPath.",
    ),
    done("readOnly", Flag, "Mounted read-only."),
    done(
        "followsFsGroup",
        Flag,
        "What is on it is given to the `fsGroup`, as often as `fsGroupChangePolicy` says.",
    ),
    done(
        "capacity",
        Quantity,
        "How much was set aside for the claim; it is charged for, and not kept to.",
    ),
];
