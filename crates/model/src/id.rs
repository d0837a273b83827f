//! Identifiers. Each is a newtype that can only be made from valid text, so that a name can never
//! become a path component, an option string or a log line of somebody else's choosing.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not a DNS label (RFC 1123).
    #[error(
        "{0:?} is not a DNS label: 1 to 63 characters of a-z, 0-9 and '-', starting and ending with a letter or digit"
    )]
    NotALabel(String),
    /// The text is not a DNS subdomain (RFC 1123).
    #[error(
        "{0:?} is not a DNS name: parts of a-z, 0-9 and '-' that start and end with a letter or digit, joined by '.', at most 253 characters"
    )]
    NotASubdomain(String),
    /// The text is not a group uid.
    #[error("{0:?} is not a group uid: 1 to 63 characters of a-z, 0-9 and '-'")]
    NotAUid(String),
    /// The text is not the name of an extended resource.
    #[error(
        "{0:?} is not an extended resource: a domain that is not kubernetes.io, '/', and 1 to 63 characters of a-z, A-Z, 0-9, '-', '_' and '.', starting and ending with a letter or digit"
    )]
    NotAnExtendedResource(String),
    /// The text is not a digest.
    #[error(
        "{0:?} is not a digest: only 'sha256:' with 64 lower-case hexadecimal digits is accepted"
    )]
    NotADigest(String),
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Kubernetes bounds a subdomain as a whole and not its parts: a pod's name may be longer than a
/// label is.
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.iter().all(|b| edge(b) || *b == b'-')
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
}

/// Kubernetes' rule. It names quotas by the resource with `requests.` before it, so that this has to fit
/// too, and must not be there already.
fn is_extended_resource(text: &str) -> bool {
    const QUOTA: &str = "requests.";
    let Some((domain, name)) = text.split_once('/') else {
        return false;
    };
    let edge = |b: &u8| b.is_ascii_alphanumeric();
    let bytes = name.as_bytes();
    is_subdomain(domain)
        && domain.len() + QUOTA.len() <= 253
        && !domain.starts_with(QUOTA)
        && !domain.ends_with("kubernetes.io")
        && bytes.len() <= 63
        && bytes.iter().all(|b| edge(b) || b"-_.".contains(b))
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $error:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and takes it as an identifier.
            ///
            /// # Errors
            /// The text does not have the identifier's form.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(Arc::from(text))) } else { Err($error(text.to_owned())) }
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// A tenant's namespace: a DNS label.
    Namespace, is_label, IdError::NotALabel
);
text_id!(
    /// A group's name within its namespace: a DNS subdomain, as Kubernetes has it for pods.
    Name, is_subdomain, IdError::NotASubdomain
);
text_id!(
    /// A container's name within its group: a DNS label.
    ContainerName, is_label, IdError::NotALabel
);
text_id!(
    /// The identity of one group over its whole life; names are reused, uids never are.
    ///
    /// Host objects (cgroups, directories, links) are named by it, so its form is as narrow as a
    /// DNS label's. Everything inside is keyed by uid, never by name.
    GroupUid, is_label, IdError::NotAUid
);
text_id!(
    /// A resource that only some machines have, as their operators name it: `example.com/gpu`.
    ExtendedResource, is_extended_resource, IdError::NotAnExtendedResource
);
text_id!(
    /// A content digest, `sha256:` and 64 lower-case hexadecimal digits. No other algorithm is
    /// accepted: a blob's path is built from it.
    Digest, is_digest, IdError::NotADigest
);

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

impl Digest {
    /// The 64 hexadecimal digits without the algorithm.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

/// A group's full name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName {
    /// The tenant's namespace.
    pub namespace: Namespace,
    /// The name, unique among the living groups of the namespace.
    pub name: Name,
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_names() {
        let long = "a".repeat(63);
        for good in ["a", "web-1", "0", long.as_str()] {
            assert!(Namespace::new(good).is_ok(), "{good}");
            assert!(Name::new(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "..", "a\n", "ä", "a b"] {
            assert!(Namespace::new(bad).is_err(), "{bad:?}");
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        assert!(Namespace::new(&too_long).is_err());
        assert!(Name::new(&too_long).is_ok(), "as Kubernetes has it");
        assert!(Name::new("a".repeat(253)).is_ok());
        assert!(Name::new("a".repeat(254)).is_err());
        assert!(Name::new("a.b-c.d").is_ok());
        assert!(Name::new("a..b").is_err());
        assert!(ContainerName::new("a.b").is_err());
    }

    #[test]
    fn extended_resources() {
        let long = format!(
            "{}.io/gpu",
            "a".repeat(253 - ".io".len() - "requests.".len())
        );
        for good in ["example.com/gpu", "nvidia.com/mig-1g.5gb", "a/B_c", &long] {
            assert!(ExtendedResource::new(good).is_ok(), "{good}");
        }
        let too_long = format!("a{long}");
        for bad in [
            "",
            "gpu",
            "/gpu",
            "example.com/",
            "example.com/-",
            "example.com/a/b",
            "Example.com/gpu",
            "kubernetes.io/gpu",
            "x.kubernetes.io/gpu",
            "requests.example.com/gpu",
            "a..b/gpu",
            "example.com/g u",
            &too_long,
        ] {
            assert!(ExtendedResource::new(bad).is_err(), "{bad:?}");
        }
        let name = |length| format!("a/{}", "g".repeat(length));
        assert!(ExtendedResource::new(name(63)).is_ok());
        assert!(ExtendedResource::new(name(64)).is_err());
    }

    #[test]
    fn digests() {
        let hex = "0123456789abcdef".repeat(4);
        let digest = Digest::new(format!("sha256:{hex}")).unwrap();
        assert_eq!(digest.hex(), hex);
        let upper = hex.to_uppercase();
        for bad in [
            hex.clone(),
            format!("sha256:{upper}"),
            format!("sha256:{}", &hex[1..]),
            format!("sha512:{hex}"),
            format!("sha256:../{}", &hex[3..]),
        ] {
            assert!(Digest::new(&bad).is_err(), "{bad}");
        }
    }
}
