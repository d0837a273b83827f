//! TLS, and who a client's certificate says that it is.
//!
//! A kubelet takes any certificate in the handshake and looks later whom it names: a client whose
//! certificate is of another authority may still have a token. So the handshake only proves that
//! the client has the certificate's key; [`ClientCa::identity`] judges the certificate.

use std::sync::{Arc, PoisonError, RwLock};

use burstlet_model::ErrorKind;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::access::Identity;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate of an authority cannot be read.
    #[error("read a certificate of the authority of clients")]
    Authority(#[source] Error),
    /// The authorities' certificates cannot be used.
    #[error("use the certificates of the authority of clients")]
    Verifier(#[source] VerifierBuilderError),
    /// The library does not offer what we ask for.
    #[error("set up TLS for the kubelet's port")]
    Protocol(#[source] Error),
}

impl TlsError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Authority(_) | Self::Verifier(_) => ErrorKind::Invalid,
            Self::Protocol(_) => ErrorKind::Internal,
        }
    }
}

/// The authorities whose certificates name clients. They can be replaced while it is served.
#[derive(Clone, Debug, Default)]
pub struct ClientCa(Arc<RwLock<Option<Arc<dyn ClientCertVerifier>>>>);

/// TLS for [`serve`](crate::serve()), with the certificate that `certificate` has at the time.
///
/// # Errors
/// The library does not offer what we ask for.
pub fn tls_config(certificate: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Protocol)?
        .with_client_cert_verifier(Arc::new(KeyOnly(provider)))
        .with_cert_resolver(certificate);
    // An upgrade needs HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl ClientCa {
    /// Nobody is known by a certificate until there are authorities.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes these authorities from now on; none for nobody.
    ///
    /// # Errors
    /// One of them cannot be used; those before stay.
    pub fn replace(&self, authorities: &[CertificateDer<'_>]) -> Result<(), TlsError> {
        let verifier = match authorities {
            [] => None,
            some => Some(verifier(some)?),
        };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = verifier;
        Ok(())
    }

    /// Who a client is, by the certificates that it showed.
    pub(crate) fn identity(&self, chain: &[CertificateDer<'_>]) -> Option<Identity> {
        let (own, intermediates) = chain.split_first()?;
        let verifier = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()?;
        let verified = verifier.verify_client_cert(own, intermediates, UnixTime::now());
        if let Err(error) = verified {
            tracing::debug!(%error, "a client's certificate is not taken");
            return None;
        }
        subject(own)
    }
}

fn verifier(authorities: &[CertificateDer<'_>]) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        let authority = authority.clone().into_owned();
        roots.add(authority).map_err(TlsError::Authority)?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(TlsError::Verifier)
}

/// The user is the common name, the groups are the organisations.
fn subject(certificate: &CertificateDer<'_>) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let user = subject.iter_common_name().last()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().map(|group| group.as_str());
    let groups: Result<Vec<&str>, _> = groups.collect();
    let groups = groups.ok()?.into_iter().map(str::to_owned).collect();
    (!user.is_empty()).then(|| Identity {
        user,
        groups,
        ..Identity::default()
    })
}

/// Takes every certificate whose key the client has, and none at all.
#[derive(Debug)]
struct KeyOnly(Arc<CryptoProvider>);

impl ClientCertVerifier for KeyOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
