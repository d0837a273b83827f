//! Who may do what over TCP, how much a namespace may have, and what is written of it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use burstlet_testkit::issuer::Issuer;
use burstlet_tests::crashing::wait_for;
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
    dir: tempfile::TempDir,
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
        let lists = dir.path().join("revoked.pem");
        fs::write(&lists, clients.list(&[])).unwrap();
        Self {
            agent: agent_with(&format!("{api}client_crl_file = {lists:?}\n{more}")),
            servers,
            clients,
            port,
            dir,
        }
    }

    /// Puts a file in the place of the lists of revoked certificates, as who renews them does.
    fn renew_lists(&self, text: &str) {
        let new = self.dir.path().join("new.pem");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.dir.path().join("revoked.pem")).unwrap();
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
        self.command(args).output().unwrap().into()
    }

    fn command(&self, args: &[&str]) -> Command {
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
        command
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
    let (whole, told) = verify(&node, &[]);
    assert!(whole, "{told}");
    let head = told.lines().find_map(|line| line.strip_prefix("head"));
    let head = head.unwrap().trim().to_owned();
    // Somebody has never been here.
    let path = node.agent.scratch().join("state/audit/audit.log");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("\"Delete\"", "\"Get\"")
            .replace("/Delete", "/Get"),
    )
    .unwrap();
    let (whole, told) = verify(&node, &["--head", &head]);
    assert!(!whole && told.contains("CHANGED"), "{told}");
    node.agent.finish();
}

/// What the agent's program says of the trail, and whether it is whole.
fn verify(node: &Node, more: &[&str]) -> (bool, String) {
    let mut command = command("burstlet");
    command.arg("--config").arg(node.agent.config());
    let found: Outcome = command
        .args(["audit", "verify"])
        .args(more)
        .output()
        .unwrap()
        .into();
    (
        found.code == Some(0),
        format!("{}{}", found.stdout, found.stderr),
    )
}

#[test]
fn whose_certificate_is_taken_back_is_out_at_once() {
    let node = Node::start("");
    let (alice, bob) = (node.of_shop("operator"), node.of_shop("viewer"));
    assert_eq!(alice.create("web").code, Some(0));
    alice.ok(&["wait", "web", "--for", "running", "--timeout", "30s"]);
    let mut follows = alice.command(&["logs", "-f", "web"]);
    let follows = follows.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follows = follows.spawn().unwrap();
    let mut first = [0; "started\n".len()];
    follows
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    let Own::Certificate(files) = &alice.own else {
        panic!("a certificate");
    };
    node.renew_lists(&node.clients.list(&[files.serial]));
    let ended: Outcome = follows.wait_with_output().unwrap().into();
    assert!(ended.stderr.contains("has been revoked"), "{ended:?}");
    assert_ne!(ended.code, Some(0));
    alice.refused(&["ps"], "has been revoked");
    assert!(bob.ok(&["ps"]).contains("web"));
    // A file that is no list lets nobody in again.
    node.renew_lists("");
    wait_for("it is told", || {
        let log = node.agent.log();
        log.contains("the list of revoked certificates cannot be used")
            .then_some(())
    });
    alice.refused(&["ps"], "has been revoked");
    assert!(bob.ok(&["ps"]).contains("web"));
    node.agent.ok(&["rm", "--force", "shop/web"]);
    drop((alice, bob));
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
