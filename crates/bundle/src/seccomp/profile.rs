//! Profiles as files.

use std::collections::BTreeSet;
use std::str::FromStr;

use burstlet_model::ErrorKind;
use oci_spec::runtime::Capability;
use serde::Deserialize;

use super::arch::Arch;
use super::condition::{ARGUMENTS, Condition, Test};
use super::select::KernelVersion;

/// The largest profile that is read.
const PROFILE_BYTES_MAX: usize = 1 << 20;
const ERRNO_MAX: u16 = 4095;
const EPERM: u16 = 1;

/// What becomes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Allow,
    Log,
    Errno(u16),
    Trap,
    KillThread,
    KillProcess,
}

/// A parsed profile, for any architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub(super) default: Action,
    /// By OCI's names; none stands for all.
    architectures: Vec<String>,
    pub(super) entries: Vec<Entry>,
}

/// What becomes of some calls, if all its conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) names: Vec<String>,
    pub(super) action: Action,
    pub(super) conditions: Vec<Condition>,
    pub(super) includes: Scope,
    pub(super) excludes: Scope,
}

/// Where an entry counts: on one of these architectures, with all of these capabilities, from this
/// kernel on. What is empty does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) arches: BTreeSet<String>,
    pub(super) capabilities: BTreeSet<String>,
    pub(super) min_kernel: Option<KernelVersion>,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is not JSON of the right form.
    #[error("read the seccomp profile")]
    Json(#[from] serde_json::Error),
    /// It is too large.
    #[error("the seccomp profile is larger than {PROFILE_BYTES_MAX} bytes")]
    TooLarge,
    /// Something in it is not supported, or contradicts itself.
    #[error("{place} of the seccomp profile: {problem}")]
    Refused {
        /// Where.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// It is not for this architecture.
    #[error("the seccomp profile is not for {0}")]
    Architecture(&'static str),
    /// It does not fit the kernel's limit for one filter.
    #[error("the seccomp profile takes {0} instructions, more than the kernel's 4096")]
    Instructions(usize),
    /// No profile is registered under this name.
    #[error("no seccomp profile is registered as {0:?}")]
    Unknown(String),
}

impl ProfileError {
    /// The class of this failure.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown(_) => ErrorKind::NotFound,
            Self::Architecture(_) => ErrorKind::Unsupported,
            Self::Json(_) | Self::TooLarge | Self::Refused { .. } | Self::Instructions(_) => {
                ErrorKind::Invalid
            }
        }
    }
}

