//! The sections of the configuration. What each key means, with units and defaults, is written in
//! `runtime-config/burstlet.toml`, which a test holds against these types.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use burstlet_metering::view::TAG_LABELS_MAX;
use burstlet_model::{Bytes, MilliCpu};
use ipnet::Ipv4Net;
use serde::Deserialize;

use super::budget::{BUDGET_DAYS, BUDGETS_MAX, Budget};
use super::value::{self, AbsolutePath, InterfaceName, Listen, OptionalPath};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".to_owned(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Api {
    pub(crate) listen: Listen,
    pub(crate) cert_file: OptionalPath,
    pub(crate) key_file: OptionalPath,
    pub(crate) client_ca_file: OptionalPath,
    pub(crate) client_crl_file: OptionalPath,
}

/// A TCP listener with what TLS takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerTls {
    pub(crate) listen: SocketAddr,
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
    pub(crate) client_ca_file: Option<PathBuf>,
}

impl Api {
    /// The TCP listener, if there is one. Who has a token needs no certificate.
    pub(super) fn tls(&self, takes_tokens: bool) -> Result<Option<ServerTls>, String> {
        let Some(listen) = self.listen.0 else {
            return Ok(None);
        };
        let (Some(cert), Some(key)) = (&self.cert_file.0, &self.key_file.0) else {
            let problem = "[api] listen needs cert_file and key_file: TCP is served with TLS only";
            return Err(problem.to_owned());
        };
        if self.client_ca_file.0.is_none() && !takes_tokens {
            let problem = "[api] listen needs client_ca_file, or [access.oidc]: whoever comes in \
                           by TCP must show who he is";
            return Err(problem.to_owned());
        }
        if self.client_crl_file.0.is_some() && self.client_ca_file.0.is_none() {
            let problem = "[api] client_crl_file needs client_ca_file, whose certificates it lists";
            return Err(problem.to_owned());
        }
        Ok(Some(ServerTls {
            listen,
            cert_file: cert.clone(),
            key_file: key.clone(),
            client_ca_file: self.client_ca_file.0.clone(),
        }))
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    pub(crate) listen: Listen,
    pub(crate) cert_file: OptionalPath,
    pub(crate) key_file: OptionalPath,
    pub(crate) token_file: OptionalPath,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Listen(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 7410)))),
            cert_file: OptionalPath::default(),
            key_file: OptionalPath::default(),
            token_file: OptionalPath::default(),
        }
    }
}

