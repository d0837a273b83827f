//! Certificates that their authority has taken back before their time, by lists that are renewed.
//!
//! TLS looks at a certificate once, when its owner connects. He may stay connected for long, so here
//! his certificate is looked at for each call, and for open streams again and again. It must be proved
//! not to be taken back: a list must be there for its authority, signed by it, and not past its time.
//! Whoever owns the lists puts new ones in their place.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::{ErrorKind, WallTime};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, RootCertStore};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How often the certificate of somebody with an open stream is looked at though there are no new
/// lists: those that there are may have come to their end.
const LOOK_PERIOD: Duration = Duration::from_secs(15);

/// Lists of revoked certificates, and the authorities whose they are. Cheap to clone.
#[derive(Clone)]
pub struct Lists(Arc<dyn ClientCertVerifier>);

/// The lists that are in force. Cheap to clone.
#[derive(Clone)]
pub struct Revocations(watch::Receiver<Lists>);

/// A caller's certificate, with those that lead to its authority.
#[derive(Clone)]
pub struct Standing {
    revocations: Revocations,
    chain: Arc<[CertificateDer<'static>]>,
}

/// Why lists cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RevocationsError {
    /// One of the authority's certificates is none.
    #[error("take the certificates of the clients' authority")]
    NotAnAuthority(#[source] rustls::Error),
    /// It is not in PEM.
    #[error("read as PEM")]
    NotPem(#[source] rustls::pki_types::pem::Error),
    /// There is no list.
    #[error("there is no list of revoked certificates")]
    Empty,
    /// A list is damaged.
    #[error("use the lists of revoked certificates")]
    NotAList(#[source] rustls::server::VerifierBuilderError),
}

/// Why a certificate does not stand.
#[derive(Debug, thiserror::Error)]
pub enum NotStanding {
    /// It was taken back.
    #[error("the certificate has been revoked")]
    Revoked,
    /// Nobody can tell, for the list is past its time.
    #[error("the list of revoked certificates is out of date")]
    OutOfDate,
    /// It cannot be proved that it stands.
    #[error("the certificate cannot be shown to be valid")]
    Unproved(#[source] rustls::Error),
}

impl RevocationsError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl NotStanding {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Unauthenticated
    }
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lists")
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revocations")
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Standing")
    }
}

impl Lists {
    /// From PEM: lists for certificates that lead to those of `authority`.
    ///
    /// # Errors
    /// Either is not what it should be, or there is no list.
    pub fn parse(authority: &[u8], lists: &[u8]) -> Result<Self, RevocationsError> {
        let mut authorities = RootCertStore::empty();
        for certificate in items::<CertificateDer<'static>>(authority)? {
            let added = authorities.add(certificate);
            added.map_err(RevocationsError::NotAnAuthority)?;
        }
        let lists = items::<CertificateRevocationListDer<'static>>(lists)?;
        if lists.is_empty() {
            return Err(RevocationsError::Empty);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
            .with_crls(lists)
            .enforce_revocation_expiration()
            .build();
        Ok(Self(verifier.map_err(RevocationsError::NotAList)?))
    }

    fn check(&self, chain: &[CertificateDer<'static>], now: WallTime) -> Result<(), NotStanding> {
        let Some((own, others)) = chain.split_first() else {
            return Ok(());
        };
        let since = Duration::from_nanos(now.0.max(0).unsigned_abs());
        let now = UnixTime::since_unix_epoch(since);
        let verified = self.0.verify_client_cert(own, others, now);
        verified.map(drop).map_err(|error| match error {
            rustls::Error::InvalidCertificate(CertificateError::Revoked) => NotStanding::Revoked,
            rustls::Error::InvalidCertificate(
                CertificateError::ExpiredRevocationList
                | CertificateError::ExpiredRevocationListContext { .. },
            ) => NotStanding::OutOfDate,
            other => NotStanding::Unproved(other),
        })
    }
}

impl Revocations {
    /// By those lists that are the latest.
    #[must_use]
    pub const fn new(lists: watch::Receiver<Lists>) -> Self {
        Self(lists)
    }

    /// A certificate (DER) to be looked at by these lists, those that lead to its authority behind it.
    #[must_use]
    pub fn standing(&self, chain: &[CertificateDer<'static>]) -> Standing {
        Standing {
            revocations: self.clone(),
            chain: chain.into(),
        }
    }
}

impl Standing {
    /// Whether the certificate stands now.
    ///
    /// # Errors
    /// It was taken back, or nobody can tell.
    pub fn check(&self, now: WallTime) -> Result<(), NotStanding> {
        let lists = self.revocations.0.borrow().clone();
        lists.check(&self.chain, now)
    }

    /// Comes back when the certificate does not stand by the lists that there are then. `now` is when
    /// this is asked.
    pub async fn ended(&self, now: WallTime) -> NotStanding {
        let asked = Instant::now();
        let mut latest = self.revocations.0.clone();
        loop {
            let since = i64::try_from(asked.elapsed().as_nanos()).unwrap_or(i64::MAX);
            let lists = latest.borrow_and_update().clone();
            if let Err(ended) = lists.check(&self.chain, WallTime(now.0.saturating_add(since))) {
                return ended;
            }
            tokio::select! {
                // Nobody renews the lists any more once the agent ends; then there is the other.
                Ok(()) = latest.changed() => {}
                () = sleep(LOOK_PERIOD) => {}
            }
        }
    }
}

/// What a text in PEM has of one kind.
fn items<T: PemObject>(pem: &[u8]) -> Result<Vec<T>, RevocationsError> {
    let items: Result<Vec<T>, _> = T::pem_slice_iter(pem).collect();
    items.map_err(RevocationsError::NotPem)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