impl Profile {
    /// Reads a profile. An unknown field or word is an error: a filter that says less than its
    /// author meant is worse than none.
    ///
    /// # Errors
    /// The text is no profile, or asks for something that cannot be done.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        if text.len() > PROFILE_BYTES_MAX {
            return Err(ProfileError::TooLarge);
        }
        let file: ProfileFile = serde_json::from_str(text)?;
        let refused = |place: &str, problem: String| ProfileError::Refused {
            place: place.to_owned(),
            problem,
        };
        if let Some(flag) = file.flags.first() {
            return Err(refused("flags", format!("{flag} is not supported")));
        }
        let default = action(&file.default_action, file.default_errno_ret)
            .map_err(|problem| refused("defaultAction", problem))?;
        let entries = file.syscalls.into_iter().enumerate().map(|(index, entry)| {
            Entry::new(entry).map_err(|problem| refused(&format!("syscalls[{index}]"), problem))
        });
        Ok(Self {
            default,
            architectures: file.architectures,
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the profile is meant for `arch`.
    pub(super) fn check_arch(&self, arch: Arch) -> Result<(), ProfileError> {
        let name = arch.oci_name();
        if self.architectures.is_empty() || self.architectures.iter().any(|known| known == name) {
            Ok(())
        } else {
            Err(ProfileError::Architecture(name))
        }
    }

    /// The capabilities that make a difference to what the profile says.
    pub(super) fn capabilities(&self) -> impl Iterator<Item = &str> {
        let scopes = self.entries.iter().flat_map(|e| [&e.includes, &e.excludes]);
        scopes.flat_map(|scope| scope.capabilities.iter().map(String::as_str))
    }
}

impl Entry {
    fn new(file: EntryFile) -> Result<Self, String> {
        let names = match (file.name, file.names) {
            (Some(name), None) => vec![name],
            (None, Some(names)) => names,
            _ => return Err("it has names, or one name".to_owned()),
        };
        if names.is_empty() {
            return Err("it has no names".to_owned());
        }
        let conditions: Vec<Condition> = file
            .args
            .unwrap_or_default()
            .into_iter()
            .map(Condition::try_from)
            .collect::<Result<_, _>>()?;
        let indices: BTreeSet<usize> = conditions.iter().map(|c| c.argument).collect();
        if indices.len() < conditions.len() {
            // Some runtimes take these for alternatives, against their own documentation.
            return Err("two conditions on one argument: write an entry for each".to_owned());
        }
        Ok(Self {
            names,
            action: action(&file.action, file.errno_ret)?,
            conditions,
            includes: file.includes.unwrap_or_default().try_into()?,
            excludes: file.excludes.unwrap_or_default().try_into()?,
        })
    }
}

fn action(name: &str, errno: Option<u16>) -> Result<Action, String> {
    let action = match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => Action::Errno(errno.unwrap_or(EPERM)),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        _ => return Err(format!("the action {name} is not supported")),
    };
    match (action, errno) {
        (Action::Errno(errno), _) if errno > ERRNO_MAX => {
            Err(format!("{errno} is no error number"))
        }
        (Action::Errno(_), _) | (_, None) => Ok(action),
        (_, Some(_)) => Err(format!("the action {name} has no error number")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProfileFile {
    default_action: String,
    default_errno_ret: Option<u16>,
    /// The number's name, for people.
    #[serde(rename = "defaultErrno")]
    _default_errno: Option<String>,
    /// Which 32-bit interfaces go with which: none does here.
    #[serde(rename = "archMap")]
    _arch_map: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    syscalls: Vec<EntryFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct EntryFile {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(rename = "errno")]
    _errno: Option<String>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
    args: Option<Vec<ArgumentFile>>,
    includes: Option<ScopeFile>,
    excludes: Option<ScopeFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ArgumentFile {
    index: usize,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ScopeFile {
    #[serde(default)]
    arches: Vec<String>,
    #[serde(default)]
    caps: Vec<String>,
    min_kernel: Option<String>,
}

impl TryFrom<ArgumentFile> for Condition {
    type Error = String;

    fn try_from(file: ArgumentFile) -> Result<Self, String> {
        if file.index >= ARGUMENTS {
            return Err(format!("a system call has no argument {}", file.index));
        }
        let test = match file.op.as_str() {
            "SCMP_CMP_EQ" => Test::Equal(file.value),
            "SCMP_CMP_NE" => Test::NotEqual(file.value),
            "SCMP_CMP_LT" => Test::Less(file.value),
            "SCMP_CMP_LE" => Test::LessOrEqual(file.value),
            "SCMP_CMP_GT" => Test::Greater(file.value),
            "SCMP_CMP_GE" => Test::GreaterOrEqual(file.value),
            "SCMP_CMP_MASKED_EQ" => Test::Masked {
                mask: file.value,
                value: file.value_two,
            },
            op => return Err(format!("the comparison {op} is not supported")),
        };
        Ok(Self {
            argument: file.index,
            test,
        })
    }
}

impl TryFrom<ScopeFile> for Scope {
    type Error = String;

    fn try_from(file: ScopeFile) -> Result<Self, String> {
        let capability = |name: String| {
            let known = name.strip_prefix("CAP_").map(Capability::from_str);
            match known {
                Some(Ok(capability)) => Ok(capability.to_string()),
                _ => Err(format!("{name} is not a capability")),
            }
        };
        let kernel = |text: String| {
            KernelVersion::parse(&text).ok_or_else(|| format!("{text} is not a kernel version"))
        };
        Ok(Self {
            arches: file.arches.into_iter().collect(),
            capabilities: file
                .caps
                .into_iter()
                .map(capability)
                .collect::<Result<_, _>>()?,
            min_kernel: file.min_kernel.map(kernel).transpose()?,
        })
    }
}

#[cfg(test)]
impl Profile {
    /// A profile that no file says.
    pub(super) const fn of(default: Action, entries: Vec<Entry>) -> Self {
        Self {
            default,
            architectures: Vec::new(),
            entries,
        }
    }
}
