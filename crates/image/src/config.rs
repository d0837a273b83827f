//! The image configuration, parsed into bounded, typed values.
//!
//! Every field here ends in some sink of the host (a path, an id, an environment, a label), so
//! each is checked where it enters: what passes can be used without a second look.

use std::collections::BTreeMap;

use burstlet_model::{Digest, ErrorKind};
use burstlet_strict_json as strict_json;
use serde::Deserialize;

use crate::Platform;
use crate::document::LAYERS_MAX;

const LIST_ENTRIES_MAX: usize = 1024;
const TEXT_BYTES_MAX: usize = 128 << 10;
const PATH_BYTES_MAX: usize = 4095;
const USER_BYTES_MAX: usize = 256;

/// Label prefixes that mean something to a runtime; an image may not speak in its name.
const RESERVED_LABEL_PREFIXES: [&str; 5] = [
    "burstlet.",
    "io.burstlet.",
    "io.kubernetes.",
    "io.cri-containerd.",
    "io.containerd.",
];

/// A transport protocol of an exposed port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortProtocol {
    /// TCP, the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port that the image says it listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The port's number, not 0.
    pub number: u16,
    /// Its protocol.
    pub protocol: PortProtocol,
}

/// What an image says about how to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// What it was built for.
    pub platform: Platform,
    /// The command's fixed part.
    pub entrypoint: Vec<String>,
    /// Default arguments, or the command where there is no entry point.
    pub cmd: Vec<String>,
    /// Environment in order; names are unique, not empty and without `=`.
    pub env: Vec<(String, String)>,
    /// An absolute path without `.` and `..`; `/` if the image says none.
    pub working_dir: String,
    /// `user[:group]`, names or ids; empty for root.
    pub user: String,
    /// Ports that it listens on.
    pub exposed_ports: Vec<Port>,
    /// Absolute paths without `.` and `..`.
    pub volumes: Vec<String>,
    /// `SIGTERM`, `RTMIN+3` or a number, as written.
    pub stop_signal: Option<String>,
    /// Labels without those reserved for runtimes.
    pub labels: BTreeMap<String, String>,
    /// The digests of the unpacked layers, lowest first.
    pub diff_ids: Vec<Digest>,
    /// When it was built, as written.
    pub created: Option<String>,
}

/// Why an image configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is not JSON of the expected form.
    #[error("the image configuration is malformed: {0}")]
    Malformed(String),
    /// A field has a value that we do not take.
    #[error("the image configuration's {field} is refused: {problem}")]
    Refused {
        /// The field, as Docker writes it.
        field: &'static str,
        /// The rule that it breaks.
        problem: String,
    },
    /// The configuration and the manifest disagree.
    #[error("the image configuration names {diff_ids} layers, the manifest {layers}")]
    LayerCount {
        /// Layers of the configuration.
        diff_ids: usize,
        /// Layers of the manifest.
        layers: usize,
    },
    /// The image is for another kind of machine.
    #[error("the image is for {image}, this machine is {host}")]
    Platform {
        /// The image's platform.
        image: String,
        /// This machine's platform.
        host: String,
    },
}

impl ConfigError {
    /// The class of the failure.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Platform { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Invalid,
        }
    }
}

impl ImageConfig {
    /// Parses a configuration whose manifest has `layers` layers.
    ///
    /// # Errors
    /// The text is malformed, a field breaks its rule, or the layers do not match.
    pub fn parse(bytes: &[u8], layers: usize) -> Result<Self, ConfigError> {
        let malformed = |error: serde_json::Error| ConfigError::Malformed(error.to_string());
        let value = strict_json::parse(bytes).map_err(malformed)?;
        let raw: RawConfig = serde_json::from_value(value).map_err(malformed)?;
        let diff_ids = read_diff_ids(raw.rootfs, layers)?;
        let run = raw.config.unwrap_or_default();
        Ok(Self {
            platform: Platform {
                os: raw.os.unwrap_or_else(|| "linux".to_owned()),
                architecture: raw.architecture.unwrap_or_default(),
                variant: raw.variant.filter(|variant| !variant.is_empty()),
            },
            entrypoint: read_command("Entrypoint", run.entrypoint)?,
            cmd: read_command("Cmd", run.cmd)?,
            env: read_env(run.env.unwrap_or_default())?,
            working_dir: read_working_dir(run.working_dir.as_deref().unwrap_or(""))?,
            user: read_user(run.user.unwrap_or_default())?,
            exposed_ports: read_ports(&run.exposed_ports.unwrap_or_default())?,
            volumes: read_volumes(run.volumes.unwrap_or_default())?,
            stop_signal: read_stop_signal(run.stop_signal)?,
            labels: read_labels(run.labels.unwrap_or_default())?,
            diff_ids,
            created: raw.created.filter(|created| is_printable(created)),
        })
    }

