//! What can be wrong with a layer. These values cross the pipe from the unpacker to the agent, so
//! they are plain data; names out of the archive are escaped where they are made.

use std::fmt;

use burstlet_model::ErrorKind;
use serde::{Deserialize, Serialize};

/// Bytes of an entry's name that a message shows.
const SHOWN_NAME_BYTES_MAX: usize = 160;

/// Why a layer was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum LayerFault {
    /// A budget is spent.
    #[error("the layer is too large: more than {max} {limit}")]
    TooLarge {
        /// Which budget.
        limit: Limit,
        /// Its bound.
        max: u64,
    },
    /// The blob does not decompress.
    #[error("the layer's compressed stream is damaged: {detail}")]
    Compression {
        /// What the decoder said.
        detail: String,
    },
    /// The stream ends within an entry or without tar's end marker.
    #[error("the layer ends at byte {offset} without an end marker")]
    Truncated {
        /// Where, in the uncompressed stream.
        offset: u64,
    },
    /// The uncompressed stream is not the one that the image's configuration names.
    #[error("the layer's diff id is {actual}, the image's configuration says {expected}")]
    DiffId {
        /// What the configuration says.
        expected: String,
        /// What the stream has.
        actual: String,
    },
    /// A header is malformed, or two tar readers could understand it differently.
    #[error("the tar header at byte {offset} {rule}")]
    Header {
        /// Where, in the uncompressed stream.
        offset: u64,
        /// What is wrong.
        rule: HeaderRule,
    },
    /// A name cannot be a path below the root.
    #[error("the name {name} {rule}")]
    Name {
        /// The escaped name.
        name: String,
        /// What is wrong.
        rule: NameRule,
    },
    /// An entry contradicts the entries before it, or policy.
    #[error("the entry {name} {rule}")]
    Entry {
        /// The escaped name.
        name: String,
        /// What is wrong.
        rule: EntryRule,
    },
    /// The host refused to store an entry.
    #[error("{step} for the entry {name}: {}", std::io::Error::from_raw_os_error(*errno))]
    Store {
        /// The escaped name.
        name: String,
        /// What was being done.
        step: String,
        /// The kernel's answer.
        errno: i32,
    },
    /// The unpacker could not shut itself in, so it read nothing.
    #[error("{step} while confining the unpacker: {detail}")]
    Confine {
        /// What was being done.
        step: String,
        /// What went wrong.
        detail: String,
    },
}

