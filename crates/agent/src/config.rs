//! The agent's configuration: one TOML file and `BURSTLET_*` variables, parsed and checked as a
//! whole before anything on the host is touched.
//!
//! Types here hold valid values only: a value's own rules live in its `Deserialize`, so that an
//! error has the value's place in the file; rules between values are in `Config::check`.

mod access;
mod budget;
mod devices;
mod kubernetes;
mod load;
mod otlp;
mod policy;
mod processors;
mod sections;
mod value;

pub(crate) use access::{Access, Oidc, Quota, Quotas, Rule, Whose};
pub(crate) use budget::Budget;
pub(crate) use devices::{Devices, Place};
pub(crate) use kubernetes::{CapacityMode, DaemonSets, Kubernetes, PodCidr};
pub(crate) use load::load;
pub(crate) use otlp::{Otlp, OtlpSignal};
pub(crate) use policy::{GroupIsolation, Policy, UserNamespaces};
pub(crate) use processors::Processors;
pub(crate) use sections::{
    Admin, Api, Billing, Capacity, IDS_PER_GROUP, Images, Isolation, Log, LogFormat, Logs,
    MirrorOrder, Network, NetworkMode, Registry, Sandbox, ServerTls,
};
pub(crate) use value::AbsolutePath;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) state_dir: AbsolutePath,
    pub(crate) run_dir: AbsolutePath,
    pub(crate) cgroup_root: value::CgroupName,
    pub(crate) launcher: PathBuf,
    pub(crate) unpacker: PathBuf,
    pub(crate) log: Log,
    pub(crate) api: Api,
    pub(crate) access: Access,
    pub(crate) admin: Admin,
    pub(crate) billing: Billing,
    pub(crate) otlp: Otlp,
    pub(crate) network: Network,
    pub(crate) capacity: Capacity,
    pub(crate) processors: Processors,
    pub(crate) policy: Policy,
    pub(crate) isolation: GroupIsolation,
    pub(crate) sandbox: Sandbox,
    pub(crate) logs: Logs,
    pub(crate) images: Images,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) devices: Devices,
    pub(crate) registries: BTreeMap<String, Registry>,
    pub(crate) quotas: Quotas,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: AbsolutePath::constant("/var/lib/burstlet"),
            run_dir: AbsolutePath::constant("/run/burstlet"),
            cgroup_root: value::CgroupName::default(),
            launcher: PathBuf::from("burstlet-launcher"),
            unpacker: PathBuf::from("burstlet-unpack"),
            log: Log::default(),
            api: Api::default(),
            access: Access::default(),
            admin: Admin::default(),
            billing: Billing::default(),
            otlp: Otlp::default(),
            network: Network::default(),
            capacity: Capacity::default(),
            processors: Processors::default(),
            policy: Policy::default(),
            isolation: GroupIsolation::default(),
            sandbox: Sandbox::default(),
            logs: Logs::default(),
            images: Images::default(),
            kubernetes: Kubernetes::default(),
            devices: Devices::default(),
            registries: BTreeMap::new(),
            quotas: Quotas::new(),
        }
    }
}

impl Config {
    /// The API's unix socket.
    pub(crate) fn api_socket(&self) -> PathBuf {
        self.run_dir.join("burstlet.sock")
    }

    /// The API's TCP listener, if there is one.
    pub(crate) fn tls(&self) -> Result<Option<ServerTls>, String> {
        self.api.tls(self.access.oidc.takes_tokens())
    }

    /// Where a program that belongs to the agent is: as configured, or beside the agent's own.
    pub(crate) fn program(&self, configured: &Path) -> PathBuf {
        if configured.is_absolute() {
            return configured.to_owned();
        }
        let beside = std::env::current_exe()
            .ok()
            .and_then(|own| Some(own.parent()?.join(configured)));
        beside.unwrap_or_else(|| configured.to_owned())
    }

    /// Checks what no single value can know.
    fn check(&self) -> Result<(), String> {
        self.access.check()?;
        self.tls()?;
        self.admin.check()?;
        self.billing.check()?;
        self.otlp.check()?;
        self.policy.check()?;
        self.processors.check(&self.capacity)?;
        self.devices.check()?;
        if self.images.gc_low_percent > self.images.gc_high_percent {
            return Err("[images] gc_low_percent is above gc_high_percent".to_owned());
        }
        for (name, registry) in &self.registries {
            registry
                .check()
                .map_err(|problem| format!("[registries.\"{name}\"] {problem}"))?;
        }
        self.kubernetes.check()?;
        let is_allotted = self.kubernetes.pod_cidr == PodCidr::Node;
        if is_allotted && self.network.mode != NetworkMode::Bridge {
            return Err(
                "[kubernetes] pod_cidr = \"node\" is for [network] mode = \"bridge\"".to_owned(),
            );
        }
        self.sandbox.check()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
