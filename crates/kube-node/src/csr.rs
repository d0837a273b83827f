//! Certificates from the cluster: a key of our own, a request, and the wait until somebody grants
//! it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::PostParams;
use kube::{Api, Client};
use rcgen::{CertificateParams, DnType, KeyPair};
use tokio::time::sleep;

use crate::error::{KubeNodeError, api, is_code};

/// How soon a request is looked at; doubled up to the second until it is granted.
const GRANT_POLL_MIN: Duration = Duration::from_millis(500);
const GRANT_POLL_MAX: Duration = Duration::from_secs(5);

/// A certificate that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    /// Whose it is.
    pub(crate) node: &'a str,
    /// Who is to sign it.
    pub(crate) signer: &'static str,
    /// What it is for: `client auth` or `server auth`.
    pub(crate) usage: &'static str,
    /// Names and addresses of a server; a client has none.
    pub(crate) names: &'a [String],
}

/// Asks for a certificate of this key; the chain, as PEM.
///
/// Waits until somebody approves it: whether anybody does, and when, is not ours to bound; who
/// waits for us can. Asked again with the same key, waits for the same request.
///
/// # Errors
/// It was denied, or the API server cannot be asked.
pub(crate) async fn obtain(
    client: Client,
    wish: &Wish<'_>,
    key: &KeyPair,
) -> Result<String, KubeNodeError> {
    let requests: Api<CertificateSigningRequest> = Api::all(client);
    let name = request_name(key, wish.node);
    let request = request(key, &name, wish)?;
    match requests.create(&PostParams::default(), &request).await {
        Ok(_) => tracing::info!(
            request = name,
            signer = wish.signer,
            "asked for a certificate"
        ),
        // Asked before, with the key that is still here.
        Err(error) if is_code(&error, 409) => {}
        Err(error) => return Err(api(format!("create the certificate request {name}"))(error)),
    }
    granted(&requests, &name).await
}

/// The key is kept until its certificate is there, so that a restart does not ask for another.
pub(crate) fn kept_key(path: &Path) -> Result<KeyPair, KubeNodeError> {
    if let Ok(text) = fs::read_to_string(path)
        && let Ok(key) = KeyPair::from_pem(&text)
    {
        return Ok(key);
    }
    let key = KeyPair::generate().map_err(KubeNodeError::Request)?;
    write_private(path, key.serialize_pem().as_bytes())?;
    Ok(key)
}

/// Complete or not at all, durable, and for its owner only.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> Result<(), KubeNodeError> {
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
    fs::rename(&new, path).map_err(failed)?;
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    let directory = fs::File::open(directory.unwrap_or(Path::new(".")));
    directory
        .and_then(|directory| directory.sync_all())
        .map_err(failed)
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
    wish: &Wish<'_>,
) -> Result<CertificateSigningRequest, KubeNodeError> {
    let mut params = CertificateParams::new(wish.names).map_err(KubeNodeError::Request)?;
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:nodes");
    params
        .distinguished_name
        .push(DnType::CommonName, format!("system:node:{}", wish.node));
    let signed = params
        .serialize_request(key)
        .map_err(KubeNodeError::Request)?;
    let pem = signed.pem().map_err(KubeNodeError::Request)?;
    let mut request = CertificateSigningRequest::default();
    request.metadata.name = Some(name.to_owned());
    request.spec.request = ByteString(pem.into_bytes());
    request.spec.signer_name = wish.signer.to_owned();
    request.spec.usages = Some(vec!["digital signature".to_owned(), wish.usage.to_owned()]);
    Ok(request)
}

async fn granted(
    requests: &Api<CertificateSigningRequest>,
    name: &str,
) -> Result<String, KubeNodeError> {
    let mut pause = GRANT_POLL_MIN;
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
        sleep(pause).await;
        pause = (pause * 2).min(GRANT_POLL_MAX);
    }
}
