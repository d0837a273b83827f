//! Who comes in and how much they may have, made from the configuration.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use burstlet_access::{Lists, Revocations, TokenRule, TokenSettings, Tokens, Trail, TrailConfig};
use burstlet_api_server::{Gate, Rates, RatesByNamespace};
use burstlet_model::Namespace;
use burstlet_supervisor::{Quota, Quotas};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Oidc, Whose};
use crate::reload::{Contents, Reloaded};

/// The directory of the audit trail, below the state directory.
pub(crate) const AUDIT: &str = "audit";

/// Where the audit trail is.
pub(crate) fn trail(config: &Config) -> TrailConfig {
    TrailConfig {
        dir: config.state_dir.join(AUDIT),
        bytes_max: config.access.audit_bytes_max.0,
        files_max: config.access.audit_files_max,
    }
}

/// Who comes in, with the trail of what they do, and the lists of revoked certificates, which are to be
/// followed.
///
/// # Errors
/// A file that is named cannot be read, or the issuer is none.
pub(crate) fn gate(
    config: &Config,
    trail: Trail,
) -> anyhow::Result<(Gate, Option<Reloaded<Lists>>)> {
    let given = &config.access;
    let lists = lists(&config.api)?;
    let gate = Gate {
        trust_domain: given.trust_domain.clone(),
        revocations: lists.as_ref().map(|lists| Revocations::new(lists.value())),
        tokens: tokens(&given.oidc)?,
        trail,
    };
    Ok((gate, lists))
}

fn lists(given: &config::Api) -> anyhow::Result<Option<Reloaded<Lists>>> {
    let files = (
        given.client_ca_file.0.clone(),
        given.client_crl_file.0.clone(),
    );
    let (Some(authority), Some(lists)) = files else {
        return Ok(None);
    };
    let paths = vec![authority.clone(), lists.clone()];
    let make = move |files: &Contents| Ok(Lists::parse(files.of(&authority), files.of(&lists))?);
    let opened = Reloaded::open("the list of revoked certificates", paths, make);
    opened.context("[api] client_crl_file").map(Some)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

fn tokens(given: &Oidc) -> anyhow::Result<Option<Tokens>> {
    if !given.takes_tokens() {
        return Ok(None);
    }
    let rule = |rule: &config::Rule| TokenRule {
        claim: rule.claim.clone(),
        value: rule.value.clone(),
        role: rule.role,
        namespace: rule.namespace.clone(),
    };
    let settings = TokenSettings {
        issuer: given.issuer.clone(),
        audience: given.audience.clone(),
        ca: given.ca_file.0.as_deref().map(read).transpose()?,
        rules: given.rules.iter().map(rule).collect(),
    };
    let tokens = Tokens::new(settings).context("[access.oidc]")?;
    Ok(Some(tokens))
}

/// Keeps to the lists of revoked certificates, if there are any, until the shutdown.
pub(crate) async fn follow(lists: Option<Reloaded<Lists>>, shutdown: CancellationToken) {
    if let Some(lists) = lists {
        lists.follow(shutdown).await;
    }
}

/// What each namespace may have of the machine.
pub(crate) fn quotas(config: &Config) -> Quotas {
    let (named, others) = split(config, |quota| Quota {
        groups: quota.groups,
        cpu: quota.cpu,
        memory: quota.memory,
    });
    Quotas { named, others }
}

/// What each namespace may take of the API.
pub(crate) fn rates(config: &Config) -> RatesByNamespace {
    let (named, others) = split(config, |quota| Rates {
        streams: quota.streams,
        pulls_per_minute: quota.pulls_per_minute,
    });
    RatesByNamespace { named, others }
}

fn split<T: Default>(
    config: &Config,
    part: impl Fn(&config::Quota) -> T,
) -> (BTreeMap<Namespace, T>, T) {
    let mut named = BTreeMap::new();
    let mut others = T::default();
    for (whose, quota) in &config.quotas {
        match whose {
            Whose::Others => others = part(quota),
            Whose::Namespace(namespace) => {
                named.insert(namespace.clone(), part(quota));
            }
        }
    }
    (named, others)
}
