//! Images for groups: from the store, or from a registry into it.

use burstlet_image::registry::{Credentials, RegistryCredentials, RegistryHost};
use burstlet_image::store::{self, StoreError};
use burstlet_model::ErrorKind;
use burstlet_model::spec::RegistryCredential;
use burstlet_model::status::ImagePull;
use burstlet_supervisor::host::{HostError, PullRequest, Pulled};

use super::RealHost;
use super::failure::chain;
use crate::machine;

impl RealHost {
    pub(super) async fn pull_image(&self, request: PullRequest<'_>) -> Result<Pulled, HostError> {
        let begun = machine::now();
        let credentials = request
            .credentials
            .iter()
            .map(credentials)
            .collect::<Result<_, _>>()?;
        let wish = store::PullRequest {
            reference: request.image.clone(),
            policy: request.policy,
            credentials,
            namespace: request.namespace.clone(),
            lease: Some(request.uid.clone()),
            progress: None,
            now: begun.wall,
        };
        let pulled = self
            .images
            .pull(wish)
            .await
            .map_err(|error| refused(&error))?;
        self.group(request.uid)
            .has_pulled(request.image.clone(), pulled.image.manifest_digest.clone());
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Pulled {
            manifest: pulled.image.manifest_digest.clone(),
            took: ImagePull {
                image: request.image.to_string(),
                bytes: pulled.stats.received_bytes,
                layers_cached: count(pulled.stats.layers_present),
                layers: count(pulled.image.layers.len()),
                duration: machine::now().since(begun),
                unpack: pulled.stats.unpacking,
            },
        })
    }
}

/// A credential as the image store takes it.
///
/// # Errors
/// It is for something that is no registry: without this word the pull would go out without it.
pub(crate) fn credentials(given: &RegistryCredential) -> Result<RegistryCredentials, HostError> {
    let registry: Result<RegistryHost, _> = given.registry.parse();
    let registry = registry.map_err(|error| {
        HostError::new(ErrorKind::Invalid, "InvalidRegistry", error.to_string())
    })?;
    let (username, password) = (given.username.clone(), given.password.clone());
    Ok(RegistryCredentials {
        registry,
        credentials: Credentials::Basic { username, password },
    })
}

fn refused(error: &StoreError) -> HostError {
    let reason = match error {
        StoreError::NotPresent(_) => "ErrImageNeverPull",
        StoreError::Signature(_) => "SignatureValidationFailed",
        _ => "ErrImagePull",
    };
    let kind = match error {
        StoreError::NotPresent(_) => ErrorKind::FailedPrecondition,
        _ => error.kind(),
    };
    HostError::new(kind, reason, chain(error))
}