impl Admin {
    /// Checks what no single value can know.
    pub(super) fn check(&self) -> Result<(), String> {
        let (has_cert, has_key) = (self.cert_file.0.is_some(), self.key_file.0.is_some());
        if has_cert != has_key {
            return Err("[admin] cert_file and key_file belong together".to_owned());
        }
        let is_guarded = has_cert && self.token_file.0.is_some();
        match self.listen.0 {
            Some(listen) if !listen.ip().is_loopback() && !is_guarded => Err(format!(
                "[admin] listen = \"{listen}\" must be a loopback address, or have cert_file, key_file and token_file"
            )),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Billing {
    pub(crate) price_books: Vec<AbsolutePath>,
    pub(crate) tag_labels: Vec<String>,
    pub(crate) keep_days: u32,
    pub(crate) archive: bool,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) account: String,
    pub(crate) provider: String,
    pub(crate) region: String,
}

impl Default for Billing {
    fn default() -> Self {
        Self {
            price_books: Vec::new(),
            tag_labels: Vec::new(),
            keep_days: 400,
            archive: true,
            budgets: Vec::new(),
            account: "default".to_owned(),
            provider: "burstlet".to_owned(),
            region: "local".to_owned(),
        }
    }
}

impl Billing {
    /// Checks what no single value can know.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.tag_labels.len() > TAG_LABELS_MAX {
            return Err(format!(
                "[billing] tag_labels has more than {TAG_LABELS_MAX} tags"
            ));
        }
        if self.budgets.len() > BUDGETS_MAX {
            return Err(format!("[billing] has more than {BUDGETS_MAX} budgets"));
        }
        if !self.budgets.is_empty() && (1..BUDGET_DAYS).contains(&self.keep_days) {
            return Err(format!(
                "[billing] keep_days is below {BUDGET_DAYS}, and budgets count what was spent in a period"
            ));
        }
        let mut names = BTreeSet::new();
        for Budget(budget) in &self.budgets {
            if !names.insert(&budget.name) {
                return Err(format!("[billing] two budgets are called {}", budget.name));
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Network {
    pub(crate) mode: NetworkMode,
    pub(crate) bridge: InterfaceName,
    pub(crate) subnet: Ipv4Net,
    pub(crate) mtu: u16,
    pub(crate) isolation: Isolation,
    pub(crate) dns_upstreams: Vec<IpAddr>,
    pub(crate) routable: Vec<Ipv4Net>,
    pub(crate) deny: Vec<Ipv4Net>,
    pub(crate) allow: Vec<SocketAddr>,
    pub(crate) address_quarantine_s: u32,
    pub(crate) cni_conf_dir: AbsolutePath,
    pub(crate) cni_bin_dirs: Vec<AbsolutePath>,
    pub(crate) cni_network: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NetworkMode {
    Bridge,
    Cni,
    Host,
}

impl NetworkMode {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Cni => "cni",
            Self::Host => "host",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Isolation {
    Namespace,
    Open,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            mode: NetworkMode::Bridge,
            bridge: InterfaceName("burstlet0".to_owned()),
            subnet: Ipv4Net::new_assert(Ipv4Addr::new(10, 119, 0, 0), 16),
            mtu: 0,
            isolation: Isolation::Namespace,
            dns_upstreams: Vec::new(),
            routable: Vec::new(),
            deny: Vec::new(),
            allow: Vec::new(),
            address_quarantine_s: 60,
            cni_conf_dir: AbsolutePath::constant("/etc/cni/net.d"),
            cni_bin_dirs: vec![
                AbsolutePath::constant("/opt/cni/bin"),
                AbsolutePath::constant("/usr/lib/cni"),
            ],
            cni_network: String::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Capacity {
    #[serde(deserialize_with = "value::cpu")]
    pub(crate) reserved_cpu: MilliCpu,
    #[serde(deserialize_with = "value::bytes")]
    pub(crate) reserved_memory: Bytes,
    pub(crate) overcommit_percent: u32,
    pub(crate) queue_max: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            reserved_cpu: MilliCpu(200),
            reserved_memory: Bytes(256 << 20),
            overcommit_percent: 100,
            queue_max: 10_000,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sandbox {
    pub(crate) id_base: u32,
    pub(crate) id_groups: u32,
}

/// Host ids for one group's user namespace.
pub(crate) const IDS_PER_GROUP: u32 = 65_536;

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            id_base: 0x7000_0000,
            id_groups: 4096,
        }
    }
}

impl Sandbox {
    pub(super) fn check(self) -> Result<(), String> {
        let end = u64::from(self.id_base) + u64::from(self.id_groups) * u64::from(IDS_PER_GROUP);
        if self.id_base < IDS_PER_GROUP || end > u64::from(u32::MAX) - 1 {
            return Err(format!(
                "[sandbox] id_base and id_groups must give ranges between {IDS_PER_GROUP} and {}",
                u32::MAX - 1
            ));
        }
        if self.id_groups == 0 {
            return Err("[sandbox] id_groups must be at least 1".to_owned());
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Logs {
    #[serde(deserialize_with = "value::bytes")]
    pub(crate) bytes_max: Bytes,
    pub(crate) files_max: u8,
    pub(crate) link_dir: OptionalPath,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            bytes_max: Bytes(10 << 20),
            files_max: 5,
            link_dir: OptionalPath::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Images {
    pub(crate) gc_age_s: u64,
    #[serde(deserialize_with = "value::percent")]
    pub(crate) gc_high_percent: u8,
    #[serde(deserialize_with = "value::percent")]
    pub(crate) gc_low_percent: u8,
    pub(crate) docker_config: OptionalPath,
    pub(crate) nameless_signatures: bool,
    /// Files of keys, by what the names of images begin with.
    pub(crate) signatures: BTreeMap<String, Vec<AbsolutePath>>,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            gc_age_s: 0,
            gc_high_percent: 85,
            gc_low_percent: 80,
            docker_config: OptionalPath(None),
            nameless_signatures: false,
            signatures: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Registry {
    pub(crate) plain_http: bool,
    pub(crate) ca_file: OptionalPath,
    pub(crate) mirrors: Vec<String>,
    pub(crate) mirror_order: MirrorOrder,
    pub(crate) token_hosts: Vec<String>,
    pub(crate) username: String,
    pub(crate) password_file: OptionalPath,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            plain_http: false,
            ca_file: OptionalPath(None),
            mirrors: Vec::new(),
            mirror_order: MirrorOrder::Listed,
            token_hosts: Vec::new(),
            username: String::new(),
            password_file: OptionalPath(None),
        }
    }
}

impl Registry {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.username.is_empty() != self.password_file.0.is_none() {
            return Err("username and password_file belong together");
        }
        if self.plain_http && self.ca_file.0.is_some() {
            return Err("ca_file has no meaning with plain_http");
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MirrorOrder {
    Listed,
    Nearest,
}
