//! How the admin port is guarded: a certificate of its own, a token for what it tells of groups.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

/// Characters of a token, at least: what can be guessed is none.
pub const TOKEN_CHARACTERS_MIN: usize = 16;

/// Why the port cannot be guarded so.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A file is not PEM.
    #[error("read the admin port's {what}")]
    Pem {
        /// Of what.
        what: &'static str,
        /// What is wrong.
        source: pem::Error,
    },
    /// There is no certificate in it.
    #[error("read the admin port's certificate: there is none in its file")]
    NoCertificate,
    /// Certificate and key do not serve.
    #[error("use the admin port's certificate and key")]
    Tls(#[source] rustls::Error),
    /// The token can be guessed, or cannot be sent.
    #[error(
        "use the admin port's token: it must be one line of at least {TOKEN_CHARACTERS_MIN} visible ASCII characters"
    )]
    Token,
}

/// Who is let in, and how what is told travels. By default everybody, in the clear.
#[derive(Clone, Default)]
pub struct Guard {
    tls: Option<Arc<ServerConfig>>,
    /// The token's hash: whoever measures how long a comparison takes learns nothing of it.
    token: Option<[u8; 32]>,
}

impl Guard {
    /// The port is served with TLS, by this chain and key in PEM.
    ///
    /// # Errors
    /// They are no certificate and key, or do not fit each other.
    pub fn with_tls(self, chain: &[u8], key: &[u8]) -> Result<Self, GuardError> {
        let failed = |what| move |source| GuardError::Pem { what, source };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(failed("certificate"))?;
        if chain.is_empty() {
            return Err(GuardError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(failed("key"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(GuardError::Tls)?
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let mut config = config.map_err(GuardError::Tls)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: Some(Arc::new(config)),
            ..self
        })
    }

    /// Metrics are told only to who has this token.
    ///
    /// # Errors
    /// It is too short, or no token at all.
    pub fn with_token(self, token: &str) -> Result<Self, GuardError> {
        let is_visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.len() < TOKEN_CHARACTERS_MIN || !is_visible {
            return Err(GuardError::Token);
        }
        Ok(Self {
            token: Some(Sha256::digest(token).into()),
            ..self
        })
    }

    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = self.token else {
            return true;
        };
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok()?.split_once(' '));
        given.is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case("bearer") && *Sha256::digest(given.trim()) == token
        })
    }

    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls.clone().map(TlsAcceptor::from)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("tls", &self.tls.is_some())
            .field("token", &self.token.is_some())
            .finish()
    }
}