    /// Refuses an image that `host` cannot run. An image without an architecture is let pass.
    ///
    /// # Errors
    /// The image is for another operating system or architecture.
    pub fn check_platform(&self, host: &Platform) -> Result<(), ConfigError> {
        let same_os = self.platform.os == host.os;
        let runs = self.platform.architecture.is_empty() || host.suits(&self.platform).is_some();
        if same_os && runs {
            return Ok(());
        }
        Err(ConfigError::Platform {
            image: self.platform.to_string(),
            host: host.to_string(),
        })
    }
}

#[derive(Deserialize)]
struct RawConfig {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    created: Option<String>,
    config: Option<RawRun>,
    rootfs: RawRootfs,
}

#[derive(Deserialize)]
struct RawRootfs {
    r#type: String,
    diff_ids: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawRun {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    exposed_ports: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    volumes: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    stop_signal: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

fn refused<T>(field: &'static str, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Refused {
        field,
        problem: problem.into(),
    })
}

fn is_printable(text: &str) -> bool {
    text.len() <= USER_BYTES_MAX && !text.chars().any(char::is_control)
}

fn check_count(field: &'static str, count: usize) -> Result<(), ConfigError> {
    if count > LIST_ENTRIES_MAX {
        return refused(
            field,
            format!("{count} entries, more than {LIST_ENTRIES_MAX}"),
        );
    }
    Ok(())
}

/// Text that ends in `execve`: bounded and without NUL.
fn check_text(field: &'static str, text: &str) -> Result<(), ConfigError> {
    if text.len() > TEXT_BYTES_MAX {
        return refused(
            field,
            format!("a value is longer than {TEXT_BYTES_MAX} bytes"),
        );
    }
    if text.contains('\0') {
        return refused(field, "a value has a NUL");
    }
    Ok(())
}

fn read_diff_ids(rootfs: RawRootfs, layers: usize) -> Result<Vec<Digest>, ConfigError> {
    if rootfs.r#type != "layers" {
        return refused(
            "rootfs.type",
            format!("{:?} is not \"layers\"", rootfs.r#type),
        );
    }
    let texts = rootfs.diff_ids.unwrap_or_default();
    if texts.len() != layers || layers > LAYERS_MAX {
        return Err(ConfigError::LayerCount {
            diff_ids: texts.len(),
            layers,
        });
    }
    let parsed = texts.iter().map(Digest::new).collect::<Result<_, _>>();
    parsed.or_else(|error| refused("rootfs.diff_ids", error.to_string()))
}

fn read_command(
    field: &'static str,
    words: Option<Vec<String>>,
) -> Result<Vec<String>, ConfigError> {
    let words = words.unwrap_or_default();
    check_count(field, words.len())?;
    words.iter().try_for_each(|word| check_text(field, word))?;
    Ok(words)
}

fn read_env(entries: Vec<String>) -> Result<Vec<(String, String)>, ConfigError> {
    const FIELD: &str = "Env";
    check_count(FIELD, entries.len())?;
    let mut env: Vec<(String, String)> = Vec::with_capacity(entries.len());
    for entry in entries {
        check_text(FIELD, &entry)?;
        let Some((name, value)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return refused(FIELD, format!("{entry:?} is not NAME=VALUE"));
        };
        // HOME finds its way into account databases of one entry per line.
        if name == "HOME" && value.chars().any(char::is_control) {
            return refused(FIELD, "HOME has a control character");
        }
        match env.iter_mut().find(|(known, _)| known == name) {
            Some((_, slot)) => value.clone_into(slot),
            None => env.push((name.to_owned(), value.to_owned())),
        }
    }
    Ok(env)
}

