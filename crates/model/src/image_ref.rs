//! Image references as Docker and Kubernetes read them.
//!
//! The grammar is that of the distribution project's `reference` package: an optional registry
//! host, a path of lower-case components, an optional tag and an optional digest. `docker.io` and
//! `library/` are filled in, and `latest` where neither tag nor digest is given.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// Why a text is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image reference: {problem}")]
pub struct ImageRefError {
    text: String,
    problem: &'static str,
}

/// A parsed, canonical image reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

const DEFAULT_REGISTRY: &str = "docker.io";
const REPOSITORY_LENGTH_MAX: usize = 255;

impl ImageRef {
    /// The registry's host with its port if one was given: `docker.io`, `localhost:5000`,
    /// `[::1]:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path within the registry: `library/busybox`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` if the reference had neither tag nor digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, which decides over the tag if both are given.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What to ask the registry for: the digest if there is one, else the tag.
    #[must_use]
    pub fn manifest_reference(&self) -> &str {
        self.digest
            .as_ref()
            .map_or_else(|| self.tag.as_deref().unwrap_or("latest"), Digest::as_str)
    }

    /// The same repository at `digest`, without a tag.
    #[must_use]
    pub fn at_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The reference as people write it: without `docker.io/` and `library/`, as long as it is the
    /// same then. A path that begins like a host would be an image of that host.
    #[must_use]
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let short = full.strip_prefix("docker.io/").unwrap_or(&full);
        let shortest = short.strip_prefix("library/").unwrap_or(short);
        let is_same = |text: &&str| parse(text).as_ref() == Ok(self);
        let found = [shortest, short].into_iter().find(is_same);
        found.unwrap_or(&full).to_owned()
    }
}

impl FromStr for ImageRef {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, ImageRefError> {
        parse(text).map_err(|problem| ImageRefError {
            text: text.to_owned(),
            problem,
        })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<ImageRef, &'static str> {
    if text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return Err("64 hexadecimal digits are an image id, not a name");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            let digest =
                Digest::new(digest).map_err(|_| "the part after '@' is not a sha256 digest")?;
            (rest, Some(digest))
        }
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(
            "a tag has 1 to 128 characters of A-Z a-z 0-9 _ . - and does not start with . or -",
        );
    }
    let (registry, repository) = split_registry(name)?;
    if !repository.split('/').all(is_component) {
        return Err("a repository's parts are of a-z and 0-9, joined by '.', '_', '__' or '-'");
    }
    if registry.len() + 1 + repository.len() > REPOSITORY_LENGTH_MAX {
        return Err("the name is longer than 255 characters");
    }
    let tag = match (tag, &digest) {
        (None, None) => Some("latest".to_owned()),
        (tag, _) => tag.map(str::to_owned),
    };
    Ok(ImageRef {
        registry,
        repository,
        tag,
        digest,
    })
}

/// Splits the registry off, by Docker's rule: the first part is a host if it has a dot or a port,
/// is `localhost`, or has an upper-case letter.
fn split_registry(name: &str) -> Result<(String, String), &'static str> {
    let is_host = |part: &str| {
        part.contains(['.', ':'])
            || part == "localhost"
            || part.bytes().any(|b| b.is_ascii_uppercase())
    };
    let (registry, repository) = match name.split_once('/') {
        Some((host, path)) if is_host(host) => (host, path.to_owned()),
        _ => (DEFAULT_REGISTRY, name.to_owned()),
    };
    if !is_host_port(registry) {
        return Err("the registry is not a host name or address with an optional port");
    }
    let registry = if registry == "index.docker.io" {
        DEFAULT_REGISTRY
    } else {
        registry
    };
    let official = registry == DEFAULT_REGISTRY && !repository.contains('/');
    let repository = if official {
        format!("library/{repository}")
    } else {
        repository
    };
    Ok((registry.to_owned(), repository))
}

fn is_host_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match port.strip_prefix(':') {
                Some(port) => ("v6", Some(port)),
                None if port.is_empty() => ("v6", None),
                None => return false,
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let label = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    host.split('.').all(label)
        && port.is_none_or(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0)
        })
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    matches!(tag.len(), 1..=128)
        && word(tag.as_bytes()[0])
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_component(part: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    if !alnum(*first) || !alnum(*last) {
        return false;
    }
    part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn canonical_forms() {
        for (text, canonical, familiar) in [
            (
                "busybox",
                "docker.io/library/busybox:latest",
                "busybox:latest",
            ),
            (
                "busybox:1.36",
                "docker.io/library/busybox:1.36",
                "busybox:1.36",
            ),
            ("me/app", "docker.io/me/app:latest", "me/app:latest"),
            (
                "index.docker.io/me/app",
                "docker.io/me/app:latest",
                "me/app:latest",
            ),
            (
                "localhost/app",
                "localhost/app:latest",
                "localhost/app:latest",
            ),
            (
                "localhost:5000/a/b:c",
                "localhost:5000/a/b:c",
                "localhost:5000/a/b:c",
            ),
            (
                "[::1]:5000/app",
                "[::1]:5000/app:latest",
                "[::1]:5000/app:latest",
            ),
            ("Host/app", "Host/app:latest", "Host/app:latest"),
            // Without the registry these would be images of others.
            (
                "docker.io/r.io/app",
                "docker.io/r.io/app:latest",
                "docker.io/r.io/app:latest",
            ),
            (
                "docker.io/library/a/b",
                "docker.io/library/a/b:latest",
                "library/a/b:latest",
            ),
            (
                "r.io/a__b/c---d.e_f",
                "r.io/a__b/c---d.e_f:latest",
                "r.io/a__b/c---d.e_f:latest",
            ),
            (
                "127.0.0.1:5055/x",
                "127.0.0.1:5055/x:latest",
                "127.0.0.1:5055/x:latest",
            ),
        ] {
            let parsed: ImageRef = text.parse().unwrap();
            assert_eq!(parsed.to_string(), canonical, "{text}");
            assert_eq!(parsed.familiar(), familiar, "{text}");
        }
        let pinned: ImageRef = format!("app:v1@sha256:{HEX}").parse().unwrap();
        assert_eq!(pinned.tag(), Some("v1"));
        assert_eq!(pinned.manifest_reference(), format!("sha256:{HEX}"));
        let by_digest: ImageRef = format!("app@sha256:{HEX}").parse().unwrap();
        assert_eq!(by_digest.tag(), None);
    }

    #[test]
    fn refused() {
        let long = format!("r.io/{}", "a".repeat(256));
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "A",
            "a:",
            "a:-x",
            "a@",
            "a@sha256:00",
            "a//b",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "user@host/app",
            "http://r.io/a",
            "r.io:99999/a",
            "r.io:/a",
            "r.io:0/a",
            "[::1/a",
            "[zz]:1/a",
            "a b",
            "a\n",
            "r.io/ä",
            "r..io/a",
            "-r.io/a",
            HEX,
            long.as_str(),
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn display_is_a_fixed_point(text in "[a-zA-Z0-9./:@_-]{0,40}") {
            if let Ok(parsed) = text.parse::<ImageRef>() {
                prop_assert_eq!(parsed.to_string().parse::<ImageRef>(), Ok(parsed.clone()));
                prop_assert_eq!(parsed.familiar().parse::<ImageRef>(), Ok(parsed));
            }
        }
    }
}
