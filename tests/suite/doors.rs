//! The API over TCP: with mutual TLS, or not at all.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use burstlet_tests::{Agent, Outcome, PATIENCE, Setup, command, wait_for};

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

/// Whether the admin port tells of the agent whoever has this token.
fn is_told(agent: &Agent, token: &str) -> bool {
    let mut stream = TcpStream::connect_timeout(&agent.admin_address(), PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET /metrics HTTP/1.0\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.starts_with("HTTP/1.0 200")
}

/// Of files that were renewed what is new is used without a restart; what is no certificate, and no
/// token, changes nothing.
#[test]
fn certificates_and_tokens_are_read_again_when_they_change() {
    const FIRST: &str = "the-first-token-of-this-test";
    const SECOND: &str = "the-second-token-of-this-test";
    let dir = tempfile::tempdir().unwrap();
    let servers = Authority::new(dir.path(), "servers");
    let clients = Authority::new(dir.path(), "clients");
    let server = servers.issue("server");
    let good = clients.issue_to("good", ADMIN);
    let token = dir.path().join("token");
    fs::write(&token, FIRST).unwrap();
    let port = free_port();
    let agent = Agent::start_as(Setup {
        more: &api_section(port, &server, &clients),
        environment: &[("BURSTLET_ADMIN_TOKEN_FILE", token.to_str().unwrap())],
        ..Setup::default()
    });
    let serves = |ca: &Authority, who: &Files| info(port, ca, Some(who)).code == Some(0);
    assert!(serves(&servers, &good) && is_told(&agent, FIRST));

    fs::write(&server.key, "no key").unwrap();
    fs::write(&token, "short").unwrap();
    wait_for("what cannot be used is told of", || {
        agent.log().matches("stays as it was").count() == 2
    });
    assert!(serves(&servers, &good) && is_told(&agent, FIRST));

    let others = Authority::new(dir.path(), "others");
    let new = others.issue("new");
    fs::rename(&new.key, &server.key).unwrap();
    fs::rename(&new.certificate, &server.certificate).unwrap();
    fs::write(&token, SECOND).unwrap();
    fs::copy(others.file(), clients.file()).unwrap();
    let known = others.issue_to("known", ADMIN);
    wait_for("what is new is used", || {
        serves(&others, &known) && is_told(&agent, SECOND)
    });
    assert!(!serves(&others, &good) && !is_told(&agent, FIRST));
    agent.finish();
}
