//! Certificates that their authority has taken back before their time, by lists in a file that is read
//! again when it changes.
//!
//! TLS looks at a certificate once, when its owner connects. He may stay connected for long, so here
//! his certificate is looked at for each call, and again for open streams when there are new lists. It
//! must be proved not to be taken back: a list must be there for its authority, signed by it, and not
//! past its time. A file that cannot be read as lists leaves those in force that were read before.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use burstlet_model::{ErrorKind, WallTime};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, RootCertStore};
use tokio::sync::watch;
use tokio::time::Instant;

/// Bytes of the file: hundreds of thousands of certificates.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// How often it is looked at whether the file has changed.
const LOOK_PAUSE: Duration = Duration::from_secs(2);

/// The lists in a file. Cheap to clone.
#[derive(Clone)]
pub struct Revocations(Arc<Inner>);

struct Inner {
    authority: PathBuf,
    file: PathBuf,
    /// The authority's file and that of the lists, as they were read.
    seen: Mutex<[Seen; 2]>,
    lists: RwLock<Arc<dyn ClientCertVerifier>>,
    renewed: watch::Sender<()>,
}

/// What tells one file from another that is put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// A caller's certificate, with those that lead to its authority.
#[derive(Clone)]
pub struct Standing {
    revocations: Revocations,
    chain: Arc<[CertificateDer<'static>]>,
}

/// Why lists cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RevocationsError {
    /// One of the authority's certificates is none.
    #[error("take {file} as certificates of the clients' authority")]
    NotAnAuthority {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// A file cannot be read.
    #[error("read {file}")]
    Read {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not in PEM.
    #[error("read {file} as PEM")]
    NotPem {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// It has no list.
    #[error("{0} has no list of revoked certificates")]
    Empty(PathBuf),
    /// A list is damaged.
    #[error("use the lists of revoked certificates in {file}")]
    NotAList {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: rustls::server::VerifierBuilderError,
    },
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
        match self {
            Self::Read { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Invalid,
        }
    }
}

impl NotStanding {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Unauthenticated
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Revocations").field(&self.0.file).finish()
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Standing")
    }
}

impl Revocations {
    /// The lists in `file` for certificates that lead to those in `authority`, both in PEM. Blocks.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn open(authority: PathBuf, file: PathBuf) -> Result<Self, RevocationsError> {
        let (seen, lists) = read(&authority, &file)?;
        Ok(Self(Arc::new(Inner {
            authority,
            file,
            seen: Mutex::new(seen),
            lists: RwLock::new(lists),
            renewed: watch::channel(()).0,
        })))
    }

    /// A certificate (DER) to be looked at by these lists, those that lead to its authority behind it.
    #[must_use]
    pub fn standing(&self, chain: &[CertificateDer<'static>]) -> Standing {
        Standing {
            revocations: self.clone(),
            chain: chain.into(),
        }
    }

    /// Reads the files again if one is another than was read, and gives whether it was. Blocks.
    ///
    /// # Errors
    /// It cannot be read; what was read before is in force.
    pub fn renew(&self) -> Result<bool, RevocationsError> {
        let inner = &*self.0;
        let mut seen = inner.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = look(&inner.authority).and_then(|one| Ok([one, look(&inner.file)?]));
        if now.is_ok_and(|now| now == *seen) {
            return Ok(false);
        }
        let (now, lists) = read(&inner.authority, &inner.file)?;
        *seen = now;
        *inner.lists.write().unwrap_or_else(PoisonError::into_inner) = lists;
        inner.renewed.send_replace(());
        Ok(true)
    }

    /// Keeps to the file for as long as it is polled.
    pub async fn follow(&self) {
        let mut is_sound = true;
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            let lists = self.clone();
            match tokio::task::spawn_blocking(move || lists.renew()).await {
                Ok(Ok(is_new)) => {
                    is_sound = true;
                    if is_new {
                        let file = self.0.file.display();
                        tracing::info!(%file, "new lists of revoked certificates are in force");
                    }
                }
                // Told once for each time that it begins.
                Ok(Err(error)) if std::mem::replace(&mut is_sound, false) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, source, "the lists of before stay in force");
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
}

impl Standing {
    /// Whether the certificate stands now.
    ///
    /// # Errors
    /// It was taken back, or nobody can tell.
    pub fn check(&self, now: WallTime) -> Result<(), NotStanding> {
        let Some((own, others)) = self.chain.split_first() else {
            return Ok(());
        };
        let lists = &self.revocations.0.lists;
        let lists = Arc::clone(&lists.read().unwrap_or_else(PoisonError::into_inner));
        let since = Duration::from_nanos(now.0.max(0).unsigned_abs());
        let verified = lists.verify_client_cert(own, others, UnixTime::since_unix_epoch(since));
        verified.map(drop).map_err(|error| match error {
            rustls::Error::InvalidCertificate(CertificateError::Revoked) => NotStanding::Revoked,
            rustls::Error::InvalidCertificate(
                CertificateError::ExpiredRevocationList
                | CertificateError::ExpiredRevocationListContext { .. },
            ) => NotStanding::OutOfDate,
            other => NotStanding::Unproved(other),
        })
    }

    /// Comes back when the certificate does not stand by the lists that there are then. `now` is when
    /// this is asked.
    pub async fn ended(&self, now: WallTime) -> NotStanding {
        let asked = Instant::now();
        let mut renewed = self.revocations.0.renewed.subscribe();
        loop {
            let since = i64::try_from(asked.elapsed().as_nanos()).unwrap_or(i64::MAX);
            if let Err(ended) = self.check(WallTime(now.0.saturating_add(since))) {
                return ended;
            }
            // The sender lives as long as the lists do.
            let _ = renewed.changed().await;
        }
    }
}

fn look(file: &Path) -> io::Result<Seen> {
    Ok(seen(&std::fs::metadata(file)?))
}

fn seen(metadata: &std::fs::Metadata) -> Seen {
    Seen {
        inode: metadata.ino(),
        bytes: metadata.len(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// Reads lists for an authority, and what tells both files from others.
fn read(
    authority: &Path,
    file: &Path,
) -> Result<([Seen; 2], Arc<dyn ClientCertVerifier>), RevocationsError> {
    let (of_authority, certificates) = items::<CertificateDer<'static>>(authority)?;
    let mut authorities = RootCertStore::empty();
    for certificate in certificates {
        let added = authorities.add(certificate);
        added.map_err(|source| RevocationsError::NotAnAuthority {
            file: authority.to_owned(),
            source,
        })?;
    }
    let (of_lists, lists) = items::<CertificateRevocationListDer<'static>>(file)?;
    if lists.is_empty() {
        return Err(RevocationsError::Empty(file.to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build();
    let verifier = verifier.map_err(|source| RevocationsError::NotAList {
        file: file.to_owned(),
        source,
    })?;
    Ok(([of_authority, of_lists], verifier))
}

/// What a file in PEM has of one kind, and what tells it from others.
fn items<T: PemObject>(file: &Path) -> Result<(Seen, Vec<T>), RevocationsError> {
    let (seen, pem) = contents(file).map_err(|source| RevocationsError::Read {
        file: file.to_owned(),
        source,
    })?;
    let items: Result<Vec<T>, _> = T::pem_slice_iter(&pem).collect();
    let items = items.map_err(|source| RevocationsError::NotPem {
        file: file.to_owned(),
        source,
    })?;
    Ok((seen, items))
}

fn contents(path: &Path) -> io::Result<(Seen, Vec<u8>)> {
    let file = File::open(path)?;
    let seen = seen(&file.metadata()?);
    if seen.bytes > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok((seen, bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
