//! The API over TCP: with mutual TLS, or not at all.

use std::net::TcpListener;

use burstlet_tests::{Agent, Outcome, command};

use super::authority::{Authority, Files};

const ADMIN: &str = "spiffe://burstlet/role/admin";

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

/// A port that nobody listens on now.
pub(super) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// The configuration of an API over TCP.
pub(super) fn api_section(port: u16, server: &Files, clients: &Authority) -> String {
    format!(
        "[api]\nlisten = \"127.0.0.1:{port}\"\ncert_file = {:?}\nkey_file = {:?}\n\
         client_ca_file = {:?}\n",
        server.certificate,
        server.key,
        clients.file(),
    )
}

#[test]
fn over_tcp_both_sides_show_who_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Authority::new(dir.path(), "servers");
    let clients = Authority::new(dir.path(), "clients");
    let strangers = Authority::new(dir.path(), "strangers");
    let server = servers.issue("server");
    let port = free_port();
    let agent = Agent::start_with(&api_section(port, &server, &clients));
    let good = clients.issue_to("good", ADMIN);
    let seen = info(port, &servers, Some(&good));
    assert_eq!(seen.code, Some(0), "{seen:?}\n{}", agent.log());
    assert_eq!(seen.stdout, agent.ok(&["info", "-o", "name"]));
    let expired = clients.issue_expired("expired", ADMIN);
    let unnamed = clients.issue("unnamed");
    let stranger = strangers.issue_to("stranger", ADMIN);
    for (who, ca, own, code) in [
        // It is told so before anything is sent.
        ("nobody", &servers, None, 64),
        ("of another authority", &servers, Some(&stranger), 1),
        ("expired", &servers, Some(&expired), 1),
        ("without a name", &servers, Some(&unnamed), 1),
        ("who trusts others", &strangers, Some(&good), 1),
    ] {
        let seen = info(port, ca, own);
        assert_eq!(seen.code, Some(code), "{who}: {seen:?}");
        assert_eq!(seen.stdout, "", "{who}");
        assert!(!seen.stderr.is_empty(), "{who}");
    }
    agent.finish();
}
