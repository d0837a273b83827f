//! The HTTP clients: which host may be connected to, under which certificates, how plainly.
//!
//! Names are resolved by us and the address that is checked is the address that is connected to,
//! so a name cannot show one address to the check and another to the connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::address::{AddressRefused, is_public};
use super::error::Problem;
use super::{RegistriesSettings, RegistryHost, RegistrySettings};

/// How long a connection may take to stand.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Idle connections are closed after this.
const IDLE_MAX: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS_MAX: usize = 8;

/// A name that does not resolve.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub(super) struct DnsError {
    name: String,
    problem: String,
}

/// Clients by what they trust and whom they may reach.
///
/// The system's authorities are many and seldom needed where registries are near, so they are
/// read when the first connection with TLS is made.
pub(super) struct Clients {
    plain: Pair,
    authorities: BTreeMap<PathBuf, Vec<CertificateDer<'static>>>,
    /// By the file of further authorities.
    trusting: Mutex<BTreeMap<Option<PathBuf>, Pair>>,
}

#[derive(Clone)]
struct Pair {
    /// Connects to any address: for hosts that the reference or the operator names.
    open: Client,
    /// Connects to public addresses only: for hosts that a registry names.
    public: Client,
}

impl Clients {
    /// Reads the certificates of the operator.
    pub(super) fn new(settings: &RegistriesSettings) -> Result<Self, Problem> {
        let mut authorities = BTreeMap::new();
        for path in settings
            .registries
            .values()
            .filter_map(|one| one.ca_file.as_ref())
        {
            authorities.insert(path.clone(), read_ca_file(path)?);
        }
        let plain = Pair::new(RootCertStore::empty())?;
        Ok(Self {
            plain,
            authorities,
            trusting: Mutex::default(),
        })
    }

    /// The client for a request to `url` on behalf of `registry`.
    pub(super) fn client(
        &self,
        settings: &RegistriesSettings,
        registry: &RegistryHost,
        url: &Url,
        named: Named,
    ) -> Result<Client, Problem> {
        let own = settings.registries.get(registry);
        let listed = settings.lists(url);
        let pair = if url.scheme() == "http" {
            self.plain.clone()
        } else {
            let of = |settings: &RegistrySettings| settings.ca_file.clone();
            self.trusting(listed.and_then(of).or_else(|| own.and_then(of)))?
        };
        if named == Named::ByUser || listed.is_some() {
            return Ok(pair.open);
        }
        check_literal(url)?;
        Ok(pair.public)
    }

    /// Clients that trust the system's authorities and those of `ca_file`.
    fn trusting(&self, ca_file: Option<PathBuf>) -> Result<Pair, Problem> {
        let mut trusting = self.trusting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pair) = trusting.get(&ca_file) {
            return Ok(pair.clone());
        }
        let mut roots = RootCertStore::empty();
        // A machine without certificates can still use its own authorities.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let further = ca_file.as_ref().and_then(|path| self.authorities.get(path));
        roots.add_parsable_certificates(further.into_iter().flatten().cloned());
        let pair = Pair::new(roots)?;
        trusting.insert(ca_file, pair.clone());
        Ok(pair)
    }
}

/// Who names the host of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// The reference or the operator.
    ByUser,
    /// The registry, by a redirect or a challenge.
    ByRegistry,
}

impl Pair {
    fn new(roots: RootCertStore) -> Result<Self, Problem> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Problem::Local("set up TLS".to_owned(), Arc::new(error)))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            open: build(tls.clone(), false)?,
            public: build(tls, true)?,
        })
    }
}

fn build(tls: ClientConfig, public_only: bool) -> Result<Client, Problem> {
    Client::builder()
        .user_agent(concat!("burstlet/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        .connect_timeout(CONNECT_DEADLINE)
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .dns_resolver(Arc::new(Resolver { public_only }))
        .build()
        .map_err(|error| Problem::Local("set up the HTTP client".to_owned(), Arc::new(error)))
}

fn read_ca_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bad = |error: Arc<dyn std::error::Error + Send + Sync>| {
        Problem::Local(
            format!("read the certificates of {}", path.display()),
            error,
        )
    };
    let read = CertificateDer::pem_file_iter(path).map_err(|error| bad(Arc::new(error)))?;
    let certificates = read
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(Arc::new(error)))?;
    // What cannot be an authority is told now, not at the first pull.
    for certificate in &certificates {
        let added = RootCertStore::empty().add(certificate.clone());
        added.map_err(|error| bad(Arc::new(error)))?;
    }
    Ok(certificates)
}

/// An address written in the URL never reaches the resolver.
fn check_literal(url: &Url) -> Result<(), Problem> {
    let host = url.host_str().unwrap_or_default();
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) if !is_public(address) => Err(Problem::Address(AddressRefused {
            host: host.to_owned(),
            address,
        })),
        _ => Ok(()),
    }
}

struct Resolver {
    public_only: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let public_only = self.public_only;
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> = found
                .map_err(|error| DnsError {
                    name: name.clone(),
                    problem: error.to_string(),
                })?
                .collect();
            check(name, found, public_only)
        })
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Leaves the addresses that may be connected to.
fn check(name: String, found: Vec<SocketAddr>, public_only: bool) -> Result<Addrs, BoxError> {
    let allowed = |address: &SocketAddr| !public_only || is_public(address.ip());
    let (kept, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(allowed);
    match (kept.is_empty(), refused.first()) {
        (false, _) => Ok(Box::new(kept.into_iter())),
        (true, Some(address)) => Err(AddressRefused {
            host: name,
            address: address.ip(),
        }
        .into()),
        (true, None) => Err(DnsError {
            name,
            problem: "it has no address".to_owned(),
        }
        .into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_reached_is_left() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts
                .iter()
                .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
                .collect()
        };
        let mixed = addresses(&["10.0.0.1", "8.8.8.8", "127.0.0.1"]);
        let kept: Vec<_> = check("x".into(), mixed.clone(), true).unwrap().collect();
        assert_eq!(kept, addresses(&["8.8.8.8"]));
        assert_eq!(check("x".into(), mixed, false).unwrap().count(), 3);
        let refused = check("x".into(), addresses(&["127.0.0.1"]), true)
            .err()
            .unwrap();
        assert!(refused.downcast_ref::<AddressRefused>().is_some());
        let none = check("x".into(), Vec::new(), false).err().unwrap();
        assert!(none.downcast_ref::<DnsError>().is_some());
    }
}
