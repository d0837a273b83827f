//! The image store, made from the configuration.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use burstlet_image::registry::{
    MirrorOrder, RegistriesSettings, RegistryClient, RegistryHost, RegistrySettings,
};
use burstlet_image::store::{ImageStore, StoreConfig};
use burstlet_image::unpack::{Unpacker, UnpackerConfig};
use burstlet_image::{Platform, PublicKey, SignaturePolicy};

use crate::config::{self, Config};
use crate::machine;

/// Opens the store, and reports what was wrong with it.
///
/// # Errors
/// The directory cannot be used, or the file of a certificate or a key cannot be read.
pub(crate) async fn open(config: &Config) -> anyhow::Result<ImageStore> {
    let registries = RegistryClient::new(settings(config)?).context("set up the registries")?;
    let unpacker = UnpackerConfig::new(config.program(&config.unpacker));
    let store = StoreConfig {
        dir: config.state_dir.to_path_buf(),
        registries,
        unpacker: Unpacker::new(unpacker),
        platform: Platform::host(),
        signatures: signatures(config)?,
    };
    let (store, report) = ImageStore::open(store, machine::now().wall)
        .await
        .context("open the image store")?;
    for event in report.events {
        tracing::warn!(?event, "found in the image store");
    }
    Ok(store)
}

fn signatures(config: &Config) -> anyhow::Result<SignaturePolicy> {
    let mut policy = SignaturePolicy::default();
    for (scope, files) in &config.images.signatures {
        let place = || format!("[images.signatures] \"{scope}\"");
        let keys: anyhow::Result<Vec<_>> = files.iter().map(|file| key(file)).collect();
        policy
            .insert(scope, keys.with_context(place)?)
            .with_context(place)?;
    }
    if config.images.nameless_signatures {
        policy.take_nameless();
    }
    Ok(policy)
}

fn key(file: &Path) -> anyhow::Result<PublicKey> {
    let place = || format!("take the key in {}", file.display());
    let pem = std::fs::read(file).with_context(place)?;
    PublicKey::from_pem(&pem).with_context(place)
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn keys_are_read_from_the_files_that_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let [key, other] = ["key.pem", "other.pem"].map(|name| dir.path().join(name));
        std::fs::write(&key, KEY).unwrap();
        std::fs::write(&other, "no key").unwrap();
        let missing = dir.path().join("missing.pem");
        let read = |scope: &str, file: &Path| {
            let text = format!(
                "[images.signatures]\n\"{scope}\" = [\"{}\"]",
                file.display()
            );
            let config: Config = toml::from_str(&text).unwrap();
            signatures(&config).map_err(|error| format!("{error:#}"))
        };
        let policy = read("registry.example/team", &key).unwrap();
        assert_ne!(policy, SignaturePolicy::default());
        let nameless = toml::from_str("[images]\nnameless_signatures = true").unwrap();
        assert_ne!(signatures(&nameless).unwrap(), SignaturePolicy::default());
        for (scope, file, expected) in [
            ("registry.example", &missing, "missing.pem: No such file"),
            ("registry.example", &other, "it has 0 public keys"),
            (
                "registry.example/A",
                &key,
                "not what names of images begin with",
            ),
        ] {
            let told = read(scope, file).unwrap_err();
            assert!(told.contains(expected), "{told}");
            assert!(
                told.contains(&format!("[images.signatures] \"{scope}\"")),
                "{told}"
            );
        }
        assert_eq!(
            signatures(&Config::default()).unwrap(),
            SignaturePolicy::default()
        );
    }
}
