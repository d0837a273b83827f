//! The most of everything that one manifest may ask for.

/// Bytes of a manifest's text.
pub const MANIFEST_BYTES_MAX: usize = 3 << 20;
/// Containers and init containers of a group together.
pub const CONTAINERS_MAX: usize = 60;
/// Ephemeral containers of a group: they are never taken away again.
pub const EPHEMERAL_CONTAINERS_MAX: usize = 100;
/// Devices of one container.
pub const DEVICES_MAX: u32 = 1024;
/// Volumes of a group.
pub const VOLUMES_MAX: usize = 100;
/// Mounts of one container.
pub const MOUNTS_MAX: usize = 100;
/// Rules of one container about its restarts, as Kubernetes has it.
pub const RESTART_RULES_MAX: usize = 20;
/// Exit codes of one rule.
pub const EXIT_CODES_MAX: usize = 255;
/// Ports of one container.
pub const PORTS_MAX: usize = 100;
/// Environment variables of one container.
pub const ENV_VARS_MAX: usize = 1000;
/// Bytes of one container's environment variables, names and values; the kernel's own bound for
/// all arguments and variables together is 2 MiB with a usual stack.
pub const ENV_BYTES_MAX: usize = 1 << 20;
/// Bytes of one environment variable; the kernel's own bound (`MAX_ARG_STRLEN`).
pub const ENV_VAR_BYTES_MAX: usize = 128 << 10;
/// Bytes of one container's command and arguments.
pub const COMMAND_BYTES_MAX: usize = 512 << 10;
/// Bytes of all annotations, keys and values, as Kubernetes has it.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;
/// Labels of a group.
pub const LABELS_MAX: usize = 256;
/// Billing tags of a group.
pub const TAGS_MAX: usize = 50;
/// Bytes of a tag's key.
pub const TAG_KEY_BYTES_MAX: usize = 128;
/// Bytes of a tag's value.
pub const TAG_VALUE_BYTES_MAX: usize = 256;
/// Bytes of the contents of one volume's files, as Kubernetes has it for a ConfigMap.
pub const VOLUME_DATA_BYTES_MAX: usize = 1 << 20;
/// Bytes of a path.
pub const PATH_BYTES_MAX: usize = 4095;
/// Name servers of a group; the C library reads no more.
pub const NAMESERVERS_MAX: usize = 3;
/// Search domains of a group.
pub const SEARCHES_MAX: usize = 32;
/// Bytes of all search domains.
pub const SEARCHES_BYTES_MAX: usize = 2048;
/// Options of the resolver.
pub const DNS_OPTIONS_MAX: usize = 32;
/// Aliases in `/etc/hosts`.
pub const HOST_ALIASES_MAX: usize = 256;
/// Supplementary groups; the kernel takes more, but nobody needs them.
pub const SUPPLEMENTAL_GROUPS_MAX: usize = 256;
/// Sysctls of a group.
pub const SYSCTLS_MAX: usize = 64;
/// Bytes of a sysctl's value.
pub const SYSCTL_VALUE_BYTES_MAX: usize = 256;
/// Registry credentials of a group.
pub const REGISTRY_CREDENTIALS_MAX: usize = 16;
/// Bytes of a registry's user name or password.
pub const CREDENTIAL_BYTES_MAX: usize = 64 << 10;
/// Headers of an HTTP probe or hook.
pub const HTTP_HEADERS_MAX: usize = 32;
/// Seconds of a grace period: one day.
pub const GRACE_S_MAX: u32 = 86_400;
/// Seconds between restarts: one hour.
pub const BACKOFF_S_MAX: u32 = 3600;
/// Seconds of a probe's delay, period or time-out: one day.
pub const PROBE_S_MAX: u32 = 86_400;
/// The largest user or group id within a user namespace of 64 Ki ids.
pub const NAMESPACE_ID_MAX: u32 = 65_535;
/// The largest id that Kubernetes takes.
pub const ID_MAX: u32 = i32::MAX as u32;
