//! The identity that a certificate's one URI states, in SPIFFE's form:
//!
//! ```text
//! spiffe://burstlet/role/admin                     the whole node
//! spiffe://burstlet/tenant/shop/role/operator      the namespace shop
//!          └ trust domain
//! ```
//!
//! The text is compared as it is: no case is folded, nothing is decoded, and nothing may follow. The
//! chain has been verified by TLS before anybody comes here.

use std::str::FromStr;

use burstlet_model::{ErrorKind, Namespace, WallTime};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use crate::identity::{Identity, Proof, Reach, Role};

/// Bytes of a trust domain's name.
const TRUST_DOMAIN_BYTES_MAX: usize = 255;
/// Bytes of an identity's URI, as SPIFFE bounds it.
const URI_BYTES_MAX: usize = 2048;

/// Whose authority names the callers of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomain(String);

/// A text that is not a trust domain's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {TRUST_DOMAIN_BYTES_MAX} lower-case letters, digits, '-', '_' or '.'")]
pub struct TrustDomainError;

/// Why a certificate says of nobody who he is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// It has no URI among its names, or more than one.
    #[error(
        "the certificate must have exactly one URI among its subject alternative names, not {0}"
    )]
    NotOneUri(usize),
    /// Its URI is not of our form.
    #[error(
        "the certificate's URI {uri:?} is not spiffe://{trust_domain}/[tenant/NAMESPACE/]role/ROLE"
    )]
    NotAnIdentity {
        /// What it has.
        uri: String,
        /// What it should begin with.
        trust_domain: String,
    },
}

impl CertificateError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Unauthenticated
    }
}

/// Whom a certificate (DER) is about.
///
/// # Errors
/// It does not say.
pub fn identify(der: &[u8], trust_domain: &TrustDomain) -> Result<Identity, CertificateError> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateError::Malformed);
    }
    let uri = only_uri(&certificate)?;
    let (role, reach) =
        stated(uri, trust_domain).ok_or_else(|| CertificateError::NotAnIdentity {
            uri: uri.chars().take(URI_BYTES_MAX).collect(),
            trust_domain: trust_domain.0.clone(),
        })?;
    let end_s = certificate.validity().not_after.timestamp();
    Ok(Identity {
        who: uri.to_owned(),
        credential: Some(certificate.raw_serial_as_string()),
        proof: Proof::Certificate,
        role,
        reach,
        expires: Some(WallTime(end_s.saturating_mul(1_000_000_000))),
    })
}

fn only_uri<'c>(certificate: &'c X509Certificate<'_>) -> Result<&'c str, CertificateError> {
    let names = certificate.extensions().iter().filter_map(|extension| {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(names),
            _ => None,
        }
    });
    let uris: Vec<&str> = names
        .flat_map(|names| &names.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    match uris.as_slice() {
        [only] => Ok(only),
        several => Err(CertificateError::NotOneUri(several.len())),
    }
}

/// The role and the reach that a URI states.
fn stated(uri: &str, trust_domain: &TrustDomain) -> Option<(Role, Reach)> {
    if uri.len() > URI_BYTES_MAX {
        return None;
    }
    let path = uri
        .strip_prefix("spiffe://")?
        .strip_prefix(trust_domain.0.as_str())?
        .strip_prefix('/')?;
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        ["role", role] => Some((role.parse().ok()?, Reach::Node)),
        ["tenant", namespace, "role", role] => {
            let namespace = Namespace::new(*namespace).ok()?;
            Some((role.parse().ok()?, Reach::Namespace(namespace)))
        }
        _ => None,
    }
}

impl Default for TrustDomain {
    fn default() -> Self {
        Self("burstlet".to_owned())
    }
}

impl FromStr for TrustDomain {
    type Err = TrustDomainError;

    fn from_str(text: &str) -> Result<Self, TrustDomainError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        match matches!(text.len(), 1..=TRUST_DOMAIN_BYTES_MAX) && text.bytes().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(TrustDomainError),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn domain() -> TrustDomain {
        "burstlet".parse().unwrap()
    }

    fn certificate(uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let uris = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_uri_says_who_somebody_is() {
        let node = identify(&certificate(&["spiffe://burstlet/role/meter"]), &domain()).unwrap();
        assert_eq!((node.role, node.reach), (Role::Meter, Reach::Node));
        assert_eq!(node.who, "spiffe://burstlet/role/meter");
        assert!(node.expires.is_some() && node.credential.is_some());
        let uri = "spiffe://burstlet/tenant/shop/role/operator";
        let tenant = identify(&certificate(&[uri]), &domain()).unwrap();
        let shop = Reach::Namespace(Namespace::new("shop").unwrap());
        assert_eq!((tenant.role, tenant.reach), (Role::Operator, shop));
    }

    #[test]
    fn what_is_not_quite_an_identity_is_none() {
        for uri in [
            "spiffe://burstlet",
            "spiffe://burstlet/",
            "spiffe://burstlet/role/",
            "spiffe://burstlet/role/root",
            "spiffe://burstlet/role/Admin",
            "spiffe://burstlet/role/admin/",
            "spiffe://burstlet/role/admin?x",
            "spiffe://burstlet/role/admin#x",
            "spiffe://burstlet//role/admin",
            "spiffe://burstlet/tenant//role/admin",
            "spiffe://burstlet/tenant/shop",
            "spiffe://burstlet/tenant/shop/role/operator/role/admin",
            "spiffe://burstlet/tenant/Shop/role/operator",
            "spiffe://burstlet/tenant/../role/operator",
            "spiffe://burstlet/tenant/sh%6fp/role/operator",
            "spiffe://burstlet.evil/role/admin",
            "spiffe://burstletx/role/admin",
            "spiffe://evil/burstlet/role/admin",
            "SPIFFE://burstlet/role/admin",
            "https://burstlet/role/admin",
            "",
        ] {
            let error = identify(&certificate(&[uri]), &domain()).unwrap_err();
            assert!(
                matches!(error, CertificateError::NotAnIdentity { .. }),
                "{uri}: {error}"
            );
        }
        let long = format!("spiffe://burstlet/role/{}", "a".repeat(URI_BYTES_MAX));
        assert_eq!(stated(&long, &domain()), None);
    }

    #[test]
    fn one_uri_and_no_more() {
        let admin = "spiffe://burstlet/role/admin";
        for (uris, count) in [(&[][..], 0), (&[admin, admin][..], 2)] {
            let error = identify(&certificate(uris), &domain()).unwrap_err();
            assert_eq!(error, CertificateError::NotOneUri(count));
        }
        assert_eq!(
            identify(b"no certificate", &domain()),
            Err(CertificateError::Malformed)
        );
        let mut longer = certificate(&[admin]);
        longer.push(0);
        assert_eq!(
            identify(&longer, &domain()),
            Err(CertificateError::Malformed)
        );
    }

    #[test]
    fn trust_domains() {
        for bad in ["", "A", "a/b", "a b", "ä", &"a".repeat(256)] {
            assert_eq!(bad.parse::<TrustDomain>(), Err(TrustDomainError), "{bad}");
        }
        assert!("prod.example-1.com".parse::<TrustDomain>().is_ok());
    }
}
