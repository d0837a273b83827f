//! The groups' network, which is there once its addresses are known. They are from the start where the
//! configuration says them. Where a cluster allots them to its node, groups that want an address wait
//! for it the first time; what was allotted is kept, so that later starts need no cluster.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, ensure};
use burstlet_model::{ErrorKind, GroupUid, NetworkUsage};
use burstlet_network::{Network, NetworkError, Reconciled};
use burstlet_supervisor::host::HostError;
use ipnet::Ipv4Net;

use super::{settings, state_dir};
use crate::config::{Config, NetworkMode, PodCidr};
use crate::host::failure::SANDBOX;
use crate::records::replace_durably;

/// The file that keeps what was allotted, beside the leases.
const ALLOTTED: &str = "pod-cidr";
/// What is told while groups wait for addresses.
pub(crate) const NOT_YET: &str = "the cluster has not allotted a podCIDR to this node yet";

/// The groups' network, or that there is none yet.
pub(crate) struct LateNetwork {
    opened: OnceLock<Opened>,
    trouble: Mutex<Option<Trouble>>,
}

struct Opened {
    network: Network,
    /// Of the built-in bridge.
    subnet: Option<Ipv4Net>,
}

/// What is wrong between the groups' addresses and those that the cluster has allotted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There are none yet: no pod can run.
    None(String),
    /// Groups have others. They go on.
    Others(String),
}

impl Trouble {
    /// A sentence for people.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::None(text) | Self::Others(text) => text,
        }
    }
}

impl LateNetwork {
    /// Brings the network up if its addresses are known.
    ///
    /// # Errors
    /// The configuration cannot work, groups have addresses that nobody allotted, or the kernel refuses.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let late = Self {
            opened: OnceLock::new(),
            trouble: Mutex::default(),
        };
        match subnet(config)? {
            Some(subnet) => late.bring_up(config, subnet).await?,
            None => {
                check_unused(config)?;
                late.tell(Some(Trouble::None(NOT_YET.to_owned())));
            }
        }
        Ok(late)
    }

    /// Brings the network up with the addresses that were allotted, for this start and those to come.
    ///
    /// # Errors
    /// They cannot be the groups', they cannot be kept, or the kernel refuses.
    pub(crate) async fn take(&self, config: &Config, subnet: Ipv4Net) -> anyhow::Result<()> {
        settings(config, subnet)?.validate()?;
        let dir = state_dir(config);
        let text = subnet.to_string();
        let kept =
            tokio::task::spawn_blocking(move || replace_durably(&dir, ALLOTTED, text.as_bytes()));
        kept.await
            .context("keep the podCIDR")?
            .context("keep the podCIDR")?;
        self.bring_up(config, subnet).await
    }

    async fn bring_up(&self, config: &Config, subnet: Ipv4Net) -> anyhow::Result<()> {
        let network = Network::open(settings(config, subnet)?).await;
        let opened = Opened {
            network: network.context("bring the network up")?,
            subnet: (config.network.mode == NetworkMode::Bridge).then_some(subnet),
        };
        let first = self.opened.set(opened).is_ok();
        ensure!(first, "the network is up already");
        Ok(())
    }

    /// The network, if it is up.
    pub(crate) fn get(&self) -> Option<&Network> {
        self.opened.get().map(|opened| &opened.network)
    }

    /// The network, for a group that needs it.
    ///
    /// # Errors
    /// It is not up yet.
    pub(crate) fn ready(&self) -> Result<&Network, HostError> {
        let not_yet = || HostError::new(ErrorKind::Unavailable, SANDBOX, NOT_YET.to_owned());
        self.get().ok_or_else(not_yet)
    }

    /// The addresses of the built-in bridge's groups.
    pub(crate) fn subnet(&self) -> Option<Ipv4Net> {
        self.opened.get()?.subnet
    }

    /// What is wrong with the addresses.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    /// Says what is wrong with them now; whether that is news.
    pub(crate) fn tell(&self, now: Option<Trouble>) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *trouble != now;
        *trouble = now;
        is_news
    }

    /// See [`Network::reconcile`]; where there is no network, no group has anything of it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) async fn reconcile(
        &self,
        live: &[GroupUid],
        leased: &[GroupUid],
    ) -> Result<Reconciled, NetworkError> {
        match self.get() {
            Some(network) => network.reconcile(live, leased).await,
            None => Ok(Reconciled::default()),
        }
    }

    /// See [`Network::meddled`].
    pub(crate) async fn meddled(&self) {
        match self.get() {
            Some(network) => network.meddled().await,
            None => std::future::pending().await,
        }
    }

    /// See [`Network::repair`].
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) async fn repair(&self) -> Result<Reconciled, NetworkError> {
        match self.get() {
            Some(network) => network.repair().await,
            None => Ok(Reconciled::default()),
        }
    }

    /// See [`Network::usage`].
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) async fn usage(&self) -> Result<HashMap<GroupUid, NetworkUsage>, NetworkError> {
        match self.get() {
            Some(network) => network.usage().await,
            None => Ok(HashMap::new()),
        }
    }
}

/// The addresses that groups have: what the configuration says, or what was allotted before.
///
/// # Errors
/// What was kept cannot be read.
pub(crate) fn subnet(config: &Config) -> anyhow::Result<Option<Ipv4Net>> {
    match config.kubernetes.pod_cidr {
        PodCidr::Configured => Ok(Some(config.network.subnet)),
        PodCidr::Node => kept(&kept_file(config)),
    }
}

/// Where it is kept what was allotted.
pub(crate) fn kept_file(config: &Config) -> std::path::PathBuf {
    state_dir(config).join(ALLOTTED)
}

fn kept(path: &Path) -> anyhow::Result<Option<Ipv4Net>> {
    let place = || format!("read {}", path.display());
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(place),
    };
    let subnet = text.trim().parse().with_context(place)?;
    Ok(Some(subnet))
}

/// Whoever has an address by now has it from a subnet that was configured.
fn check_unused(config: &Config) -> anyhow::Result<()> {
    let holder = burstlet_network::lease_holder(&state_dir(config));
    if let Some(uid) = holder.context("look for leases")? {
        anyhow::bail!(
            "[kubernetes] pod_cidr is \"node\", but group {uid} has an address of another subnet: \
             delete it and its like with pod_cidr = \"configured\" first"
        );
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_was_allotted_is_kept_and_never_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(ALLOTTED);
        assert_eq!(kept(&path).unwrap(), None);
        replace_durably(dir.path(), ALLOTTED, b"10.3.0.0/24").unwrap();
        assert_eq!(kept(&path).unwrap(), Some("10.3.0.0/24".parse().unwrap()));
        std::fs::write(&path, "10.3.0").unwrap();
        assert!(kept(&path).is_err());
    }
}
