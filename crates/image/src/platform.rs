//! Which of an index's images this machine can run, and which of those it runs best.

use std::fmt;

use serde::Deserialize;

/// Operating system, architecture and variant in OCI's words (Go's `GOOS` and `GOARCH`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    /// `linux` for all that we can run.
    pub os: String,
    /// `amd64`, `arm64`, `arm`, …
    pub architecture: String,
    /// `v7`, `v8`, `v3`, …; none where the architecture says it all.
    pub variant: Option<String>,
}

impl Platform {
    /// The platform of the machine that we were built for.
    #[must_use]
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", amd64_level()),
            "aarch64" => ("arm64", Some("v8")),
            "x86" => ("386", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// How well `self`, a machine, runs an image made for `image`: none if not at all, else the
    /// higher the better.
    #[must_use]
    pub fn suits(&self, image: &Self) -> Option<u8> {
        if self.os != image.os {
            return None;
        }
        match (self.architecture.as_str(), image.architecture.as_str()) {
            ("amd64", "386") => Some(1),
            (host, image_arch) if host == image_arch => self.suits_variant(image),
            _ => None,
        }
    }

    fn suits_variant(&self, image: &Self) -> Option<u8> {
        const BASE: u8 = 100;
        let level = |variant: Option<&str>| -> Option<u8> {
            match variant {
                None | Some("") => default_level(&self.architecture),
                Some(text) => text.strip_prefix('v')?.parse().ok(),
            }
        };
        let (host, wanted) = (
            level(self.variant.as_deref())?,
            level(image.variant.as_deref())?,
        );
        (wanted <= host).then(|| BASE.saturating_add(wanted))
    }
}

/// What an absent variant means. An architecture without variants has level 0 only.
fn default_level(architecture: &str) -> Option<u8> {
    Some(match architecture {
        "amd64" => 1,
        "arm64" => 8,
        "arm" => 7,
        _ => 0,
    })
}

/// The x86-64 micro-architecture level of this machine.
#[cfg(target_arch = "x86_64")]
fn amd64_level() -> Option<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("sse4.2") && has!("ssse3") && has!("popcnt") && has!("cmpxchg16b");
    let v3 = v2 && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("fma") && has!("lzcnt");
    let v4 = v3 && has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq");
    Some(match (v2, v3, v4) {
        (_, _, true) if has!("avx512vl") => "v4",
        (_, true, _) => "v3",
        (true, ..) => "v2",
        _ => "v1",
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn amd64_level() -> Option<&'static str> {
    None
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// The platform as documents write it.
#[derive(Deserialize)]
pub(crate) struct RawPlatform {
    os: String,
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

impl From<RawPlatform> for Platform {
    fn from(raw: RawPlatform) -> Self {
        Self {
            os: raw.os,
            architecture: raw.architecture,
            variant: raw.variant.filter(|variant| !variant.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        Platform {
            os: parts.next().unwrap_or_default(),
            architecture: parts.next().unwrap_or_default(),
            variant: parts.next(),
        }
    }

    /// The best of `offered` for `host`, or "" if none runs.
    fn best(host: &str, offered: &[&'static str]) -> &'static str {
        let host = platform(host);
        let score = |text: &&&str| host.suits(&platform(text));
        offered
            .iter()
            .filter(|text| score(text).is_some())
            .max_by_key(score)
            .copied()
            .unwrap_or("")
    }

    #[test]
    fn the_best_that_runs_is_chosen() {
        for (host, offered, expected) in [
            (
                "linux/amd64/v3",
                &["linux/arm64", "linux/amd64"][..],
                "linux/amd64",
            ),
            (
                "linux/amd64/v3",
                &["linux/amd64", "linux/amd64/v3", "linux/amd64/v4"],
                "linux/amd64/v3",
            ),
            (
                "linux/amd64/v1",
                &["linux/amd64/v3", "linux/386"],
                "linux/386",
            ),
            (
                "linux/amd64/v1",
                &["linux/386", "linux/amd64"],
                "linux/amd64",
            ),
            ("linux/amd64/v1", &["windows/amd64", "unknown/unknown"], ""),
            (
                "linux/arm64/v8",
                &["linux/arm/v7", "linux/arm64/v8"],
                "linux/arm64/v8",
            ),
            ("linux/arm64/v8", &["linux/arm64"], "linux/arm64"),
            (
                "linux/arm/v7",
                &["linux/arm/v5", "linux/arm/v6", "linux/arm64"],
                "linux/arm/v6",
            ),
            ("linux/arm/v6", &["linux/arm/v7"], ""),
            ("linux/riscv64", &["linux/riscv64"], "linux/riscv64"),
        ] {
            assert_eq!(best(host, offered), expected, "{host} of {offered:?}");
        }
    }

    #[test]
    fn the_host_runs_its_own_platform() {
        let host = Platform::host();
        assert!(host.suits(&host).is_some(), "{host}");
    }
}
