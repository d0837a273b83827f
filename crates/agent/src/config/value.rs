//! Value types of the configuration. Each accepts only what is valid and says what is.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Component, Path, PathBuf};

use burstlet_model::{Bytes, MilliCpu};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// A path that starts at the root and has no `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AbsolutePath(PathBuf);

impl AbsolutePath {
    /// A path known when this was written.
    pub(super) fn constant(path: &'static str) -> Self {
        Self(PathBuf::from(path))
    }
}

impl Deref for AbsolutePath {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl<'de> Deserialize<'de> for AbsolutePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if path.is_absolute() && path.components().all(plain) {
            Ok(Self(path))
        } else {
            Err(D::Error::custom("must be an absolute path without \"..\""))
        }
    }
}

/// The name of a cgroup directly under the root of each hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CgroupName(String);

impl Default for CgroupName {
    fn default() -> Self {
        Self("burstlet".to_owned())
    }
}

impl Deref for CgroupName {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for CgroupName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if matches!(name.len(), 1..=64) && name.bytes().all(plain) && !name.starts_with('.') {
            Ok(Self(name))
        } else {
            Err(D::Error::custom(
                "must be 1 to 64 letters, digits, '-', '_' or '.', not starting with '.'",
            ))
        }
    }
}

/// An address to listen on, or none, written as an empty string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listen(pub(crate) Option<SocketAddr>);

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        let address = text
            .parse()
            .map_err(|_| D::Error::custom("must be ADDRESS:PORT, or empty for none"))?;
        Ok(Self(Some(address)))
    }
}

/// A file to read, or none, written as an empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OptionalPath(pub(crate) Option<PathBuf>);

impl<'de> Deserialize<'de> for OptionalPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        if path.as_os_str().is_empty() {
            Ok(Self(None))
        } else if path.is_absolute() {
            Ok(Self(Some(path)))
        } else {
            Err(D::Error::custom(
                "must be an absolute path, or empty for none",
            ))
        }
    }
}

/// A name of a network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceName(pub(crate) String);

impl<'de> Deserialize<'de> for InterfaceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if matches!(name.len(), 1..=15) && name.bytes().all(plain) && name != "." && name != ".." {
            Ok(Self(name))
        } else {
            Err(D::Error::custom(
                "must be 1 to 15 letters, digits, '-', '_' or '.'",
            ))
        }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a cpu quantity.
pub(super) fn cpu<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MilliCpu, D::Error> {
    MilliCpu::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Reads a number of bytes.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Bytes::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Reads a percentage from 1 to 100.
pub(super) fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        value @ 1..=100 => Ok(value),
        _ => Err(D::Error::custom("must be from 1 to 100")),
    }
}
