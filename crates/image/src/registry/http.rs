//! The HTTP clients: which host may be connected to, under which certificates, how plainly.
//!
//! Names are resolved by us and the address that is checked is the address that is connected to,
//! so a name cannot show one address to the check and another to the connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::address::{AddressRefused, is_public};
use super::error::Problem;
use super::{RegistriesSettings, RegistryHost};

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
pub(super) struct Clients {
    system: Pair,
    by_ca: BTreeMap<PathBuf, Pair>,
}

struct Pair {
    /// Connects to any address: for hosts that the reference or the operator names.
    open: Client,
    /// Connects to public addresses only: for hosts that a registry names.
    public: Client,
}

impl Clients {
    /// Reads the certificates of the system and of the operator.
    pub(super) fn new(settings: &RegistriesSettings) -> Result<Self, Problem> {
        let mut roots = RootCertStore::empty();
        // A machine without certificates can still use plain registries and own authorities.
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        let mut by_ca = BTreeMap::new();
        for path in settings
            .registries
            .values()
            .filter_map(|one| one.ca_file.as_ref())
        {
            by_ca.insert(path.clone(), Pair::new(with_ca_file(roots.clone(), path)?)?);
        }
        Ok(Self {
            system: Pair::new(roots)?,
            by_ca,
        })
    }

    /// The client for a request to `url` on behalf of `registry`.
    pub(super) fn client(
        &self,
        settings: &RegistriesSettings,
        registry: &RegistryHost,
        url: &Url,
        named: Named,
    ) -> Result<&Client, Problem> {
        let own = settings.registries.get(registry);
        let ca_file = own.and_then(|settings| settings.ca_file.as_ref());
        let listed = settings.lists(url);
        let ca_file = listed
            .and_then(|settings| settings.ca_file.as_ref())
            .or(ca_file);
        let pair = ca_file
            .and_then(|path| self.by_ca.get(path))
            .unwrap_or(&self.system);
        if named == Named::ByUser || listed.is_some() {
            return Ok(&pair.open);
        }
        check_literal(url)?;
        Ok(&pair.public)
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

fn with_ca_file(mut roots: RootCertStore, path: &Path) -> Result<RootCertStore, Problem> {
    let bad = |error: Arc<dyn std::error::Error + Send + Sync>| {
        Problem::Local(
            format!("read the certificates of {}", path.display()),
            error,
        )
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| bad(Arc::new(error)))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| bad(Arc::new(error)))?;
        roots
            .add(certificate)
            .map_err(|error| bad(Arc::new(error)))?;
    }
    Ok(roots)
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