/// A budget of [`super::UnpackLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Entries of the archive.
    Entries,
    /// Bytes of the files, holes counted.
    LogicalBytes,
    /// Bytes on disk.
    DiskBytes,
    /// Bytes of names and extended headers.
    HeaderBytes,
    /// Bytes of one extended header.
    ExtensionBytes,
    /// Bytes out per byte in.
    Ratio,
    /// Bytes after the end marker.
    TrailingBytes,
    /// Directories that hide those of the layers below.
    OpaqueDirectories,
    /// Extended attributes of one entry, in number or size.
    Attributes,
    /// Pieces of one sparse file.
    SparsePieces,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderRule {
    /// The checksum does not match.
    Checksum,
    /// Neither V7, POSIX nor GNU.
    Magic,
    /// A number is not octal or base-256, is negative or does not fit.
    Number,
    /// The type flag is unknown.
    Type,
    /// A type that has no data states a size.
    SizeOfNoData,
    /// A file's name ends with a slash.
    SlashAfterFile,
    /// Extended headers contradict each other or the header, or nothing follows them.
    Extension,
    /// A PAX record does not follow the grammar.
    PaxRecord,
    /// A PAX record that changes how the archive is read stands where readers disagree about it.
    PaxAmbiguous,
    /// A sparse map is malformed, or of a kind that is not read.
    Sparse,
    /// Something follows the end marker.
    AfterEnd,
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameRule {
    /// Empty.
    Empty,
    /// Holds a NUL byte.
    Nul,
    /// Holds `..`.
    DotDot,
    /// A component is longer than 255 bytes.
    ComponentTooLong,
    /// Longer than the kernel's longest path.
    PathTooLong,
    /// Has more components than a layer may nest.
    TooDeep,
    /// A whiteout of nothing, of `.` or of `..`, or one used as a directory.
    Whiteout,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryRule {
    /// The root would become something else than a directory.
    RootNotADirectory,
    /// A component of the name is a file.
    ParentNotADirectory,
    /// Following the symbolic links of the name does not end.
    LinkLoop,
    /// A hard link's source is not in this layer.
    LinkSourceMissing,
    /// A hard link's source is a directory.
    LinkSourceIsDirectory,
    /// A symbolic link's target is empty, too long or holds a NUL byte.
    LinkTarget,
    /// The owner or group is beyond the range that a group's user namespace maps.
    OwnerBeyondRange,
    /// Device nodes are refused.
    Device,
}

impl LayerFault {
    /// What class of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::ResourceExhausted,
            Self::Store { errno, .. } => match rustix::io::Errno::from_raw_os_error(*errno) {
                rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT => ErrorKind::ResourceExhausted,
                rustix::io::Errno::OPNOTSUPP => ErrorKind::Unsupported,
                _ => ErrorKind::Internal,
            },
            Self::Confine { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Invalid,
        }
    }

    pub(crate) fn name(name: &[u8], rule: NameRule) -> Self {
        Self::Name {
            name: shown(name),
            rule,
        }
    }

    pub(crate) fn entry(name: &[u8], rule: EntryRule) -> Self {
        Self::Entry {
            name: shown(name),
            rule,
        }
    }

    pub(crate) fn store(name: &[u8], step: &str, errno: rustix::io::Errno) -> Self {
        Self::Store {
            name: shown(name),
            step: step.to_owned(),
            errno: errno.raw_os_error(),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entries => "entries",
            Self::LogicalBytes => "bytes of files",
            Self::DiskBytes => "bytes on disk",
            Self::HeaderBytes => "bytes of names and extended headers",
            Self::ExtensionBytes => "bytes in one extended header",
            Self::Ratio => "bytes out per compressed byte",
            Self::TrailingBytes => "bytes after the end marker",
            Self::OpaqueDirectories => "opaque directories",
            Self::Attributes => "extended attributes, or bytes in one, of one entry",
            Self::SparsePieces => "pieces of one sparse file",
        })
    }
}

impl fmt::Display for HeaderRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "has a wrong checksum",
            Self::Magic => "is neither V7, POSIX nor GNU",
            Self::Number => "holds a number that is malformed, negative or too large",
            Self::Type => "has an unknown type",
            Self::SizeOfNoData => "states a size for a type without data",
            Self::SlashAfterFile => "names a file with a slash at the end",
            Self::Extension => "has extended headers that contradict each other",
            Self::PaxRecord => "has a malformed PAX record",
            Self::PaxAmbiguous => "has a PAX record that readers understand differently",
            Self::Sparse => "has a sparse map that is malformed or of a kind not read here",
            Self::AfterEnd => "follows the end marker",
        })
    }
}

impl fmt::Display for NameRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::Nul => "holds a NUL byte",
            Self::DotDot => "holds '..'",
            Self::ComponentTooLong => "has a component of more than 255 bytes",
            Self::PathTooLong => "is longer than 4095 bytes",
            Self::TooDeep => "has too many components",
            Self::Whiteout => "is a whiteout of nothing",
        })
    }
}

impl fmt::Display for EntryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RootNotADirectory => "would make the root something else than a directory",
            Self::ParentNotADirectory => "lies below something that is not a directory",
            Self::LinkLoop => "lies behind symbolic links without end",
            Self::LinkSourceMissing => "is a hard link to a file that this layer does not hold",
            Self::LinkSourceIsDirectory => "is a hard link to a directory",
            Self::LinkTarget => "is a symbolic link with an impossible target",
            Self::OwnerBeyondRange => "belongs to a user or group above 65535",
            Self::Device => "is a device node",
        })
    }
}

/// A name as a log line or a terminal may show it.
fn shown(name: &[u8]) -> String {
    let cut = name.len() > SHOWN_NAME_BYTES_MAX;
    let head = name.get(..SHOWN_NAME_BYTES_MAX).unwrap_or(name);
    format!("\"{}\"{}", head.escape_ascii(), if cut { "…" } else { "" })
}
