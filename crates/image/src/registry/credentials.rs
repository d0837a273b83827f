//! Whose word opens a registry: the request's own, the registry's configuration, or docker's
//! `config.json`, in this order.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use burstlet_model::{Digest, Secret};

use super::docker_config::DockerConfig;
use super::error::Problem;
use super::{RegistriesSettings, RegistryHost};
use crate::digest_of;

const PASSWORD_BYTES_MAX: u64 = 64 << 10;

/// Proof of who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The account's name.
        username: String,
        /// Its password.
        password: Secret<String>,
    },
    /// A refresh token, exchanged at the token server.
    IdentityToken(Secret<String>),
    /// A token that is shown to the registry as it is.
    RegistryToken(Secret<String>),
}

impl Credentials {
    /// Stands for the credentials where they themselves should not be kept.
    pub(crate) fn fingerprint(&self) -> Digest {
        let (kind, name, secret) = match self {
            Self::Basic { username, password } => ("basic", username.as_str(), password),
            Self::IdentityToken(token) => ("identity", "", token),
            Self::RegistryToken(token) => ("registry", "", token),
        };
        let parts = [kind, name, secret.expose()];
        let text: String = parts.map(|part| format!("{}:{part}", part.len())).concat();
        digest_of(text.as_bytes())
    }
}

/// Credentials and the registry that they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryCredentials {
    /// They are shown to this registry and its token server only.
    pub registry: RegistryHost,
    /// The proof.
    pub credentials: Credentials,
}

/// Credentials and where they came from.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) credentials: Credentials,
    /// They came with the request, so what they open is open to its namespace only.
    pub(super) of_request: bool,
}

/// Finds the credentials for `host`. The node's own are what the operator gave to every tenant.
pub(super) async fn find(
    host: &RegistryHost,
    of_request: &[RegistryCredentials],
    settings: &RegistriesSettings,
) -> Result<Option<Found>, Problem> {
    if let Some(given) = of_request.iter().find(|given| given.registry == *host) {
        let credentials = given.credentials.clone();
        return Ok(Some(Found {
            credentials,
            of_request: true,
        }));
    }
    let of_node = match configured(host, settings)? {
        Some(credentials) => Some(credentials),
        None => match &settings.docker_config {
            Some(path) => DockerConfig::load(path)?.credentials(host).await?,
            None => None,
        },
    };
    Ok(of_node.map(|credentials| Found {
        credentials,
        of_request: false,
    }))
}

fn configured(
    host: &RegistryHost,
    settings: &RegistriesSettings,
) -> Result<Option<Credentials>, Problem> {
    let Some(settings) = settings.registries.get(host) else {
        return Ok(None);
    };
    let (Some(username), Some(path)) = (&settings.username, &settings.password_file) else {
        return Ok(None);
    };
    let password = read_bounded(path, PASSWORD_BYTES_MAX).map_err(|error| {
        Problem::Local(
            format!("read the password file {}", path.display()),
            Arc::new(error),
        )
    })?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    Ok(Some(Credentials::Basic {
        username: username.clone(),
        password: Secret::new(password),
    }))
}

/// Reads a text file that an operator wrote.
pub(super) fn read_bounded(path: &Path, max: u64) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > max {
        let problem = format!("longer than {max} bytes");
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            problem,
        ));
    }
    Ok(text)
}
