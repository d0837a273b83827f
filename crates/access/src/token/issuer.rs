//! The issuer: asked over HTTPS where its keys are, and for them.

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::{BootTime, ErrorKind};
use jsonwebtoken::jwk::JwkSet;
use reqwest::{Client, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::keyring::{Keyring, Step};

/// How long one question may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Keys of an issuer.
const KEYS_MAX: usize = 64;

/// Why there can be no issuer, or why it has no keys for us.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Its URL is not one.
    #[error("the issuer {0:?} is not an https URL")]
    NotHttps(String),
    /// The authority of its certificate cannot be read.
    #[error("read the certificates of the issuer's authority")]
    Authority(#[source] rustls::pki_types::pem::Error),
    /// TLS cannot be set up.
    #[error("set up TLS for the issuer")]
    Tls(#[source] rustls::Error),
    /// The client cannot be set up, or the issuer does not answer.
    #[error("ask the issuer")]
    Ask(#[source] reqwest::Error),
    /// Its answer is too large.
    #[error("the issuer's answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    /// Its answer is not what it should be.
    #[error("read the issuer's answer")]
    Answer(#[source] serde_json::Error),
    /// It says that it is somebody else.
    #[error("the issuer calls itself {0:?}")]
    SomebodyElse(String),
    /// It has more keys than anybody needs.
    #[error("the issuer has more than {KEYS_MAX} keys")]
    TooManyKeys,
}

impl IssuerError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotHttps(_) | Self::Authority(_) => ErrorKind::Invalid,
            Self::Tls(_) => ErrorKind::Internal,
            _ => ErrorKind::Unavailable,
        }
    }
}

/// The issuer, with the keys that it had last.
#[derive(Clone, Debug)]
pub(super) struct Issuer {
    name: Arc<str>,
    client: Client,
    ring: Arc<Mutex<Keyring>>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    pub(super) fn new(name: String, ca: Option<&str>) -> Result<Self, IssuerError> {
        https(&name)?;
        Ok(Self {
            name: name.into(),
            client: client(ca)?,
            ring: Arc::default(),
        })
    }

    /// Keys among which one of this name is, if the issuer has it; `None` if there are none at all.
    /// Whoever comes while the issuer is asked waits for the same answer.
    pub(super) async fn keys(&self, kid: Option<&str>, now: BootTime) -> Option<Arc<JwkSet>> {
        let mut ring = self.ring.lock().await;
        match ring.next(kid, now) {
            Step::Use(keys) => return Some(keys),
            Step::Without => return None,
            Step::Ask => {}
        }
        let answer = self.ask().await.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, issuer = %self.name, "cannot get the issuer's keys");
        });
        ring.asked(answer.ok(), now);
        match ring.next(kid, now) {
            Step::Use(keys) => Some(keys),
            Step::Ask | Step::Without => None,
        }
    }

    async fn ask(&self) -> Result<JwkSet, IssuerError> {
        let base = self.name.trim_end_matches('/');
        let discovery = format!("{base}/.well-known/openid-configuration");
        let found: Discovery = self.get(https(&discovery)?).await?;
        if found.issuer != *self.name {
            return Err(IssuerError::SomebodyElse(found.issuer));
        }
        let keys: JwkSet = self.get(https(&found.jwks_uri)?).await?;
        match keys.keys.len() > KEYS_MAX {
            true => Err(IssuerError::TooManyKeys),
            false => Ok(keys),
        }
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, IssuerError> {
        let answer = self.client.get(url).send().await;
        let mut answer = answer
            .and_then(reqwest::Response::error_for_status)
            .map_err(IssuerError::Ask)?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(IssuerError::Ask)? {
            if bytes.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(IssuerError::TooLarge);
            }
            bytes.extend_from_slice(&piece);
        }
        serde_json::from_slice(&bytes).map_err(IssuerError::Answer)
    }
}

fn https(text: &str) -> Result<Url, IssuerError> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https");
    url.ok_or_else(|| IssuerError::NotHttps(text.to_owned()))
}

fn client(ca: Option<&str>) -> Result<Client, IssuerError> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => {
            // A machine without certificates trusts nobody.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(IssuerError::Authority)?;
                roots.add(certificate).map_err(IssuerError::Tls)?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(IssuerError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .user_agent(concat!("burstlet/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .timeout(ANSWER_MAX)
        .pool_max_idle_per_host(0)
        .build()
        .map_err(IssuerError::Ask)
}
