//! Networks that an operator's CNI plugins make, by the CNI specification 1.1.
//!
//! ```text
//! add:    intent on disk ─► ADD of each plugin in order ─► result on disk
//! delete: DEL of each plugin in reverse order, with what is on disk ─► file removed
//! ```
//!
//! The file keeps the configuration that was used, so that a group is disconnected as it was
//! connected even if the operator has changed the configuration since.

mod cache;
mod conf;
mod exec;
mod result;

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use burstlet_model::{ErrorKind, GroupUid};
use serde_json::{Map, Value, json};
use tracing::warn;

use crate::config::CniConfig;
use crate::lease::Lease;
use crate::network::Attached;
use crate::plan::protocol_name;
use cache::{Cache, Entry};
use conf::{Network, Version};
use exec::{Call, Invocation, run};

/// The plugins' network.
#[derive(Debug)]
pub(crate) struct Cni {
    config: CniConfig,
    cache: Cache,
}

/// Why plugins did not make, check or remove a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CniError {
    /// There is no usable configuration list.
    #[error("no CNI configuration list {} in {dir}", name.as_ref().map_or_else(String::new, |n| format!("named {n:?}")))]
    NoNetwork {
        /// Where it was looked for.
        dir: PathBuf,
        /// Its configured name.
        name: Option<String>,
    },
    /// A configuration list is not one.
    #[error("CNI configuration list {path}: {problem}")]
    BadList {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A plugin is not installed.
    #[error("CNI plugin {plugin} is in none of {dirs:?}")]
    NoPlugin {
        /// Its name.
        plugin: String,
        /// Where it was looked for.
        dirs: Vec<PathBuf>,
    },
    /// A plugin could not be run.
    #[error("run CNI plugin {plugin}")]
    Run {
        /// Its name.
        plugin: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A plugin did not end in time.
    #[error("CNI plugin {plugin} did not end within {seconds} s of {command}")]
    Timeout {
        /// Its name.
        plugin: String,
        /// What it was to do.
        command: &'static str,
        /// How long it had.
        seconds: u64,
    },
    /// A plugin reported an error.
    #[error("CNI plugin {plugin} failed to {command}: {message} (code {code})")]
    Plugin {
        /// Its name.
        plugin: String,
        /// What it was to do.
        command: &'static str,
        /// The specification's or the plugin's own number.
        code: u64,
        /// Its words.
        message: String,
    },
    /// A plugin's answer is not what the specification demands.
    #[error("CNI plugin {plugin}: {problem}")]
    BadAnswer {
        /// Its name.
        plugin: String,
        /// What is wrong.
        problem: String,
    },
    /// A record of a connection could not be read or written.
    #[error("{doing} CNI record {path}")]
    Record {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// Codes by which a plugin says "later": try again, plugin not available, limited connectivity.
const CODES_LATER: [u64; 3] = [11, 50, 51];

impl CniError {
    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoNetwork { .. } | Self::BadList { .. } | Self::NoPlugin { .. } => {
                ErrorKind::FailedPrecondition
            }
            Self::Plugin { code, .. } if CODES_LATER.contains(code) => ErrorKind::Unavailable,
            Self::Timeout { .. } => ErrorKind::DeadlineExceeded,
            Self::Run { .. }
            | Self::Plugin { .. }
            | Self::BadAnswer { .. }
            | Self::Record { .. } => ErrorKind::Internal,
        }
    }
}

/// The interface that plugins make in a group.
const INTERFACE: &str = "eth0";

impl Cni {
    /// Checks that there is a network to use, and where to keep records.
    pub(crate) fn open(config: &CniConfig, state_dir: &Path) -> Result<Self, CniError> {
        Network::load(&config.conf_dir, config.network.as_deref())?;
        let cache = Cache::open(state_dir.join("cni"))?;
        Ok(Self {
            config: config.clone(),
            cache,
        })
    }

    /// Connects a group, or tells how it is connected already.
    pub(crate) async fn add(
        &self,
        lease: &Lease,
        netns: BorrowedFd<'_>,
    ) -> Result<Attached, CniError> {
        if let Some(attached) = self.attached(&lease.uid)? {
            return Ok(attached);
        }
        let network = Network::load(&self.config.conf_dir, self.config.network.as_deref())?;
        let mut entry = Entry {
            network,
            capabilities: capabilities(lease),
            args: args(lease),
            result: None,
        };
        self.cache.write(&lease.uid, &entry)?;
        let path = netns_path(netns);
        match self
            .chain(&lease.uid, Call::Add, Some(&path), &mut entry)
            .await
        {
            Ok(()) => {
                self.cache.write(&lease.uid, &entry)?;
                result::attached("list", entry.result.as_ref().unwrap_or(&Value::Null))
            }
            Err(error) => {
                // The specification asks for this; the first error is the one to tell.
                if let Err(second) = self.delete(&lease.uid, Some(netns)).await {
                    warn!(uid = %lease.uid, error = %second, "clear a half-made CNI network");
                }
                Err(error)
            }
        }
    }

    /// How a group is connected, if it is.
    pub(crate) fn attached(&self, uid: &GroupUid) -> Result<Option<Attached>, CniError> {
        let result = self.cache.read(uid)?.and_then(|entry| entry.result);
        let attached = |result| result::attached("cache", &result);
        result.map(attached).transpose()
    }

    /// Asks the plugins whether a group is still connected as it was.
    pub(crate) async fn check(
        &self,
        uid: &GroupUid,
        netns: BorrowedFd<'_>,
    ) -> Result<(), CniError> {
        let Some(mut entry) = self.cache.read(uid)? else {
            return Ok(());
        };
        if !entry.network.has_check() {
            return Ok(());
        }
        self.chain(uid, Call::Check, Some(&netns_path(netns)), &mut entry)
            .await
    }

    /// Disconnects a group; one that is not connected is not an error.
    pub(crate) async fn delete(
        &self,
        uid: &GroupUid,
        netns: Option<BorrowedFd<'_>>,
    ) -> Result<(), CniError> {
        let Some(mut entry) = self.cache.read(uid)? else {
            return Ok(());
        };
        let path = netns.map(netns_path);
        self.chain(uid, Call::Delete, path.as_deref(), &mut entry)
            .await?;
        self.cache.remove(uid)
    }

    /// Disconnects what is recorded and not `live`, and lets plugins clear the rest.
    pub(crate) async fn collect_garbage(&self, live: &[GroupUid]) -> Result<(), CniError> {
        for uid in self.cache.list()? {
            if !live.contains(&uid) {
                self.delete(&uid, None).await?;
            }
        }
        let network = Network::load(&self.config.conf_dir, self.config.network.as_deref())?;
        if !network.has_garbage_collection() {
            return Ok(());
        }
        let valid: Vec<Value> = live
            .iter()
            .map(|uid| json!({ "containerID": uid.as_str(), "ifname": INTERFACE }))
            .collect();
        for plugin in network.plugins() {
            let mut input = network.input(plugin, &Map::new(), None);
            input.insert("cni.dev/valid-attachments".to_owned(), valid.clone().into());
            run(
                &self.config.bin_dirs,
                plugin,
                Invocation::of_network(Call::Gc),
                &input,
            )
            .await?;
        }
        Ok(())
    }

    /// Runs a list's plugins, each with the result of the one before.
    async fn chain(
        &self,
        uid: &GroupUid,
        call: Call,
        netns: Option<&str>,
        entry: &mut Entry,
    ) -> Result<(), CniError> {
        let invocation = Invocation {
            call,
            container: Some(uid.as_str()),
            netns,
            interface: Some(INTERFACE),
            args: Some(&entry.args),
        };
        let mut plugins: Vec<&Map<String, Value>> = entry.network.plugins().collect();
        if call == Call::Delete {
            plugins.reverse();
        }
        let with_result = call == Call::Add || entry.network.version() >= Version(0, 4, 0);
        let mut result = entry.result.clone();
        for plugin in plugins {
            let previous = result.as_ref().filter(|_| with_result);
            let input = entry.network.input(plugin, &entry.capabilities, previous);
            let answer = run(&self.config.bin_dirs, plugin, invocation, &input).await?;
            if call == Call::Add {
                result = Some(answer);
            }
        }
        entry.result = result;
        Ok(())
    }
}

/// A path by which another process finds the namespace, while we hold the descriptor.
fn netns_path(netns: BorrowedFd<'_>) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), netns.as_raw_fd())
}

/// What plugins that can map ports are told.
fn capabilities(lease: &Lease) -> Map<String, Value> {
    let mappings: Vec<Value> = lease
        .ports
        .iter()
        .map(|port| {
            let mut mapping = json!({
                "hostPort": port.host.port.get(),
                "containerPort": port.container_port,
                "protocol": protocol_name(port.host.protocol),
            });
            if let (Some(ip), Some(mapping)) = (port.host.ip, mapping.as_object_mut()) {
                mapping.insert("hostIP".to_owned(), ip.to_string().into());
            }
            mapping
        })
        .collect();
    Map::from_iter([("portMappings".to_owned(), Value::from(mappings))])
}

/// The arguments that runtimes for Kubernetes give, which some plugins read.
fn args(lease: &Lease) -> String {
    let (namespace, name, uid) = (&lease.group.namespace, &lease.group.name, &lease.uid);
    format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_INFRA_CONTAINER_ID={uid};K8S_POD_UID={uid}"
    )
}

/// The name of the network that would be used, if all of its plugins are there.
pub(crate) fn preview(config: &CniConfig) -> Result<String, CniError> {
    let network = Network::load(&config.conf_dir, config.network.as_deref())?;
    for plugin in network.plugins() {
        exec::find(&config.bin_dirs, plugin)?;
    }
    Ok(network.name().to_owned())
}
