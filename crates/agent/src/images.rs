//! The image store, made from the configuration.

use std::collections::BTreeMap;

use anyhow::Context;
use burstlet_image::registry::{
    MirrorOrder, RegistriesSettings, RegistryClient, RegistryHost, RegistrySettings,
};
use burstlet_image::store::{ImageStore, StoreConfig};
use burstlet_image::unpack::{Unpacker, UnpackerConfig};
use burstlet_image::{Platform, SignaturePolicy};

use crate::config::{self, Config};
use crate::machine;

/// Opens the store, and reports what was wrong with it.
///
/// # Errors
/// The directory cannot be used, or a certificate file cannot be read.
pub(crate) async fn open(config: &Config) -> anyhow::Result<ImageStore> {
    let registries = RegistryClient::new(settings(config)?).context("set up the registries")?;
    let unpacker = UnpackerConfig::new(config.program(&config.unpacker));
    let store = StoreConfig {
        dir: config.state_dir.to_path_buf(),
        registries,
        unpacker: Unpacker::new(unpacker),
        platform: Platform::host(),
        signatures: SignaturePolicy::default(),
    };
    let (store, report) = ImageStore::open(store, machine::now().wall)
        .await
        .context("open the image store")?;
    for event in report.events {
        tracing::warn!(?event, "found in the image store");
    }
    Ok(store)
}

fn settings(config: &Config) -> anyhow::Result<RegistriesSettings> {
    let mut registries = BTreeMap::new();
    for (name, registry) in &config.registries {
        let place = || format!("[registries.\"{name}\"]");
        registries.insert(
            host(name).with_context(place)?,
            one(registry).with_context(place)?,
        );
    }
    Ok(RegistriesSettings {
        registries,
        docker_config: config.images.docker_config.0.clone(),
    })
}

fn one(registry: &config::Registry) -> anyhow::Result<RegistrySettings> {
    let hosts = |names: &[String]| {
        names
            .iter()
            .map(|name| host(name))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(RegistrySettings {
        plain_http: registry.plain_http,
        ca_file: registry.ca_file.0.clone(),
        mirrors: hosts(&registry.mirrors).context("mirrors")?,
        mirror_order: match registry.mirror_order {
            config::MirrorOrder::Listed => MirrorOrder::Listed,
            config::MirrorOrder::Nearest => MirrorOrder::Nearest,
        },
        username: (!registry.username.is_empty()).then(|| registry.username.clone()),
        password_file: registry.password_file.0.clone(),
        token_hosts: hosts(&registry.token_hosts).context("token_hosts")?,
    })
}

fn host(name: &str) -> anyhow::Result<RegistryHost> {
    name.parse()
        .with_context(|| format!("{name:?} is not a registry's host"))
}
