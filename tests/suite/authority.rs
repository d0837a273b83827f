//! Authorities of the tests' own, whose certificates are files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

/// An authority, whose certificates are files in a directory.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
    name: &'static str,
    /// The number of the certificate that was issued last.
    serial: AtomicU64,
}

/// The files of a certificate and its key.
pub(super) struct Files {
    pub(super) serial: u64,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Authority {
    pub(super) fn new(dir: &Path, name: &'static str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.join(name), issuer.pem()).unwrap();
        Self {
            issuer,
            dir: dir.to_owned(),
            name,
            serial: AtomicU64::new(0),
        }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.join(self.name)
    }

    /// For a server of this host, or for nobody.
    pub(super) fn issue(&self, name: &str) -> Files {
        self.sign(name, params())
    }

    /// For whom a URI names.
    pub(super) fn issue_to(&self, name: &str, uri: &str) -> Files {
        self.sign(name, named(uri))
    }

    /// The same, but it counts no more.
    pub(super) fn issue_expired(&self, name: &str, uri: &str) -> Files {
        let mut params = named(uri);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(name, params)
    }

    /// A list that takes back the certificates with these numbers, in PEM.
    pub(super) fn list(&self, serials: &[u64]) -> String {
        let begun = date_time_ymd(2020, 1, 1);
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: begun,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: begun,
            next_update: date_time_ymd(2900, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Files {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed) + 1;
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files {
            serial,
            certificate: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}.key")),
        };
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

fn params() -> CertificateParams {
    CertificateParams::new(vec!["localhost".to_owned()]).unwrap()
}

fn named(uri: &str) -> CertificateParams {
    let mut params = params();
    let uri = SanType::URI(uri.try_into().unwrap());
    params.subject_alt_names.push(uri);
    params
}
