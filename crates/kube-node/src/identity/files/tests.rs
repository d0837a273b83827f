use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::certificate::tests::pair;

const NODE: &str = "system:node:edge-1";

struct Place {
    directory: tempfile::TempDir,
    files: Files,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = Files {
            kubeconfig: directory.path().join("node.kubeconfig"),
        };
        Self { directory, files }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A kubeconfig with this user.
    fn kubeconfig(&self, name: &str, user: &str) -> PathBuf {
        let text = format!(
            "{{current-context: here, \
             clusters: [{{name: other, cluster: {{server: 'https://192.0.2.2'}}}}, \
             {{name: this, cluster: {{server: 'https://192.0.2.1', certificate-authority: ca}}}}], \
             contexts: [{{name: here, context: {{cluster: this, user: me}}}}], \
             users: [{{name: me, user: {user}}}]}}"
        );
        self.write(name, &text)
    }

    fn look(&self) -> Look {
        self.files.look(NODE).unwrap().unwrap()
    }
}

fn inside(user: &str) -> String {
    let (certificate, key) = pair(user);
    let (certificate, key) = (STANDARD.encode(certificate), STANDARD.encode(key));
    format!("{{client-certificate-data: {certificate}, client-key-data: {key}}}")
}

#[test]
fn who_keeps_a_certificate() {
    let place = Place::new();
    assert!(place.files.look(NODE).unwrap().is_none());
    let (certificate, key) = pair(NODE);
    place.write("own.crt", &certificate);
    place.write("own.key", &key);
    let own = "{client-certificate: own.crt, client-key: own.key}";
    let ours = "{client-certificate: node.kubeconfig.pem, client-key: node.kubeconfig.pem}";
    for (user, is_read, keeper) in [
        (&*inside(NODE), true, Keeper::Agent),
        // Whoever that is, a certificate of the node's would make another of him.
        (&*inside("admin"), true, Keeper::Operator),
        (own, true, Keeper::Operator),
        (ours, false, Keeper::Agent),
        ("{token: t}", false, Keeper::Operator),
    ] {
        place.kubeconfig("node.kubeconfig", user);
        let held = place.look().held;
        assert_eq!(held.certificate.is_some(), is_read, "{user}");
        assert_eq!(held.keeper, keeper, "{user}");
    }
    place.write("node.kubeconfig", "no kubeconfig");
    assert!(place.files.look(NODE).is_err());
}

#[test]
fn whatever_changes_is_seen() {
    let place = Place::new();
    let (certificate, key) = pair(NODE);
    for (name, text) in [("own.crt", &certificate), ("own.key", &key)] {
        place.write(name, text);
    }
    place.write("ca", "authority");
    let user = "{client-certificate: own.crt, client-key: own.key}";
    place.kubeconfig("node.kubeconfig", user);
    let mut before = place.look();
    assert!(before.is_same(&place.look()));
    for name in ["own.crt", "own.key", "ca"] {
        place.write(name, "another");
        let after = place.look();
        assert!(!after.is_same(&before), "{name}");
        before = after;
    }
    place.kubeconfig("node.kubeconfig", "{token: t}");
    assert!(!place.look().is_same(&before));
}

#[tokio::test]
async fn a_new_certificate_is_put() {
    let place = Place::new();
    let source = place.kubeconfig("bootstrap", "{token: t}");
    let (certificate, key) = pair(NODE);
    let pem = format!("{certificate}{key}");
    place.files.put(&pem, Some(&source)).unwrap();
    let first = place.look();
    assert_eq!(first.held.keeper, Keeper::Agent);
    assert_eq!(
        first.held.certificate,
        Certificate::read(certificate.as_bytes())
    );
    assert_eq!(place.files.to_rewrite(&first), None);
    for file in ["node.kubeconfig", "node.kubeconfig.pem"] {
        let path = place.directory.path().join(file);
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let written = read(&place.files.kubeconfig).unwrap();
    let servers = written.clusters.iter().map(|c| c.cluster.as_ref().unwrap());
    let servers: Vec<_> = servers.map(|c| c.server.as_deref()).collect();
    assert_eq!(servers, [Some("https://192.0.2.1")]);

    // From then on only the certificate changes, and a pair that can be used it is.
    let (certificate, key) = pair(NODE);
    place
        .files
        .put(&format!("{certificate}{key}"), None)
        .unwrap();
    assert!(!place.look().is_same(&first));
    let without_authority = fs::read_to_string(&place.files.kubeconfig).unwrap();
    let text = without_authority.replace("certificate-authority", "nothing");
    place.write("node.kubeconfig", &text);
    client(&place.files.kubeconfig).await.unwrap();
}

/// What an earlier agent wrote, or an operator who is no less able: the certificate is inside.
#[test]
fn a_certificate_inside_the_kubeconfig_comes_out_of_it() {
    let place = Place::new();
    place.kubeconfig("node.kubeconfig", &inside(NODE));
    let look = place.look();
    let source = place.files.to_rewrite(&look).unwrap().to_owned();
    assert_eq!(source, place.files.kubeconfig);
    let (certificate, key) = pair(NODE);
    let pem = format!("{certificate}{key}");
    place.files.put(&pem, Some(&source)).unwrap();
    let after = place.look();
    assert_eq!(place.files.to_rewrite(&after), None);
    assert_eq!(
        after.held.certificate,
        Certificate::read(certificate.as_bytes())
    );
    let written = read(&place.files.kubeconfig).unwrap();
    let cluster = written.clusters[0].cluster.as_ref().unwrap();
    let authority = cluster.certificate_authority.as_deref().unwrap();
    assert!(Path::new(authority).ends_with("ca"), "{authority}");
}
