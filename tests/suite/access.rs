//! Who may do what over TCP, how much a namespace may have, and what is written of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use burstlet_testkit::issuer::Issuer;
use burstlet_tests::{Agent, Outcome, command};
use serde_json::{Value, json};

use super::authority::{Authority, Files};
use super::doors::{api_section, free_port};
use super::{agent_with, shell_group};

/// An agent that listens on TCP, and who may sign for its callers.
struct Node {
    agent: Agent,
    servers: Authority,
    clients: Authority,
    port: u16,
    _dir: tempfile::TempDir,
}

/// Somebody who shows who he is.
struct Caller<'n> {
    node: &'n Node,
    own: Own,
}

/// What somebody has to show.
enum Own {
    Certificate(Files),
    Token(PathBuf),
}

impl Node {
    fn start(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let servers = Authority::new(dir.path(), "servers");
        let clients = Authority::new(dir.path(), "clients");
        let server = servers.issue("server");
        let port = free_port();
        let api = api_section(port, &server, &clients);
        Self {
            agent: agent_with(&format!("{api}{more}")),
            servers,
            clients,
            port,
            _dir: dir,
        }
    }

    /// Somebody of the namespace `shop`.
    fn of_shop(&self, role: &str) -> Caller<'_> {
        let uri = format!("spiffe://burstlet/tenant/shop/role/{role}");
        let own = Own::Certificate(self.clients.issue_to(role, &uri));
        Caller { node: self, own }
    }

    /// Somebody with a token.
    fn with_token(&self, name: &str, token: &str) -> Caller<'_> {
        let file = self.agent.scratch().join(format!("{name}.token"));
        fs::write(&file, format!("{token}\n")).unwrap();
        let own = Own::Token(file);
        Caller { node: self, own }
    }

    /// The entries of the audit trail.
    fn trail(&self) -> Vec<Value> {
        let path = self.agent.scratch().join("state/audit/audit.log");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Whether the trail has an entry with these words.
    fn has_entry(&self, role: &str, call: &str, code: &str, word: &str) -> bool {
        let is = |entry: &Value| {
            entry["role"] == role
                && entry["call"] == format!("burstlet.v1.ContainerGroups/{call}")
                && entry["code"] == code
                && entry.to_string().contains(word)
        };
        self.trail().iter().any(is)
    }
}

impl Caller<'_> {
    fn run(&self, args: &[&str]) -> Outcome {
        let mut command = command("burstctl");
        command
            .args(["-n", "shop", "--address"])
            .arg(format!("tcp://localhost:{}", self.node.port))
            .arg("--tls-ca")
            .arg(self.node.servers.file());
        match &self.own {
            Own::Certificate(files) => command
                .arg("--tls-cert")
                .arg(&files.certificate)
                .arg("--tls-key")
                .arg(&files.key),
            Own::Token(file) => command.arg("--token-file").arg(file),
        };
        command.args(args);
        command.output().unwrap().into()
    }

    fn ok(&self, args: &[&str]) -> String {
        let outcome = self.run(args);
        assert_eq!(
            outcome.code,
            Some(0),
            "{args:?}: {outcome:?}\n{}",
            self.node.agent.log()
        );
        outcome.stdout
    }

    /// Fails, with these words.
    fn refused(&self, args: &[&str], words: &str) {
        let outcome = self.run(args);
        assert_ne!(outcome.code, Some(0), "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains(words), "{args:?}: {outcome:?}");
    }

    /// Creates a group that goes on.
    fn create(&self, name: &str) -> Outcome {
        let file = self.node.agent.scratch().join(format!("{name}.json"));
        fs::write(&file, definition(name, None)).unwrap();
        self.run(&["create", "-f", file.to_str().unwrap()])
    }
}

fn definition(name: &str, namespace: Option<&str>) -> String {
    let mut group = shell_group(name, "echo started; sleep 1000");
    if let Some(namespace) = namespace {
        group["metadata"]["namespace"] = namespace.into();
    }
    group.to_string()
}

