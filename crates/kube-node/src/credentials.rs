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
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::json;
use tokio::time::sleep;

use crate::config::{Credentials, NodeFacts};
use crate::error::{KubeNodeError, api, is_code};

/// Who signs the certificates that nodes show to the API server.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// How often a request is looked at until it is granted.
const GRANT_POLL: Duration = Duration::from_millis(500);
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
    let key = kept_key(&kubeconfig.with_extension("key"))?;
    let requests: Api<CertificateSigningRequest> = Api::all(client(bootstrap).await?);
    let name = request_name(&key, &node.name);
    let request = request(&key, &name, &node.name)?;
    match requests.create(&PostParams::default(), &request).await {
        Ok(_) => tracing::info!(request = name, "asked for the node's certificate"),
        // Asked by an agent before, with the key that is still here.
        Err(error) if is_code(&error, 409) => {}
        Err(error) => return Err(api(format!("create the certificate request {name}"))(error)),
    }
    let certificate = granted(&requests, &name).await?;
    let text = joined_kubeconfig(bootstrap, &certificate, &key)?;
    write_private(kubeconfig, text.as_bytes())?;
    let _ = fs::remove_file(kubeconfig.with_extension("key"));
    tracing::info!(path = %kubeconfig.display(), "the node has its certificate");
    Ok(())
}

/// The key is kept until its certificate is there, so that a restart does not ask for another.
fn kept_key(path: &Path) -> Result<KeyPair, KubeNodeError> {
    if let Ok(text) = fs::read_to_string(path)
        && let Ok(key) = KeyPair::from_pem(&text)
    {
        return Ok(key);
    }
    let key = KeyPair::generate().map_err(KubeNodeError::Request)?;
    write_private(path, key.serialize_pem().as_bytes())?;
    Ok(key)
}

/// One name for one key and node.
fn request_name(key: &KeyPair, node: &str) -> String {
    let mut what = key.public_key_raw().to_vec();
    what.extend_from_slice(node.as_bytes());
    let digest = ring::digest::digest(&ring::digest::SHA256, &what);
    let short: String = digest
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("node-csr-{short}")
}

fn request(
    key: &KeyPair,
    name: &str,
    node: &str,
) -> Result<CertificateSigningRequest, KubeNodeError> {
    let mut params =
        CertificateParams::new(Vec::<String>::new()).map_err(KubeNodeError::Request)?;
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:nodes");
    params
        .distinguished_name
        .push(DnType::CommonName, format!("system:node:{node}"));
    let signed = params
        .serialize_request(key)
        .map_err(KubeNodeError::Request)?;
    let pem = signed.pem().map_err(KubeNodeError::Request)?;
    let mut request = CertificateSigningRequest::default();
    request.metadata.name = Some(name.to_owned());
    request.spec.request = k8s_openapi::ByteString(pem.into_bytes());
    request.spec.signer_name = SIGNER.to_owned();
    request.spec.usages = Some(vec![
        "digital signature".to_owned(),
        "client auth".to_owned(),
    ]);
    Ok(request)
}

/// Waits for the certificate. Whether somebody approves it, and when, is not ours to bound; who
/// waits for us can.
async fn granted(
    requests: &Api<CertificateSigningRequest>,
    name: &str,
) -> Result<String, KubeNodeError> {
    loop {
        let request = requests.get(name).await;
        let request = request.map_err(api(format!("read the certificate request {name}")))?;
        let status = request.status.unwrap_or_default();
        if let Some(certificate) = status.certificate {
            return Ok(String::from_utf8_lossy(&certificate.0).into_owned());
        }
        let mut refused = status.conditions.into_iter().flatten();
        if let Some(refused) = refused.find(|c| matches!(c.type_.as_str(), "Denied" | "Failed")) {
            return Err(KubeNodeError::Denied {
                name: name.to_owned(),
                reason: refused.message.or(refused.reason).unwrap_or(refused.type_),
            });
        }
        sleep(GRANT_POLL).await;
    }
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

/// Complete or not at all, and for its owner only.
fn write_private(path: &Path, contents: &[u8]) -> Result<(), KubeNodeError> {
    let failed = |source| KubeNodeError::Write {
        path: path.to_owned(),
        source,
    };
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    file.write_all(contents).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}
