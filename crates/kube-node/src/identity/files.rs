//! The files of the node's identity: what the kubeconfig and those that it names say, and how a new
//! certificate comes into them.
//!
//! ```text
//! KUBECONFIG               names the one below, if the agent renews the certificate
//! KUBECONFIG.pem           certificate and key, replaced as one
//! KUBECONFIG.request.key   the key of a request that is not granted yet
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use ring::digest::{Context, Digest, SHA256};
use serde_json::json;

use super::connect::connect;
use super::decide::{Held, Keeper};
use crate::certificate::Certificate;
use crate::csr::write_private;
use crate::error::{KubeNodeError, api};

/// How long the API server may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Where the identity is kept.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) kubeconfig: PathBuf,
}

/// What the files say now.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) held: Held,
    /// Another if anything in the files is.
    digest: Digest,
    /// The kubeconfig names the file of the agent's.
    names_ours: bool,
}

impl Look {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.digest.as_ref() == other.digest.as_ref()
    }
}

impl Files {
    /// What they say of the identity of `user`; `None` if there is no kubeconfig.
    pub(super) fn look(&self, user: &str) -> Result<Option<Look>, KubeNodeError> {
        if !self.kubeconfig.exists() {
            return Ok(None);
        }
        let read = read(&self.kubeconfig)?;
        let shown = current(&read).map(|(_, shown)| shown.clone());
        let shown = shown.unwrap_or_default();
        let pem = certificate(&shown);
        let certificate = pem.as_deref().and_then(Certificate::read);
        let names_ours = shown.client_certificate_data.is_none() && self.is_ours(&shown);
        let is_inside = shown.client_certificate_data.is_some() && shown.client_key_data.is_some();
        let is_own = certificate.as_ref().is_some_and(|own| own.user == user);
        let keeper = match names_ours || (is_inside && is_own) {
            true => Keeper::Agent,
            false => Keeper::Operator,
        };
        Ok(Some(Look {
            held: Held {
                certificate,
                keeper,
            },
            digest: self.digest(&read, &shown),
            names_ours,
        }))
    }

    /// Where the key of a request is kept until it is granted.
    pub(super) fn request_key(&self) -> PathBuf {
        beside(&self.kubeconfig, ".request.key")
    }

    /// Puts a certificate and its key in the place of what is there. The kubeconfig is written too if
    /// it does not name them yet, with the cluster of `source`.
    pub(super) fn put(&self, pem: &str, source: Option<&Path>) -> Result<(), KubeNodeError> {
        let text = match source {
            Some(source) => Some(self.naming_ours(source)?),
            None => None,
        };
        write_private(&self.pem(), pem.as_bytes())?;
        if let Some(text) = text {
            write_private(&self.kubeconfig, text.as_bytes())?;
        }
        Ok(())
    }

    /// Which kubeconfig has the cluster that a renewed certificate is for; `None` if nothing but the
    /// certificate has to be written.
    pub(super) fn to_rewrite(&self, look: &Look) -> Option<&Path> {
        (!look.names_ours).then_some(&self.kubeconfig)
    }

    /// A kubeconfig with the current cluster of `source` and the agent's own file.
    fn naming_ours(&self, source: &Path) -> Result<String, KubeNodeError> {
        let read = read(source)?;
        let current = read.current_context.as_deref().unwrap_or_default();
        let context = read.contexts.iter().find(|c| c.name == current);
        let cluster = context.and_then(|c| c.context.as_ref());
        let cluster = cluster.map(|c| c.cluster.as_str());
        let clusters = read.clusters.iter();
        let clusters: Vec<_> = clusters
            .filter(|c| Some(c.name.as_str()) == cluster)
            .collect();
        let pem = self.pem();
        let name = pem.file_name().unwrap_or_default().to_string_lossy();
        // A kubeconfig is YAML, and JSON is that.
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "node",
            "clusters": clusters,
            "contexts": [{"name": "node", "context": {"cluster": cluster, "user": "node"}}],
            "users": [{"name": "node", "user": {
                "client-certificate": name,
                "client-key": name,
            }}],
        });
        Ok(text.to_string())
    }

    fn is_ours(&self, shown: &AuthInfo) -> bool {
        let is_ours = |named: &Option<String>| named.as_ref().map(Path::new) == Some(&self.pem());
        is_ours(&shown.client_certificate) && is_ours(&shown.client_key)
    }

    fn pem(&self) -> PathBuf {
        beside(&self.kubeconfig, ".pem")
    }

    fn digest(&self, read: &Kubeconfig, shown: &AuthInfo) -> Digest {
        let authority = current(read).and_then(|(cluster, _)| cluster);
        let files = [
            self.kubeconfig.to_str(),
            shown.client_certificate.as_deref(),
            shown.client_key.as_deref(),
            authority,
        ];
        let mut context = Context::new(&SHA256);
        for file in files {
            let contents = file.and_then(|file| fs::read(file).ok());
            let contents = contents.unwrap_or_default();
            context.update(&contents.len().to_le_bytes());
            context.update(&contents);
        }
        context.finish()
    }
}

/// A client from a kubeconfig.
pub(crate) async fn client(path: &Path) -> Result<Client, KubeNodeError> {
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(read(path)?, &options)
        .await
        .map_err(wrong(path))?;
    config.connect_timeout = Some(CONNECT_MAX);
    if let Some(proxy) = config.proxy_url {
        return Err(KubeNodeError::Proxy(
            proxy.host().unwrap_or_default().to_owned(),
        ));
    }
    connect(config).map_err(api("set up the client of the API server"))
}

fn read(path: &Path) -> Result<Kubeconfig, KubeNodeError> {
    Kubeconfig::read_from(path).map_err(wrong(path))
}

fn wrong(path: &Path) -> impl FnOnce(kube::config::KubeconfigError) -> KubeNodeError {
    move |source| KubeNodeError::Kubeconfig {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

/// The file of the current cluster's authority, and how the current user is shown.
fn current(read: &Kubeconfig) -> Option<(Option<&str>, &AuthInfo)> {
    let current = read.current_context.as_deref()?;
    let context = read.contexts.iter().find(|c| c.name == current)?;
    let context = context.context.as_ref()?;
    let cluster = read.clusters.iter().find(|c| c.name == context.cluster);
    let cluster = cluster.and_then(|c| c.cluster.as_ref());
    let user = context.user.as_deref()?;
    let user = read.auth_infos.iter().find(|u| u.name == user)?;
    Some((
        cluster.and_then(|c| c.certificate_authority.as_deref()),
        user.auth_info.as_ref()?,
    ))
}

/// What is shown as a certificate, as PEM.
fn certificate(shown: &AuthInfo) -> Option<Vec<u8>> {
    match (&shown.client_certificate_data, &shown.client_certificate) {
        (Some(data), _) => STANDARD.decode(data).ok(),
        (None, Some(file)) => fs::read(file).ok(),
        (None, None) => None,
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
