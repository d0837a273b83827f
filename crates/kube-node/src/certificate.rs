//! What a certificate says of itself: how long it is good, and whose it is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use burstlet_model::WallTime;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// From when and until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) from: WallTime,
    pub(crate) until: WallTime,
}

impl Life {
    /// When so much of it is over, in percent.
    pub(crate) fn at(self, percent: u8) -> WallTime {
        let whole = self.until.0.saturating_sub(self.from.0);
        let part = whole / 100 * i64::from(percent);
        WallTime(self.from.0.saturating_add(part))
    }

    pub(crate) fn is_over(self, now: WallTime) -> bool {
        self.until <= now
    }
}

/// The first certificate of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) life: Life,
    /// The user that it names, or nothing.
    pub(crate) user: String,
    /// The names and addresses of a server.
    pub(crate) names: BTreeSet<String>,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// The first one in this PEM; `None` if there is none that can be read.
    pub(crate) fn read(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let nanos = |seconds: i64| WallTime(seconds.saturating_mul(1_000_000_000));
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.as_slice());
        let user = parsed.subject().iter_common_name().next();
        Some(Self {
            life: Life {
                from: nanos(parsed.validity().not_before.timestamp()),
                until: nanos(parsed.validity().not_after.timestamp()),
            },
            user: user
                .and_then(|name| name.as_str().ok())
                .unwrap_or_default()
                .to_owned(),
            names: names.unwrap_or_default().iter().filter_map(text).collect(),
            der: der.clone(),
        })
    }

    /// A number that is this certificate's alone, the same whenever it is asked for.
    pub(crate) fn lot(&self) -> u8 {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.der);
        digest.as_ref().first().copied().unwrap_or_default()
    }
}

/// A chain of certificates with the key of its first, and what that one says; `None` if they do not
/// belong together.
pub(crate) fn read_pair(pem: &[u8]) -> Option<(CertifiedKey, Certificate)> {
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(pem).collect();
    let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
    let key = CertifiedKey::from_der(chain.ok()?, key, &default_provider()).ok()?;
    Some((key, Certificate::read(pem)?))
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(crate) mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    /// A certificate of its own making for a user, and its key, as PEM.
    pub(crate) fn pair(user: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["10.0.0.7".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, user);
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_is_read() {
        let (certificate, key) = pair("system:node:edge-1");
        let (_, read) = read_pair(format!("{certificate}{key}").as_bytes()).unwrap();
        assert_eq!(read.user, "system:node:edge-1");
        assert_eq!(read.names, BTreeSet::from(["10.0.0.7".to_owned()]));
        assert!(read.life.from < read.life.until);
        assert!(read.life.is_over(read.life.until) && !read.life.is_over(read.life.from));
        assert_eq!(Certificate::read(certificate.as_bytes()), Some(read));
        assert_eq!(Certificate::read(key.as_bytes()), None);
    }

    #[test]
    fn another_certificates_key_makes_no_pair() {
        let (certificate, _) = pair("one");
        let (_, key) = pair("one");
        assert!(read_pair(format!("{certificate}{key}").as_bytes()).is_none());
    }

    #[test]
    fn parts_of_a_life() {
        let life = Life {
            from: WallTime(1000),
            until: WallTime(2000),
        };
        assert_eq!(life.at(0), WallTime(1000));
        assert_eq!(life.at(85), WallTime(1850));
        let endless = Life {
            from: WallTime(-1),
            until: WallTime(i64::MAX),
        };
        assert!(endless.at(90) < endless.until);
    }
}