#[test]
fn everybody_has_what_role_and_namespace_give() {
    let node = Node::start("[quotas.shop]\ngroups = 1\n");
    let theirs = definition("theirs", Some("other"));
    node.agent
        .ok_with(&["create", "-f", "-"], theirs.as_bytes());

    let operator = node.of_shop("operator");
    let made = operator.create("web");
    assert_eq!(made.code, Some(0), "{made:?}");
    operator.ok(&["wait", "web", "--for", "running", "--timeout", "30s"]);
    assert_eq!(
        operator.ok(&["exec", "web", "--", "echo", "hello"]),
        "hello\n"
    );
    let second = operator.create("second");
    assert!(
        second
            .stderr
            .contains("the quota of namespace shop is 1 groups"),
        "{second:?}"
    );
    operator.refused(&["get", "other/theirs"], "does not exist");
    operator.refused(&["exec", "other/theirs", "--", "true"], "does not exist");
    operator.refused(&["ps", "-n", "other"], "you are of namespace shop");
    operator.refused(&["images"], "about the whole node");
    assert!(!operator.ok(&["ps"]).contains("theirs"));

    let viewer = node.of_shop("viewer");
    assert!(viewer.ok(&["ps"]).contains("web"));
    viewer.refused(&["exec", "web", "--", "true"], "is for operator, admin");
    viewer.refused(&["rm", "--force", "web"], "is for operator, admin");
    let meter = node.of_shop("meter");
    assert!(meter.ok(&["usage", "--by", "group"]).contains("web"));
    assert!(!meter.ok(&["usage", "--by", "group"]).contains("theirs"));
    meter.refused(&["ps"], "is for viewer, operator, admin");

    assert!(node.has_entry("operator", "Create", "OK", "shop/web"));
    assert!(node.has_entry("operator", "Create", "RESOURCE_EXHAUSTED", "shop/second"));
    assert!(node.has_entry("operator", "Exec", "OK", "argv_sha256"));
    assert!(node.has_entry("operator", "Exec", "NOT_FOUND", "ForeignNamespace"));
    assert!(node.has_entry("viewer", "Delete", "PERMISSION_DENIED", "NotAllowed"));
    assert!(node.has_entry("meter", "List", "PERMISSION_DENIED", "NotAllowed"));
    assert!(node.has_entry("admin", "Create", "OK", "other/theirs"));
    drop(viewer);
    drop(meter);
    drop(operator);
    node.agent.finish();
}

#[test]
fn the_trail_goes_on_where_a_killed_agent_left_it() {
    let mut node = Node::start("");
    let group = definition("web", None);
    node.agent.ok_with(&["create", "-f", "-"], group.as_bytes());
    let before = node.trail();
    node.agent.crash();
    node.agent.launch();
    node.agent.ok(&["rm", "--force", "web"]);
    let after = node.trail();
    assert_eq!(after[..before.len()], before);
    assert!(node.has_entry("admin", "Delete", "OK", "default/web"));
    node.agent.finish();
}

#[test]
fn a_token_says_who_somebody_is_as_well_as_a_certificate() {
    let issuer = Issuer::start();
    let ca = tempfile::NamedTempFile::new().unwrap();
    fs::write(ca.path(), issuer.ca()).unwrap();
    let node = Node::start(&format!(
        "[access.oidc]\nissuer = {:?}\nca_file = {:?}\nrules = [\n\
         {{ claim = \"groups\", value = \"shop-guests\", role = \"viewer\", namespace = \"shop\" }},\n\
         {{ claim = \"groups\", value = \"admins\", role = \"admin\" }},\n]\n",
        issuer.url(),
        ca.path(),
    ));
    let group = definition("web", Some("shop"));
    node.agent.ok_with(&["create", "-f", "-"], group.as_bytes());
    let guest = issuer.token(&json!({"groups": ["shop-guests"]}));
    let guest = node.with_token("guest", &guest);
    assert!(guest.ok(&["ps"]).contains("web"));
    guest.refused(&["rm", "--force", "web"], "is for operator, admin");
    let stranger = node.with_token("stranger", &issuer.token(&json!({"groups": ["others"]})));
    stranger.refused(&["ps"], "gives no role here");
    let other = Issuer::start();
    let forged = node.with_token("forged", &other.token(&json!({"groups": ["admins"]})));
    forged.refused(&["ps"], "the token is not valid");
    let ended = issuer.token(&json!({"groups": ["admins"], "exp": 1_600_000_000}));
    node.with_token("ended", &ended)
        .refused(&["ps"], "not valid at this time");
    // Certificates are as good as before.
    assert!(node.of_shop("viewer").ok(&["ps"]).contains("web"));
    let admin = node.with_token("admin", &issuer.token(&json!({"groups": ["admins"]})));
    admin.ok(&["rm", "--force", "web"]);
    let who = format!("{}#alice", issuer.url());
    assert!(node.has_entry("viewer", "Delete", "PERMISSION_DENIED", &who));
    assert!(node.has_entry("admin", "Delete", "OK", "\"proof\":\"token\""));
    drop((guest, stranger, forged, admin));
    node.agent.finish();
}
