//! Who the node is to the API server: a kubeconfig, or one made by asking for a certificate with
//! a bootstrap token.
//!
//! ```text
//! kubeconfig there? ─yes─► use it
//!        │no
//!        ▼
//! bootstrap kubeconfig ─► key, request (kept until it is granted) ─► certificate ─► kubeconfig
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rcgen::KeyPair;
use serde_json::json;

use crate::config::{Credentials, NodeFacts};
use crate::csr::{self, Wish};
use crate::error::{KubeNodeError, api};

/// Who signs the certificates that nodes show to the API server.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// How long the API server may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A client with the node's identity; asks for one first if there is none.
pub(crate) async fn connect(
    credentials: &Credentials,
    node: &NodeFacts,
) -> Result<Client, KubeNodeError> {
    if !credentials.kubeconfig.exists() {
        let Some(bootstrap) = &credentials.bootstrap_kubeconfig else {
            return Err(KubeNodeError::NoCredentials(credentials.kubeconfig.clone()));
        };
        join(bootstrap, &credentials.kubeconfig, node).await?;
    }
    client(&credentials.kubeconfig).await
}

/// A client from a kubeconfig.
pub(crate) async fn client(path: &Path) -> Result<Client, KubeNodeError> {
    let wrong = |source| KubeNodeError::Kubeconfig {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(wrong)?;
    config.connect_timeout = Some(CONNECT_MAX);
    Client::try_from(config).map_err(api("set up the client of the API server"))
}

/// Asks for a certificate and writes the kubeconfig that has it.
async fn join(bootstrap: &Path, kubeconfig: &Path, node: &NodeFacts) -> Result<(), KubeNodeError> {
    let key = csr::kept_key(&kubeconfig.with_extension("key"))?;
    let wish = Wish {
        node: &node.name,
        signer: SIGNER,
        usage: "client auth",
        names: &[],
    };
    let certificate = csr::obtain(client(bootstrap).await?, &wish, &key).await?;
    let text = joined_kubeconfig(bootstrap, &certificate, &key)?;
    csr::write_private(kubeconfig, text.as_bytes())?;
    let _ = fs::remove_file(kubeconfig.with_extension("key"));
    tracing::info!(path = %kubeconfig.display(), "the node has its certificate");
    Ok(())
}

/// The bootstrap's cluster with the node's own certificate.
fn joined_kubeconfig(
    bootstrap: &Path,
    certificate: &str,
    key: &KeyPair,
) -> Result<String, KubeNodeError> {
    let wrong = |source| KubeNodeError::Kubeconfig {
        path: bootstrap.to_owned(),
        source: Box::new(source),
    };
    let read = Kubeconfig::read_from(bootstrap).map_err(wrong)?;
    let current = read.current_context.as_deref().unwrap_or_default();
    let context = read.contexts.iter().find(|c| c.name == current);
    let cluster = context
        .and_then(|c| c.context.as_ref())
        .map(|c| c.cluster.as_str());
    let clusters: Vec<_> = read
        .clusters
        .iter()
        .filter(|c| Some(c.name.as_str()) == cluster)
        .collect();
    // A kubeconfig is YAML, and JSON is that.
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "node",
        "clusters": clusters,
        "contexts": [{"name": "node", "context": {"cluster": cluster, "user": "node"}}],
        "users": [{"name": "node", "user": {
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key.serialize_pem()),
        }}],
    });
    Ok(text.to_string())
}