/// Makes `path` absolute and drops `.` and empty parts. `..` is refused: where it leads depends
/// on links that only the running container should follow.
fn read_path(field: &'static str, path: &str) -> Result<String, ConfigError> {
    if path.len() > PATH_BYTES_MAX || path.chars().any(char::is_control) {
        return refused(field, "the path is too long or has a control character");
    }
    let mut clean = String::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." || part.len() > 255 {
            return refused(field, format!("{path:?} has '..' or an overlong part"));
        }
        clean.push('/');
        clean.push_str(part);
    }
    Ok(if clean.is_empty() {
        "/".to_owned()
    } else {
        clean
    })
}

fn read_working_dir(path: &str) -> Result<String, ConfigError> {
    let path = read_path("WorkingDir", path)?;
    // A link below /proc can lead to a descriptor of whoever starts the container.
    if path == "/proc" || path.starts_with("/proc/") {
        return refused("WorkingDir", format!("{path:?} is below /proc"));
    }
    Ok(path)
}

fn read_volumes(
    volumes: BTreeMap<String, serde::de::IgnoredAny>,
) -> Result<Vec<String>, ConfigError> {
    const FIELD: &str = "Volumes";
    check_count(FIELD, volumes.len())?;
    let paths = volumes
        .into_keys()
        .map(|path| match read_path(FIELD, &path)?.as_str() {
            "/" => refused(FIELD, "'/' cannot be a volume"),
            clean => Ok(clean.to_owned()),
        });
    paths.collect()
}

/// `user[:group]`. A part of digits only is an id and must be one: ids beyond 2³² would wrap to
/// somebody else's, and the last one means "no change" to the kernel.
fn read_user(user: String) -> Result<String, ConfigError> {
    const FIELD: &str = "User";
    if !is_printable(&user) || user.contains([' ', '/']) {
        return refused(FIELD, format!("{user:?} is not user[:group]"));
    }
    let mut parts = user.split(':');
    let (first, second, third) = (parts.next().unwrap_or(""), parts.next(), parts.next());
    if third.is_some() || (second.is_some() && first.is_empty()) {
        return refused(FIELD, format!("{user:?} is not user[:group]"));
    }
    for part in [Some(first), second].into_iter().flatten() {
        let numeric = part.strip_prefix(['-', '+']).unwrap_or(part);
        let is_number = !numeric.is_empty() && numeric.bytes().all(|b| b.is_ascii_digit());
        if is_number
            && part
                .parse::<u32>()
                .is_ok_and(|id| id != u32::MAX && !part.starts_with('+'))
        {
            continue;
        }
        if is_number {
            return refused(FIELD, format!("{part:?} is not an id of 0 to 4294967294"));
        }
    }
    Ok(user)
}

fn read_ports(ports: &BTreeMap<String, serde::de::IgnoredAny>) -> Result<Vec<Port>, ConfigError> {
    const FIELD: &str = "ExposedPorts";
    check_count(FIELD, ports.len())?;
    let mut read = Vec::new();
    for text in ports.keys() {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => PortProtocol::Tcp,
            "udp" => PortProtocol::Udp,
            "sctp" => PortProtocol::Sctp,
            _ => return refused(FIELD, format!("{text:?} is not PORT/PROTOCOL")),
        };
        let (first, last) = number.split_once('-').unwrap_or((number, number));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) if first > 0 && first <= last => {
                check_count(FIELD, read.len() + usize::from(last - first))?;
                read.extend((first..=last).map(|number| Port { number, protocol }));
            }
            _ => return refused(FIELD, format!("{text:?} is not PORT/PROTOCOL")),
        }
    }
    Ok(read)
}

fn read_stop_signal(signal: Option<String>) -> Result<Option<String>, ConfigError> {
    let Some(signal) = signal.filter(|signal| !signal.is_empty()) else {
        return Ok(None);
    };
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'-';
    if signal.len() > 16 || !signal.bytes().all(word) {
        return refused(
            "StopSignal",
            format!("{signal:?} is not a signal's name or number"),
        );
    }
    Ok(Some(signal))
}

fn read_labels(labels: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ConfigError> {
    const FIELD: &str = "Labels";
    check_count(FIELD, labels.len())?;
    let reserved = |key: &str| {
        RESERVED_LABEL_PREFIXES
            .iter()
            .any(|prefix| key.starts_with(prefix))
    };
    let mut kept = BTreeMap::new();
    for (key, value) in labels {
        check_text(FIELD, &key)?;
        check_text(FIELD, &value)?;
        if !reserved(&key) {
            kept.insert(key, value);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests;
