use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::CgroupError;

const NAMES_MAX: usize = 4;
const NAME_BYTES_MAX: usize = 63;

/// Where an agent's cgroups live, relative to the mount of each hierarchy: `burstlet`. Every agent
/// of a host has its own, so it also says whose a cgroup is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CgroupRoot(String);

impl CgroupRoot {
    /// Checks `text` and takes it as a root.
    ///
    /// # Errors
    /// [`CgroupError::Root`] if it is not a short relative path of plain names.
    pub fn new(text: impl Into<String>) -> Result<Self, CgroupError> {
        let text = text.into();
        let plain = |name: &str| {
            matches!(name.len(), 1..=NAME_BYTES_MAX)
                && !name.starts_with(['.', '_', '-'])
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if text.split('/').count() <= NAMES_MAX && text.split('/').all(plain) {
            Ok(Self(text))
        } else {
            Err(CgroupError::Root(text))
        }
    }

    /// The root as a relative path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl FromStr for CgroupRoot {
    type Err = CgroupError;
    fn from_str(text: &str) -> Result<Self, CgroupError> {
        Self::new(text)
    }
}

impl fmt::Display for CgroupRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths() {
        for good in ["burstlet", "a/b/c/d", "machine.slice/burstlet-2"] {
            assert_eq!(CgroupRoot::new(good).unwrap().to_string(), good);
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/..",
            ".",
            "a b",
            "a\n",
            "_a",
            "a/b/c/d/e",
            "ä",
            &long,
        ] {
            assert!(CgroupRoot::new(bad).is_err(), "{bad:?}");
        }
    }
}
