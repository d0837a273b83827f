//! The API over TCP: with mutual TLS, or not at all.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use burstlet_tests::{Agent, Outcome, command};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

/// An authority, whose certificates are files in a directory.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
    name: &'static str,
}

/// The files of a certificate and its key.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &'static str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.join(name), issuer.pem()).unwrap();
        Self {
            issuer,
            dir: dir.to_owned(),
            name,
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.join(self.name)
    }

    fn issue(&self, name: &str, expired: bool) -> Files {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files {
            certificate: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}.key")),
        };
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

/// Runs `burstctl info` over TCP.
fn info(port: u16, ca: &Authority, own: Option<&Files>) -> Outcome {
    let mut command = command("burstctl");
    command.args(["info", "-o", "name", "--address"]);
    command.arg(format!("tcp://localhost:{port}"));
    command.arg("--tls-ca").arg(ca.file());
    if let Some(own) = own {
        command.arg("--tls-cert").arg(&own.certificate);
        command.arg("--tls-key").arg(&own.key);
    }
    command.output().unwrap().into()
}

#[test]
fn over_tcp_both_sides_show_who_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Authority::new(dir.path(), "servers");
    let clients = Authority::new(dir.path(), "clients");
    let strangers = Authority::new(dir.path(), "strangers");
    let server = servers.issue("server", false);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let agent = Agent::start_with(&format!(
        "[api]\nlisten = \"127.0.0.1:{port}\"\ncert_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n",
        server.certificate,
        server.key,
        clients.file(),
    ));
    let good = clients.issue("good", false);
    let seen = info(port, &servers, Some(&good));
    assert_eq!(seen.code, Some(0), "{seen:?}\n{}", agent.log());
    assert_eq!(seen.stdout, agent.ok(&["info", "-o", "name"]));
    let expired = clients.issue("expired", true);
    let stranger = strangers.issue("stranger", false);
    for (who, ca, own, code) in [
        // It is told so before anything is sent.
        ("nobody", &servers, None, 64),
        ("of another authority", &servers, Some(&stranger), 1),
        ("expired", &servers, Some(&expired), 1),
        ("who trusts others", &strangers, Some(&good), 1),
    ] {
        let seen = info(port, ca, own);
        assert_eq!(seen.code, Some(code), "{who}: {seen:?}");
        assert_eq!(seen.stdout, "", "{who}");
        assert!(!seen.stderr.is_empty(), "{who}");
    }
    agent.finish();
}
