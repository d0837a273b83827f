use std::collections::BTreeMap;
use std::path::PathBuf;

use super::RegistryHost;

/// What the operator says about registries.
#[derive(Clone, Debug, Default)]
pub struct RegistriesSettings {
    /// By host. Being listed here also allows the host to be at a private address.
    pub registries: BTreeMap<RegistryHost, RegistrySettings>,
    /// Docker's `config.json` with the node's credentials and credential helpers.
    pub docker_config: Option<PathBuf>,
}

/// What the operator says about one registry.
#[derive(Clone, Debug, Default)]
pub struct RegistrySettings {
    /// Speak HTTP without TLS.
    pub plain_http: bool,
    /// Certificates in PEM that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Hosts that serve the same repositories; each may have settings of its own.
    pub mirrors: Vec<RegistryHost>,
    /// In which order the mirrors are tried.
    pub mirror_order: MirrorOrder,
    /// Who we are, with [`Self::password_file`].
    pub username: Option<String>,
    /// Read at each use, so that it can be replaced.
    pub password_file: Option<PathBuf>,
    /// Further hosts that may ask for this registry's credentials.
    pub token_hosts: Vec<RegistryHost>,
}

/// In which order mirrors are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MirrorOrder {
    /// As listed.
    #[default]
    Listed,
    /// The one that answers fastest first.
    Nearest,
}

impl RegistriesSettings {
    /// Whether the operator lists the host and port of `url`.
    pub(super) fn lists(&self, url: &reqwest::Url) -> Option<&RegistrySettings> {
        let mut at = self.registries.iter().filter(|(host, _)| host.is_at(url));
        at.next().map(|(_, settings)| settings)
    }

    /// Whether HTTP without TLS is allowed for `url`.
    pub(super) fn allows_plain(&self, url: &reqwest::Url) -> bool {
        self.lists(url).is_some_and(|settings| settings.plain_http)
    }
}
