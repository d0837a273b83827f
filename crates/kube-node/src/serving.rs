//! The certificate that the kubelet's port shows: one of our own making until the cluster has
//! granted one, and that one until it is renewed. It is swapped while it is served.
//!
//! ```text
//! kept, good ─────────────► shown ─┐
//!     │none                        │ four fifths of its life
//!     ▼                            ▼
//! self-signed is shown ─► key (kept), request ─► granted ─► kept, shown
//! ```
//!
//! Nobody approves such requests unless the cluster's administrators see to it; an API server that
//! verifies nodes does not talk to ours until then.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use burstlet_model::WallTime;
use burstlet_supervisor::host::Host;
use kube::Client;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::sleep;

use crate::certificate::{Life, read_pair};
use crate::config::NodeFacts;
use crate::csr::{self, Wish};
use crate::error::KubeNodeError;
use crate::run::Shared;

/// Who signs the certificates that nodes show as servers.
const SIGNER: &str = "kubernetes.io/kubelet-serving";
/// How much of its life is over when it is renewed.
const RENEWED_PERCENT: u8 = 80;
/// The pause after a request that failed; doubled up to the second.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(600);
/// The pause after a request that was denied.
const DENIED_PAUSE: Duration = Duration::from_secs(3600);
/// How often it is looked at how old the certificate is: clocks may be set.
const LOOK_PERIOD: Duration = Duration::from_secs(3600);

/// The certificate that is shown now.
#[derive(Debug)]
pub struct ServingCertificate {
    node: String,
    /// Names and addresses that it is for.
    names: Vec<String>,
    /// Where a granted one is kept with its key; the key of a request is beside it.
    file: PathBuf,
    shown: RwLock<Shown>,
}

#[derive(Clone)]
struct Shown {
    key: Arc<CertifiedKey>,
    /// How long a granted one is good; `None` of our own.
    life: Option<Life>,
}

impl ServingCertificate {
    /// The one that is kept in `file`, if it is good for this node; else one of our own.
    ///
    /// # Errors
    /// No certificate can be made.
    pub fn open(file: &Path, node: &NodeFacts, now: WallTime) -> Result<Self, KubeNodeError> {
        let addresses = node.addresses.iter().map(ToString::to_string);
        let names: Vec<String> = addresses.chain([node.host_name.clone()]).collect();
        let kept = fs::read(file).ok().and_then(|pem| read(&pem));
        let kept = kept.filter(|(shown, of)| {
            let good = shown.life.is_some_and(|life| now < life.until);
            good && names.iter().all(|name| of.contains(name))
        });
        let shown = match kept {
            Some((shown, _)) => shown,
            None => self_signed(&node.name, &names)?,
        };
        Ok(Self {
            node: node.name.clone(),
            names,
            file: file.to_owned(),
            shown: RwLock::new(shown),
        })
    }

    fn shown(&self) -> Shown {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        shown.clone()
    }

    /// Asks for one, keeps it and shows it.
    async fn renew(&self, client: Client) -> Result<(), KubeNodeError> {
        let key_file = self.file.with_extension("key");
        let key = csr::kept_key(&key_file)?;
        let wish = Wish {
            node: &self.node,
            signer: SIGNER,
            usage: "server auth",
            names: &self.names,
        };
        let granted = csr::obtain(client, &wish, &key).await;
        if let Err(KubeNodeError::Denied { .. }) = &granted {
            // The next request is to be another.
            let _ = fs::remove_file(&key_file);
        }
        let pem = format!("{}{}", granted?, key.serialize_pem());
        let (shown, _) = read(pem.as_bytes()).ok_or(KubeNodeError::Granted)?;
        csr::write_private(&self.file, pem.as_bytes())?;
        let _ = fs::remove_file(&key_file);
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
        tracing::info!("the kubelet's port shows a certificate of the cluster's");
        Ok(())
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown().key)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// Sees to it that the certificate is one of the cluster's, until the shutdown.
pub(crate) async fn keep<H: Host>(shared: &Shared<H>, certificate: &ServingCertificate) {
    let mut pause = RETRY_MIN;
    loop {
        let left = due_in(certificate.shown().life, shared.now());
        let wait = match left {
            Some(left) => left.min(LOOK_PERIOD),
            None => match certificate.renew(shared.client.clone()).await {
                Ok(()) => {
                    pause = RETRY_MIN;
                    continue;
                }
                Err(error) => {
                    let problem = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error = problem,
                        "no certificate for the kubelet's port; trying again"
                    );
                    let denied = matches!(error, KubeNodeError::Denied { .. });
                    let wait = if denied { DENIED_PAUSE } else { pause };
                    pause = (pause * 2).min(RETRY_MAX);
                    wait
                }
            },
        };
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// How long a certificate of the cluster's is left alone; `None` when it is time to ask.
fn due_in(life: Option<Life>, now: WallTime) -> Option<Duration> {
    let due = life?.at(RENEWED_PERCENT);
    let left = u64::try_from(due.0.saturating_sub(now.0)).ok()?;
    (left > 0).then(|| Duration::from_nanos(left))
}

fn self_signed(node: &str, names: &[String]) -> Result<Shown, KubeNodeError> {
    let key = KeyPair::generate().map_err(KubeNodeError::Request)?;
    let mut params = CertificateParams::new(names).map_err(KubeNodeError::Request)?;
    let name = format!("system:node:{node}");
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).map_err(KubeNodeError::Request)?;
    let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
    let (shown, _) = read(pem.as_bytes()).ok_or(KubeNodeError::Granted)?;
    Ok(Shown {
        life: None,
        ..shown
    })
}

/// A chain of certificates and the key of the first, and whom it is for.
fn read(pem: &[u8]) -> Option<(Shown, BTreeSet<String>)> {
    let (key, certificate) = read_pair(pem)?;
    let shown = Shown {
        key: Arc::new(key),
        life: Some(certificate.life),
    };
    Some((shown, certificate.names))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::node::tests::facts;

    const DAY_NS: i64 = 86_400_000_000_000;

    #[test]
    fn it_is_renewed_at_four_fifths_of_its_life() {
        let life = Some(Life {
            from: WallTime(0),
            until: WallTime(10 * DAY_NS),
        });
        let day = Duration::from_secs(86_400);
        assert_eq!(due_in(None, WallTime(0)), None);
        assert_eq!(due_in(life, WallTime(0)), Some(8 * day));
        assert_eq!(due_in(life, WallTime(7 * DAY_NS)), Some(day));
        assert_eq!(due_in(life, WallTime(8 * DAY_NS)), None);
        assert_eq!(due_in(life, WallTime(20 * DAY_NS)), None);
    }

    /// A kept certificate counts only while it is good, and for the node's own names.
    #[test]
    fn a_kept_one_is_shown_if_it_is_good() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut node = facts();
        node.addresses = vec![IpAddr::from([10, 0, 0, 7])];
        let own = ServingCertificate::open(file.path(), &node, WallTime(0)).unwrap();
        assert_eq!(own.shown().life, None, "an empty file is no certificate");

        let names = vec!["10.0.0.7".to_owned(), node.host_name.clone()];
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
        fs::write(file.path(), pem).unwrap();
        let kept = |node: &NodeFacts, now| {
            let opened = ServingCertificate::open(file.path(), node, now).unwrap();
            opened.shown().life.is_some()
        };
        let now = WallTime(1_700_000_000_000_000_000);
        assert!(kept(&node, now));
        assert!(!kept(&node, WallTime(i64::MAX)), "it has expired");
        node.addresses = vec![IpAddr::from([10, 0, 0, 8])];
        assert!(!kept(&node, now), "it is for another address");
    }
}
