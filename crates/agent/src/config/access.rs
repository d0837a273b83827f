//! The sections of who may do what, and how much. Their keys are written about in
//! `runtime-config/burstlet.toml`.

use std::collections::BTreeMap;

use burstlet_access::{Role, TrustDomain};
use burstlet_model::{Bytes, MilliCpu, Namespace};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::value::{self, OptionalPath};

/// Bytes that a file of the audit trail may at least have.
const AUDIT_BYTES_MIN: u64 = 64 << 10;
/// Files that the audit trail must at least have, so that turning to the next loses nothing new.
const AUDIT_FILES_MIN: u8 = 2;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Access {
    #[serde(deserialize_with = "trust_domain")]
    pub(crate) trust_domain: TrustDomain,
    #[serde(deserialize_with = "value::bytes")]
    pub(crate) audit_bytes_max: Bytes,
    pub(crate) audit_files_max: u8,
    pub(crate) oidc: Oidc,
}

/// Whose tokens are taken; nobody's without an issuer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Oidc {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) ca_file: OptionalPath,
    pub(crate) rules: Vec<Rule>,
}

/// What a claim means.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) claim: String,
    pub(crate) value: String,
    #[serde(deserialize_with = "role")]
    pub(crate) role: Role,
    #[serde(default, deserialize_with = "some_namespace")]
    pub(crate) namespace: Option<Namespace>,
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: "burstlet".to_owned(),
            ca_file: OptionalPath(None),
            rules: Vec::new(),
        }
    }
}

impl Oidc {
    pub(crate) const fn takes_tokens(&self) -> bool {
        !self.issuer.is_empty()
    }

    fn check(&self) -> Result<(), String> {
        if !self.takes_tokens() {
            return Ok(());
        }
        if !self.issuer.starts_with("https://") {
            return Err("[access.oidc] issuer must be an https URL".to_owned());
        }
        if self.audience.is_empty() {
            return Err("[access.oidc] audience must not be empty".to_owned());
        }
        if self.rules.is_empty() {
            return Err("[access.oidc] has no rules: nobody would have a role".to_owned());
        }
        Ok(())
    }
}

impl Default for Access {
    fn default() -> Self {
        Self {
            trust_domain: TrustDomain::default(),
            audit_bytes_max: Bytes(16 << 20),
            audit_files_max: 8,
            oidc: Oidc::default(),
        }
    }
}

impl Access {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.audit_bytes_max.0 < AUDIT_BYTES_MIN {
            return Err(format!(
                "[access] audit_bytes_max must be at least {}",
                Bytes(AUDIT_BYTES_MIN)
            ));
        }
        if self.audit_files_max < AUDIT_FILES_MIN {
            return Err(format!(
                "[access] audit_files_max must be at least {AUDIT_FILES_MIN}"
            ));
        }
        self.oidc.check()
    }
}

/// The sections `[quotas."…"]`.
pub(crate) type Quotas = BTreeMap<Whose, Quota>;

/// Whose quota a section is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    /// `*`: of each namespace that has no section of its own.
    Others,
    /// Of this namespace.
    Namespace(Namespace),
}

/// What a namespace may have; without a bound where none is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Quota {
    pub(crate) groups: Option<u32>,
    #[serde(deserialize_with = "some_cpu")]
    pub(crate) cpu: Option<MilliCpu>,
    #[serde(deserialize_with = "some_bytes")]
    pub(crate) memory: Option<Bytes>,
    pub(crate) streams: Option<u32>,
    pub(crate) pulls_per_minute: Option<u32>,
}

impl<'de> Deserialize<'de> for Whose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "*" => Ok(Self::Others),
            name => Namespace::new(name)
                .map(Self::Namespace)
                .map_err(|error| D::Error::custom(format!("{name:?} is no namespace: {error}"))),
        }
    }
}

fn trust_domain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TrustDomain, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

fn some_namespace<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Namespace>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Namespace::new(text).map(Some).map_err(D::Error::custom)
}

fn some_cpu<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MilliCpu>, D::Error> {
    value::cpu(deserializer).map(Some)
}

fn some_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    value::bytes(deserializer).map(Some)
}
