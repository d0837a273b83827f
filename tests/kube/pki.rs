//! The cluster's own authority, certificates as kubeadm issues them, and kubeconfigs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// The authority that signs every certificate of the cluster.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

/// Who a certificate is for.
pub(crate) struct Subject<'a> {
    /// The user's name.
    pub(crate) name: &'a str,
    /// The groups that the user is in.
    pub(crate) groups: &'a [&'a str],
    /// Names and addresses of a server; empty for a client.
    pub(crate) hosts: &'a [&'a str],
}

impl Authority {
    /// A new authority, whose files are in `directory`: `ca.crt`, `ca.key`.
    pub(crate) fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "kubernetes-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(directory.join("ca.crt"), issuer.pem()).unwrap();
        fs::write(directory.join("ca.key"), issuer.key().serialize_pem()).unwrap();
        Self {
            issuer,
            directory: directory.to_owned(),
        }
    }

    /// The path of one of the authority's files.
    pub(crate) fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Issues a certificate for a long time: `NAME.crt` and `NAME.key`.
    pub(crate) fn issue(&self, file: &str, subject: &Subject<'_>) {
        self.sign(file, &Self::wish(subject));
    }

    /// Issues a certificate that was good for decades, until this moment.
    pub(crate) fn issue_until(&self, file: &str, subject: &Subject<'_>, until: SystemTime) {
        let mut params = Self::wish(subject);
        params.not_after = until.into();
        self.sign(file, &params);
    }

    fn wish(subject: &Subject<'_>) -> CertificateParams {
        let hosts: Vec<String> = subject.hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, subject.name);
        for group in subject.groups {
            params
                .distinguished_name
                .push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params
    }

    fn sign(&self, file: &str, params: &CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(
            self.directory.join(format!("{file}.crt")),
            certificate.pem(),
        )
        .unwrap();
        fs::write(
            self.directory.join(format!("{file}.key")),
            key.serialize_pem(),
        )
        .unwrap();
    }

    /// A key pair without a certificate: `NAME.key` and `NAME.pub`.
    pub(crate) fn key_pair(&self, file: &str) {
        let key = KeyPair::generate().unwrap();
        fs::write(
            self.directory.join(format!("{file}.key")),
            key.serialize_pem(),
        )
        .unwrap();
        fs::write(
            self.directory.join(format!("{file}.pub")),
            key.public_key_pem(),
        )
        .unwrap();
    }

    /// A kubeconfig for who holds a certificate: `NAME.kubeconfig`.
    pub(crate) fn kubeconfig(&self, file: &str, server: &str) -> PathBuf {
        let user = format!(
            "{{client-certificate: {}, client-key: {}}}",
            self.file(&format!("{file}.crt")),
            self.file(&format!("{file}.key"))
        );
        self.write_kubeconfig(file, server, &user)
    }

    /// A kubeconfig for who holds a token: `NAME.kubeconfig`.
    pub(crate) fn token_kubeconfig(&self, file: &str, server: &str, token: &str) -> PathBuf {
        self.write_kubeconfig(file, server, &format!("{{token: {token}}}"))
    }

    fn write_kubeconfig(&self, file: &str, server: &str, user: &str) -> PathBuf {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: {server:?}, certificate-authority: {}}}}}]\n\
             users: [{{name: test, user: {user}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n",
            self.file("ca.crt"),
        );
        let path = self.directory.join(format!("{file}.kubeconfig"));
        fs::write(&path, text).unwrap();
        path
    }
}
